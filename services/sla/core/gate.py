"""The gate: in which form may an approved reply go out now, if at all?

From the freest form to the refusal: free form while the customer's window is open, the channel's permission for people, the
approved template that asks the customer to come back, or nothing, with the reason. A window counts as over a safety margin before
its end, because the channel's clock decides and the message still has to get there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.sla.core.rules import ChannelRules, Rules
from services.sla.core.templates import find_come_back
from services.sla.core.windows import is_open, window_of
from services.sla.state import SlaState, Window
from shared.contact_centre.templates import fill_template
from shared.events.sends import Allowed, Lane, Permission, SendRequested, SendWithheld
from shared.events.shapes import AuthorKind, Content, Reaction, Template
from shared.ids import digest, remembers_digest

WINDOW_PERMISSIONS = (Permission.FREE_FORM, Permission.HUMAN_AGENT)
"""What a window can give to an answer, the freest first."""
SCOPE_ALL = "all"
SCOPE_MARKETING = "marketing"
"""What a customer may have opted out of."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An approved reply. `attempt` counts from 1."""

    reply_id: str
    author: AuthorKind
    content: Content
    language: str | None = None
    reply_to: str | None = None
    attempt: int = 1

    @property
    def lane(self) -> Lane:
        """Return which lane it takes: people's answers go before those of machines."""
        return Lane.ANSWER if self.author is AuthorKind.AGENT else Lane.AUTOMATIC


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that the gate looks at: the reply, the thread it belongs to, what is configured, and the time."""

    reply: Reply
    state: SlaState
    rules: Rules
    channel: ChannelRules
    thread: str
    now: datetime


def send_id_of(thread: str, reply_id: str, attempt: int) -> str:
    """Return the id of one send: always the same for the same reply, 35 characters or so, for it travels with the message."""
    return f"{digest(thread)}-{digest(reply_id)}-{attempt}"


def is_of_reply_among(send_id: str, replies: str) -> bool:
    """Return whether `send_id` is of one of these replies (a memory of digests of their ids), whichever attempt."""
    _, _, rest = send_id.partition("-")
    return remembers_digest(replies, rest.partition("-")[0])


def gate(reply: Reply, state: SlaState, rules: Rules, *, thread: str, now: datetime) -> SendRequested | SendWithheld:
    """Decide in which form `reply` goes out at `now`: the freest that the customer and the channel allow."""
    channel = rules.channels.get(state.channel)
    if channel is None:
        return _withheld(reply, "channel_unknown", f"The channel {state.channel} is not installed here, so nothing can be sent on it.")
    case = Case(reply, state, rules, channel, thread, now)
    return _refused_by_customer(case) or _freest_form(case)


def _freest_form(case: Case) -> SendRequested | SendWithheld:
    """Decide about a reply that the customer has nothing against."""
    content = case.reply.content
    if isinstance(content, Template):
        return _own_template(case, content)
    if not case.channel.policy.window_needed:
        return _requested(case, content, Permission.FREE_FORM)
    if (window := _open_window(case)) is not None:
        return _requested(case, content, Permission(window.permission), not_after=window.ends_at)
    if isinstance(content, Reaction):
        explanation = f"{_window_words(case)} A reaction can go out only while it is open, and nothing can stand in for it."
        return _withheld(case.reply, "window_closed", explanation, _allowed(case))
    return _come_back(case)


def _refused_by_customer(case: Case) -> SendWithheld | None:
    """Return the refusal, where the customer does not want this from us. A template of unknown category is taken for marketing."""
    reply, state = case.reply, case.state
    if state.blocked_since is not None:
        known_since = _moment(state.blocked_since)
        explanation = f"The customer has left or blocked us (known since {known_since}). We may write again once the customer does."
        return _withheld(reply, "blocked", explanation)
    if SCOPE_ALL in state.opted_out:
        return _withheld(reply, "opted_out", "The customer has asked not to be written to. Only the customer can take that back.")
    if not (state.opted_out and isinstance(reply.content, Template)):
        return None
    if case.rules.is_marketing(state.channel, reply.content) is False:
        return None
    explanation = (
        f"The customer does not want marketing, and the template {reply.content.name} is marketing or of unknown category. "
        "Answers and templates of other categories are still allowed."
    )
    return _withheld(reply, "opted_out", explanation, _allowed(case))


def _own_template(case: Case, content: Template) -> SendRequested | SendWithheld:
    """Decide about a reply that is a template already: it needs no window, but a channel that knows templates."""
    if case.channel.policy.templates:
        lane = Lane.BULK if case.rules.is_marketing(case.state.channel, content) else None
        return _requested(case, content, Permission.TEMPLATE, lane=lane)
    explanation = f"The channel {case.state.channel} knows no templates. Write the answer as a text."
    return _withheld(case.reply, "templates_unknown", explanation, _allowed(case))


def _open_window(case: Case) -> Window | None:
    """Return the freest window that lets this author write, with the safety margin to spare."""
    author = case.reply.author
    for permission in WINDOW_PERMISSIONS:
        if permission is Permission.HUMAN_AGENT and author is not AuthorKind.AGENT:
            continue  # for people only by its very name, whatever a policy's row leaves out
        window = window_of(case.state.windows, permission)
        if is_open(window, case.now + case.channel.margin) and case.channel.serves(permission, author, case.now):
            return window
    return None


def _come_back(case: Case) -> SendRequested | SendWithheld:
    """Return the template that asks the customer to come back, in the conversation's language or the fall-back, or the refusal.

    Once is enough: the next answers wait for the customer. One template for each would be bulk to the channel, and a nuisance.
    """
    wanted = tuple(dict.fromkeys(filter(None, (case.state.language or case.reply.language, case.rules.fallback_language))))
    if (found := find_come_back(case.channel, case.state, wanted)) is not None:
        if (asked_at := _asked_back_at(case.state)) is not None:
            return _withheld(case.reply, "come_back_awaited", _asked_words(case, asked_at), _allowed(case))
        template, language = found
        lane = Lane.BULK if template.category == SCOPE_MARKETING else None
        return _requested(case, fill_template(template, language), Permission.TEMPLATE, lane=lane)
    if not case.channel.policy.templates:
        explanation = f"{_window_words(case)} This channel has no templates: the answer can go out once the customer writes again."
        return _withheld(case.reply, "window_closed", explanation, _allowed(case))
    explanation = (
        f"{_window_words(case)} No template that asks the customer to come back is approved in {' or '.join(wanted)}. "
        "Send another approved template, or wait until the customer writes again."
    )
    return _withheld(case.reply, "window_closed_no_template", explanation, _allowed(case))


def _asked_words(case: Case, asked_at: datetime) -> str:
    """Return, for a person, why the customer is not asked once more."""
    return (
        f"{_window_words(case)} The customer was asked at {_moment(asked_at)} to come back and has not written since. "
        "Send the answer again once the customer writes, or send another approved template."
    )


def _asked_back_at(state: SlaState) -> datetime | None:
    """Return when the customer was asked to come back, if nothing was heard of the customer since: no message, no other act."""
    asked_at = state.asked_back_at
    if asked_at is None or state.inbound_position > state.asked_back_position:
        return None
    return None if any(window.acted_at > asked_at for window in state.windows) else asked_at


def asks_back(outcome: SendRequested, reply: Content) -> bool:
    """Return whether `outcome` is the template that asks the customer to come back, in the place of `reply`."""
    return outcome.permission is Permission.TEMPLATE and not isinstance(reply, Template)


def _allowed(case: Case) -> tuple[Allowed, ...]:
    """Return what would be allowed now, and until when."""
    allowed: list[Allowed] = []
    for permission in WINDOW_PERMISSIONS:
        window = window_of(case.state.windows, permission)
        if window is not None and is_open(window, case.now + case.channel.margin):
            note = "an answer of a person" if permission is Permission.HUMAN_AGENT else "any answer"
            allowed.append(Allowed(permission=permission, until=window.ends_at, note=note))
    if not case.channel.policy.window_needed:
        allowed.append(Allowed(permission=Permission.FREE_FORM, note="any answer"))
    if case.channel.policy.templates:
        note = "an approved template that is not marketing" if case.state.opted_out else "an approved template"
        allowed.append(Allowed(permission=Permission.TEMPLATE, note=note))
    return tuple(allowed)


def _window_words(case: Case) -> str:
    """Return, for a person, why free form is not possible."""
    window = window_of(case.state.windows, Permission.FREE_FORM)
    if window is None:
        return "The customer has not written yet, so the channel's reply window is closed."
    if window.ends_at <= case.now:
        return f"The channel's reply window closed at {_moment(window.ends_at)}."
    if not is_open(window, case.now):
        return "The channel has refused an answer and says that its reply window is closed."
    margin = int(case.channel.margin.total_seconds())
    return f"The channel's reply window closes at {_moment(window.ends_at)}, too soon for a message to arrive safely ({margin} seconds)."


def _requested(
    case: Case, content: Content, permission: Permission, *, lane: Lane | None = None, not_after: datetime | None = None
) -> SendRequested:
    """Return the order to send `content`, in the author's lane if no other is named."""
    reply, state = case.reply, case.state
    return SendRequested(
        send_id=send_id_of(case.thread, reply.reply_id, reply.attempt),
        reply_id=reply.reply_id,
        channel=state.channel,
        account=state.account,
        to=state.customer,
        permission=permission,
        content=content,
        lane=lane or reply.lane,
        not_after=not_after,
        reply_to=reply.reply_to,
    )


def _withheld(reply: Reply, reason: str, explanation: str, allowed: tuple[Allowed, ...] = ()) -> SendWithheld:
    """Return the refusal."""
    return SendWithheld(reply_id=reply.reply_id, reason=reason, explanation=explanation, allowed=allowed)


def _moment(at: datetime) -> str:
    """Return `at` for a person."""
    return f"{at:%Y-%m-%d %H:%M} UTC"
