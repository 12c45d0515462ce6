"""One turn of the conversation: what the bot does about one message of the customer.

It reads the message from the surest meaning to the vaguest (a tap, a wish for a person, an answer to our question, a goodbye, an
option, a question of the FAQ), walks the flow until it has to wait, and says everything in one reply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from services.bot.core.reading import needs_eyes, words_of
from services.bot.core.rules import Rules
from services.bot.core.wording import away_text, choice_id, contents, option_titles, speak
from services.bot.state import BotState, Message
from shared.contact_centre.models import Flow, FlowStep
from shared.events.commands import Close, Command, HandOff, Reply, SetAttribute, Tag
from shared.events.shapes import Choice, Content, Media
from shared.ids import digest

STEPS_PER_TURN_MAX = 20
"""Most steps of a flow after one message; a flow that spins ends with people."""
OUTPUTS_PER_EVENT_MAX = 2 * STEPS_PER_TURN_MAX + 6
"""Most commands after one event: a mark and a text per step, the greeting, the disclosure, a miss, the hand-off."""
ATTRIBUTE_CHARACTERS_MAX = 500
"""How much of an answer is kept."""
ATTRIBUTES_MAX = 64
"""Most attributes that are remembered of a conversation."""
SUMMARY_CHARACTERS_MAX = 1000
"""Longest summary at a hand-off."""
REPLY_ID_CHARACTERS_MAX = 256
"""Longest id that a reply may have."""


class Turn:
    """Collects what one message brings about. Made for one use: `Turn(...).take()`."""

    def __init__(self, rules: Rules, flow: Flow, *, state: BotState, message: Message, now: datetime) -> None:
        self._rules = rules
        self._flow = flow
        self._state = state
        self._message = message
        self._now = now
        self._language = rules.language_of(state)
        self._said: list[str] = []
        self._options: dict[str, str] = {}
        self._marks: list[Command] = []
        self._last: Command | None = None

    def take(self) -> tuple[BotState, list[Command]]:
        """Return the state after the message and the commands in order: marks, replies, then hand-off or close."""
        self._read(self._message.content)
        replies = self._replies()
        state = self._state.model_copy(
            update={
                "greeted": self._state.greeted or bool(replies),
                "answered_sent_at": max(self._message.sent_at, self._state.answered_sent_at or self._message.sent_at),
                "settled_position": self._message.position,
                "pending": None,
            }
        )
        return state, [*self._marks, *replies, *([self._last] if self._last is not None else [])]

    def _read(self, content: Content) -> None:
        """Decide what the message means and act on it."""
        words = words_of(content)
        tapped = self._tapped(content)
        if tapped is not None:
            self._understood()
            self._go(tapped)
        elif needs_eyes(content):
            if words is None or not self._answered_by_faq(words):
                self._hand_off(f"The customer sent something that the bot cannot read ({content.kind}).")
        elif words is not None:
            self._read_words(words)
        elif not self._state.started:
            self._go(self._flow.start)
        elif not isinstance(content, Media):  # a sticker is no question: an answer would only cost
            self._miss()

    def _tapped(self, content: Content) -> str | None:
        """Return the step that a tapped option leads to, also of an older menu; None: nothing of this flow was tapped."""
        if isinstance(content, Choice):
            for name, step in self._flow.steps.items():
                for option in step.options:
                    if content.choice_id == choice_id(name, option.id):
                        return option.next
        return None

    def _read_words(self, words: str) -> None:
        """Act on a written message."""
        understanding, flow, language = self._rules.understanding, self._flow, self._language
        step = self._step()
        if understanding.wants_person(flow, language, words):
            self._hand_off("The customer asked for a person.")
        elif step is not None and step.kind == "question":
            self._understood()
            self._set_attribute(step.attribute or str(self._state.step), words)
            self._go(step.next)
        elif understanding.says_goodbye(flow, language, words):
            self._close(flow.closing, "goodbye")
        elif step is not None and (chosen := self._chosen(step, words)) is not None:
            self._understood()
            self._go(chosen)
        elif self._answered_by_faq(words):
            pass
        elif self._state.started:
            self._miss()
        else:
            self._go(flow.start)

    def _step(self) -> FlowStep | None:
        """Return the step at which the flow waits; None: the bot listens (also when the configuration lost that step)."""
        return self._flow.steps.get(self._state.step) if self._state.step is not None else None

    def _chosen(self, step: FlowStep, words: str) -> str | None:
        """Return the step that a typed number or title of the menu leads to."""
        titles = option_titles(step, self._language, self._rules.centre.fallback_language)
        chosen = self._rules.understanding.option(titles, words)
        return next((option.next for option in step.options if option.id == chosen), None)

    def _answered_by_faq(self, words: str) -> bool:
        """Answer from the FAQ, if it has an answer; the flow stays where it is."""
        entry = self._rules.understanding.faq(self._flow, self._language, words)
        if entry is None:
            return False
        self._understood()
        self._say(entry.answers)
        return True

    def _miss(self) -> None:
        """Admit that the message was not understood, offer the menu again, and give up in time."""
        step = self._step()
        misses = self._state.misses + 1
        self._update(misses=misses)
        if misses >= self._flow.misses_before_hand_off:
            self._understood()
            if step is not None and step.otherwise is not None:
                self._go(step.otherwise)
            else:
                self._hand_off(f"The bot did not understand the customer ({misses} times).")
            return
        self._say(self._flow.not_understood)
        if step is None:
            self._go(self._flow.start)
        elif step.kind == "menu":
            self._go(self._state.step)

    def _understood(self) -> None:
        """Begin to count misses anew."""
        self._update(misses=0)

    def _go(self, name: str | None) -> None:
        """Walk the flow from a step until it waits or ends."""
        self._update(started=True, step=None)
        for _ in range(STEPS_PER_TURN_MAX):
            step = self._flow.steps.get(name) if name is not None else None
            if name is None or step is None:
                return
            name = STEPS[step.kind](self, name, step)
        self._hand_off("The flow came to no end.")

    def answer(self, _name: str, step: FlowStep) -> str | None:
        """Say something and go on."""
        self._say(step.text)
        return step.next

    def menu(self, name: str, step: FlowStep) -> None:
        """Offer options and wait."""
        titles = option_titles(step, self._language, self._rules.centre.fallback_language)
        self._said.append(speak(step.text, self._language, self._rules.centre.fallback_language) or " / ".join(titles.values()))
        self._options = {choice_id(name, option): title for option, title in titles.items()}
        self._update(step=name)

    def ask(self, name: str, step: FlowStep) -> None:
        """Say what is to be said, if anything, and wait."""
        self._say(step.text)
        self._update(step=name)

    def condition(self, name: str, step: FlowStep) -> str | None:
        """Go one way or the other."""
        value = self._value(step.attribute or name)
        holds = value is not None if step.equals is None else value == step.equals
        return step.next if holds else step.otherwise

    def set_attribute(self, name: str, step: FlowStep) -> str | None:
        """Remember something and go on."""
        self._set_attribute(step.attribute or name, step.value or "")
        return step.next

    def tag(self, name: str, step: FlowStep) -> str | None:
        """Mark the conversation and go on."""
        self._marks.append(Tag(author=self._rules.author, epoch=self._state.epoch, tag=step.tag or name))
        return step.next

    def hand_off(self, _name: str, step: FlowStep) -> None:
        """Pass to people."""
        self._hand_off("The customer came to the end of the flow.", step)

    def close(self, _name: str, step: FlowStep) -> None:
        """End the conversation."""
        self._close(step.text or self._flow.closing, "end of the flow")

    def _value(self, attribute: str) -> str | None:
        """Return what an attribute is: the built-in ones first (see BuiltInAttribute), then what was set."""
        state = self._state
        match attribute:
            case "language":
                return self._language
            case "department" | "channel" | "account":
                return getattr(state, attribute)  # type: ignore[no-any-return]  # three fields of one type
            case "on_shift":
                staffed = self._rules.staff(department=state.department, language=self._language, at=self._now).staffed
                return "yes" if staffed else "no"
            case _:
                return state.attributes.get(attribute)

    def _set_attribute(self, name: str, value: str) -> None:
        """Remember an attribute here and in the conversation."""
        value = value[:ATTRIBUTE_CHARACTERS_MAX]
        self._marks.append(SetAttribute(author=self._rules.author, epoch=self._state.epoch, name=name, value=value))
        self._update(attributes=bounded_attributes({**self._state.attributes, name: value}))

    def _hand_off(self, reason: str, step: FlowStep | None = None) -> None:
        """Say who will answer, or when somebody is back, and give the conversation to people."""
        department = (step.department if step is not None else None) or self._state.department
        shift = self._rules.staff(department=department, language=self._language, at=self._now)
        if step is not None and step.text:
            self._say(step.text)
        elif shift.staffed:
            self._say(self._flow.connecting)
        else:
            away = away_text(self._flow, shift, self._now, language=self._language, centre=self._rules.centre)
            self._said.extend([away] if away is not None else [])
        self._last = HandOff(
            author=self._rules.author,
            epoch=self._state.epoch,
            department=department,
            language=self._state.language,
            summary=self._summary(reason),
        )
        self._update(leaving="hand_off", step=None)

    def _summary(self, reason: str) -> str:
        """Return what an agent should know at first sight."""
        known = [f"{name}: {value}" for name, value in self._state.attributes.items()]
        words = words_of(self._message.content)
        last = [f"Last message: {words}"] if words is not None else []
        return "\n".join([reason, *known, *last])[:SUMMARY_CHARACTERS_MAX]

    def _close(self, texts: Mapping[str, str], reason: str) -> None:
        """Say goodbye and end the conversation."""
        self._say(texts)
        self._last = Close(author=self._rules.author, epoch=self._state.epoch, reason=reason)
        self._update(leaving="close", step=None)

    def _say(self, texts: Mapping[str, str]) -> None:
        """Add a text to the reply, in the customer's language."""
        text = speak(texts, self._language, self._rules.centre.fallback_language)
        self._said.extend([text] if text is not None else [])

    def _replies(self) -> list[Command]:
        """Return what was said as replies: one, where the channels' lengths allow it. The first ever greets and says it is a bot."""
        if self._said and not self._state.greeted:
            texts = (self._flow.greeting, self._flow.disclosure)
            spoken = (speak(one, self._language, self._rules.centre.fallback_language) for one in texts)
            self._said[:0] = [text for text in spoken if text is not None]
        return [
            Reply(
                author=self._rules.author,
                epoch=self._state.epoch,
                reply_id=reply_id(str(self._state.conversation_id), self._message.position, number),
                content=content,
                language=self._language,
            )
            for number, content in enumerate(contents(self._said, self._options), 1)
        ]

    def _update(self, **changes: object) -> None:
        """Change the state that the turn ends with."""
        self._state = self._state.model_copy(update=changes)


def bounded_attributes(attributes: Mapping[str, str]) -> dict[str, str]:
    """Return the newest ATTRIBUTES_MAX attributes."""
    return dict(list(attributes.items())[-ATTRIBUTES_MAX:])


def reply_id(conversation: str, position: int, number: int) -> str:
    """Return the id of the `number`th reply to the message at `position`: the same however often it is decided."""
    readable = f"bot/{conversation}/{position}/{number}"
    return readable if len(readable) <= REPLY_ID_CHARACTERS_MAX else f"bot/{digest(conversation)}/{position}/{number}"


STEPS: Mapping[str, Callable[[Turn, str, FlowStep], str | None]] = MappingProxyType(
    {
        "answer": Turn.answer,
        "menu": Turn.menu,
        "question": Turn.ask,
        "condition": Turn.condition,
        "set_attribute": Turn.set_attribute,
        "tag": Turn.tag,
        "faq": Turn.ask,
        "hand_off": Turn.hand_off,
        "close": Turn.close,
    }
)
"""What each kind of step does. It returns the step to go on with, or None to stop."""
