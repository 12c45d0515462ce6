"""A thread in simulated time: tells the reducer events as the engine would, and keeps what it published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from services.sla.app import build_reducer
from services.sla.core.thread import SlaReducer
from services.sla.state import SlaState
from shared.channels.contract import Policy, WindowRule
from shared.contact_centre.models import ContactCentre
from shared.engine.reducer import TimerFired
from shared.events.conversations import (
    ConversationClosed,
    ConversationOpened,
    ConversationReopened,
    ConversationUpdated,
    MessageAppended,
    OwnerChanged,
    ReplyApproved,
)
from shared.events.deliveries import MessageFailed, MessageSent, SendAccepted, SendRefused
from shared.events.envelope import EventData, new_event
from shared.events.sends import SendRequested, SendWithheld
from shared.events.shapes import Author, AuthorKind, Content, Customer, Failure, FailureClass, Text
from shared.topics import SENDS, SLA

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
"""A Monday, within office hours."""
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
THREAD = "chat:desk:anna"
WORKDAYS = ["mon", "tue", "wed", "thu", "fri"]
FREE = WindowRule(permission="free_form", opened_by=("message", "choice"), length_seconds=24 * 3600)
HUMAN = WindowRule(permission="human_agent", opened_by=("message",), length_seconds=7 * 24 * 3600, authors=("agent",))
POLICIES: Mapping[str, Policy] = {
    "chat": Policy("chat", "messaging", windows=(FREE,), templates=True),
    "page": Policy("page", "social", windows=(FREE, HUMAN)),
    "web": Policy("web", "live", window_needed=False),
}
TEMPLATES: list[dict[str, Any]] = [
    {
        "name": "come_back",
        "channel": "chat",
        "purpose": "come_back",
        "category": "utility",
        "accounts": ["chat:desk"],
        "languages": {"lv": {"body": "Rakstiet"}, "en": {"body": "Write"}, "pt-BR": {"body": "Escreva"}},
    },
    {"name": "offer", "channel": "chat", "purpose": "campaign", "category": "marketing", "languages": {"en": {"body": "Offer"}}},
    {"name": "receipt", "channel": "chat", "purpose": "receipt", "category": "utility", "languages": {"en": {"body": "Receipt"}}},
]
PROMISES: list[dict[str, Any]] = [
    {
        "name": "vip",
        "departments": ["vip"],
        "calendar": "always",
        "first_response": {"target_minutes": 10, "met_by": "anyone"},
    },
    {
        "name": "urgent",
        "priority_from": 5,
        "calendar": "always",
        "first_response": {"target_minutes": 5},
        "resolution": {"target_minutes": 60},
    },
    {"name": "silent", "departments": ["silent"], "calendar": "always", "resolution": {"target_minutes": 600}},
    {
        "name": "hour",
        "channels": ["chat"],
        "calendar": "office",
        "first_response": {"target_minutes": 60, "warn_before_minutes": [30, 15, 90]},
        "next_response": {"target_minutes": 120, "warn_before_minutes": [30]},
        "resolution": {"target_minutes": 480},
    },
]
F = TypeVar("F", bound=EventData)


def contact_centre(**sections: Any) -> ContactCentre:
    """Return a small contact centre; `sections` replace its own."""
    hours = [{"days": WORKDAYS, "from": "09:00", "until": "17:00"}]
    always = [{"days": [*WORKDAYS, "sat", "sun"], "from": "00:00", "until": "00:00"}]
    base: dict[str, Any] = {
        "name": "Example",
        "languages": ["en", "lv"],
        "fallback_language": "en",
        "departments": {},
        "pools": {},
        "agents": {},
        "accounts": {},
        "calendars": {
            "office": {"time_zone": "UTC", "hours": hours},
            "riga": {"time_zone": "Europe/Riga", "hours": hours},
            "always": {"time_zone": "UTC", "hours": always},
            "never": {"time_zone": "UTC"},
        },
        "promises": PROMISES,
        "templates": TEMPLATES,
        "windows": {"chat": {"safety_margin_seconds": 120, "warn_before_minutes": [240, 60, 10]}},
    }
    return ContactCentre.model_validate(base | sections)


def failure(class_: FailureClass) -> Failure:
    """Return a failure of this class."""
    return Failure.model_validate({"code": "1", "class": class_, "explanation": "The channel says no."})


class World:
    """One thread, its reducer and its time."""

    def __init__(self, reducer: SlaReducer | None = None, *, thread: str = THREAD, now: datetime = NOON) -> None:
        """Begin at `now` with nothing known of `thread`."""
        self.reducer = reducer or build_reducer(contact_centre(), POLICIES)
        self.thread = thread
        self.now = now
        self.state: SlaState | None = None
        self.published: list[EventData] = []
        self.position = 0

    def tell(self, data: EventData, *, time: datetime | None = None) -> list[EventData]:
        """Tell one event at the present time and return what was published. Event and state go through JSON, as between processes."""
        event = new_event(data, event_id="e", source="test", subject=self.thread, time=time or self.now)
        if not isinstance(data, TimerFired):
            event = next(topic for topic in self.reducer.inputs if type(data) in topic.models).decode(event.to_json())
        decision = self.reducer.decide(self.state, event, self.now)
        self.state = None if decision.state is None else SlaState.model_validate_json(decision.state.model_dump_json())
        assert self.state == decision.state
        for output in decision.outputs:
            assert output.key == self.thread
            assert output.topic is (SENDS if isinstance(output.data, SendRequested | SendWithheld) else SLA)
        facts = [output.data for output in decision.outputs]
        self.published += facts
        return facts

    def pass_time(self, by: timedelta) -> list[EventData]:
        """Let time pass, every timer firing at its moment, and return what was published meanwhile."""
        end, facts = self.now + by, list[EventData]()
        while self.state is not None and (due := self.reducer.due(self.state)) is not None and due <= end:
            self.now = max(self.now, due)
            facts += self.tell(TimerFired(due_at=due))
        self.now = end
        return facts

    def sleep(self, by: timedelta) -> list[EventData]:
        """Let time pass as in an outage, then fire the timer once and return what was published."""
        self.now += by
        return self.wake()

    def wake(self) -> list[EventData]:
        """Fire the timer now; nothing may be due afterwards."""
        assert self.state is not None
        facts = self.tell(TimerFired(due_at=self.now, late=True))
        due = self.reducer.due(self.state)
        assert due is None or due > self.now
        return facts

    def opens(self, **fields: Any) -> list[EventData]:
        """Open a conversation of the thread, in Latvian, owned by the queue."""
        facts = self.tell(self._opening(ConversationOpened, fields))
        return facts + self.owned_by("queue", before="nobody")

    def reopens(self, **fields: Any) -> list[EventData]:
        """Let the conversation go on."""
        return self.tell(self._opening(ConversationReopened, fields))

    def closes(self, *, conversation: str = "c1", resolved: bool = True) -> list[EventData]:
        """Close the conversation."""
        return self.tell(ConversationClosed(conversation_id=conversation, by=Author(kind=AuthorKind.AGENT, id="ieva"), resolved=resolved))

    def owned_by(self, owner: str, *, before: str = "bot") -> list[EventData]:
        """Change the owner."""
        return self.tell(OwnerChanged(conversation_id="c1", from_=before, to=owner, epoch=1, reason="test"))

    def updated(self, **changes: Any) -> list[EventData]:
        """Change facts of the conversation; values are the new ones."""
        return self.tell(ConversationUpdated(conversation_id="c1", changes={name: (None, new) for name, new in changes.items()}))

    def customer_writes(
        self, *, ago: timedelta = timedelta(0), content: Content | None = None, position: int | None = None
    ) -> list[EventData]:
        """Append a message that the customer sent some time ago."""
        self.position = position or self.position + 1
        return self.tell(
            MessageAppended(
                conversation_id="c1",
                position=self.position,
                direction="in",
                message_id=f"m{self.position}",
                content=content or Text(text="hello"),
                sent_at=self.now - ago,
            )
        )

    def replies(
        self, reply_id: str = "r1", *, by: AuthorKind = AuthorKind.AGENT, content: Content | None = None, **fields: Any
    ) -> list[EventData]:
        """Approve a reply."""
        author = Author(kind=by, id="author")
        data = ReplyApproved(
            conversation_id="c1", reply_id=reply_id, author=author, content=content or Text(text="answer"), epoch=1, **fields
        )
        return self.tell(data)

    def requested(self, reply_id: str = "r1", *, by: AuthorKind = AuthorKind.AGENT, content: Content | None = None) -> SendRequested:
        """Approve a reply that has to go out."""
        return only(SendRequested, self.replies(reply_id, by=by, content=content))

    def withheld(self, reply_id: str = "r1", *, by: AuthorKind = AuthorKind.AGENT, content: Content | None = None) -> SendWithheld:
        """Approve a reply that may not go out."""
        return only(SendWithheld, self.replies(reply_id, by=by, content=content))

    def accepted(self, send: SendRequested, *, ago: timedelta = timedelta(0)) -> list[EventData]:
        """Let the channel accept a send."""
        return self.tell(SendAccepted(send_id=send.send_id, message_id=f"n-{send.send_id}", at=self.now - ago))

    def sent(self, send: SendRequested, *, with_send_id: bool = True) -> list[EventData]:
        """Let the channel send a message on."""
        return self.tell(MessageSent(message_id=f"n-{send.send_id}", send_id=send.send_id if with_send_id else None, at=self.now))

    def refused(self, send: SendRequested, class_: FailureClass, *, final: bool = True) -> list[EventData]:
        """Let the channel refuse a send."""
        return self.tell(SendRefused(send_id=send.send_id, failure=failure(class_), at=self.now, final=final))

    def failed(self, send: SendRequested, class_: FailureClass, *, with_send_id: bool = True) -> list[EventData]:
        """Let the channel give an accepted message up."""
        send_id = send.send_id if with_send_id else None
        return self.tell(MessageFailed(message_id=f"n-{send.send_id}", send_id=send_id, at=self.now, failure=failure(class_)))

    def answers(self, reply_id: str = "r1", *, by: AuthorKind = AuthorKind.AGENT) -> list[EventData]:
        """Approve a reply that the channel accepts at once."""
        send = self.requested(reply_id, by=by)
        return self.accepted(send)

    def _opening(self, kind: type[F], fields: dict[str, Any]) -> F:
        """Return the event that begins or continues a conversation."""
        channel, account, customer = self.thread.split(":", 2)
        defaults: dict[str, Any] = {
            "conversation_id": "c1",
            "channel": channel,
            "account": account,
            "customer": Customer(id=customer, phone="+37120000000"),
            "language": "lv",
        }
        return kind(**(defaults | fields))


def only(kind: type[F], facts: list[EventData]) -> F:
    """Return the one fact, which must be of this kind."""
    assert [type(fact) for fact in facts] == [kind]
    fact = facts[0]
    assert isinstance(fact, kind)
    return fact


def of_kind(kind: type[F], facts: Sequence[EventData]) -> list[F]:
    """Return the facts of this kind."""
    return [fact for fact in facts if isinstance(fact, kind)]


def names(facts: list[EventData]) -> list[str]:
    """Return what was said, in order."""
    return [fact.NAME for fact in facts]
