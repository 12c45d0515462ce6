"""What the router's tests share: a small contact centre, and a driver that feeds one key of a reducer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from services.router.core.conversation import ConversationReducer
from services.router.core.departments import KeywordIndex
from services.router.core.dispatch import DispatchReducer
from services.router.core.floor import DispatchRules
from services.router.core.rules import ConversationRules, Detect
from services.router.state import ConversationState, DispatchState
from shared.contact_centre.models import Account, Agent, ContactCentre, Department, MessageTemplate, Pool, TemplateText
from shared.engine.reducer import Output, Reducer, TimerFired
from shared.events.envelope import EventData, new_event
from shared.events.inbound import MessageReceived
from shared.events.shapes import Author, AuthorKind, Customer, Origin, Text

S = TypeVar("S", bound=BaseModel)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
THREAD = "chat:1:customer"
POOL = "customers"
BOT = Author(kind=AuthorKind.BOT, id="bot")
ANA = Author(kind=AuthorKind.AGENT, id="ana")
BEN = Author(kind=AuthorKind.AGENT, id="ben")
CRM = Author(kind=AuthorKind.INTEGRATION, id="crm")


def agent(languages: tuple[str, ...], departments: tuple[str, ...], *, pool: str = POOL, **more: Any) -> Agent:
    """Return an agent on the day shift with three slots."""
    return Agent(name=more.pop("name", "Desk"), pool=pool, languages=languages, departments=departments, calendar="day", **more)


def centre(**changes: Any) -> ContactCentre:
    """Return the contact centre of the tests; `changes` replace its parts."""
    parts: dict[str, Any] = {
        "name": "Example",
        "languages": ("en", "pt", "zh", "lv"),
        "fallback_language": "en",
        "departments": {
            "sales": Department(pool=POOL, keywords={"en": ("price",), "zh": ("价格",)}),
            "support": Department(pool=POOL, keywords={"en": ("broken", "does not work")}),
            "billing": Department(pool="money", keywords={"en": ("invoice",)}),
        },
        "pools": {POOL: Pool(sticky_hours=24), "money": Pool(), "spare": Pool()},
        "agents": {
            "ana": agent(("en", "pt"), ("sales", "support"), name="Desk A"),
            "ben": agent(("en", "lv"), ("sales", "support"), name="Desk B", skills=("warranty",)),
            "mia": agent(("en", "pt"), ("billing",), pool="money", name="Desk M"),
        },
        "calendars": {},
        "accounts": {
            "chat:1": Account(title="Sales", department="sales", priority=1),
            "chat:2": Account(title="Support in Portuguese", department="support", language="pt"),
        },
        "templates": (
            MessageTemplate(
                name="welcome_back",
                channel="chat",
                purpose="come_back",
                category="utility",
                languages={"en": TemplateText(body="We are back."), "lv": TemplateText(body="Esam atpakaļ.")},
            ),
            MessageTemplate(
                name="invoice_ready",
                channel="chat",
                purpose="invoice",
                category="utility",
                accounts=("chat:2",),
                languages={"pt": TemplateText(body="A fatura {{1}}.", parameters=1)},
            ),
        ),
    }
    return ContactCentre(**(parts | changes))


def nothing_detected(_text: str) -> tuple[str, float] | None:
    """Detect no language in any text."""
    return None


class Driver(Generic[S]):
    """One key of a reducer: takes events one after the other and keeps the state, as the engine would.

    Every state goes through JSON, so that a state that could not be saved is found at once.
    """

    def __init__(self, reducer: Reducer[S], key: str) -> None:
        self.reducer = reducer
        self.key = key
        self.now = NOON
        self.saved: S | None = None
        self.outputs: list[Output] = []
        self._number = 0

    @property
    def state(self) -> S:
        """Return the state; there must be one."""
        assert self.saved is not None
        return self.saved

    def take(self, data: EventData, *, emitter: str | None = None, seq: int | None = None) -> list[Any]:
        """Decide about `data` and return what is published, in order."""
        self._number += 1
        event = new_event(data, event_id=f"e{self._number}", source="test", subject=self.key, time=self.now, emitter=emitter, seq=seq)
        decision = self.reducer.decide(self.saved, event, self.now)
        if decision.state is not None:
            assert type(decision.state).model_validate_json(decision.state.model_dump_json()) == decision.state
        self.saved = decision.state
        self.outputs = list(decision.outputs)
        return [output.data for output in decision.outputs]

    def passes(self, **duration: float) -> list[Any]:
        """Let time pass; timers that come due meanwhile fire in their order, and what they publish is returned."""
        end = self.now + timedelta(**duration)
        published: list[Any] = []
        while self.saved is not None and (due := self.reducer.due(self.saved)) is not None and due <= end:
            self.now = max(due, self.now)
            published += self.take(TimerFired(due_at=due))
        self.now = end
        return published

    def routed(self) -> list[tuple[str, str]]:
        """Return topic and key of what was published last."""
        return [(output.topic.name, output.key) for output in self.outputs]


def thread(*, detect: Detect = nothing_detected, key: str = THREAD, **changes: Any) -> Driver[ConversationState]:
    """Return a thread of which nothing is known yet."""
    house = centre(**changes)
    rules = ConversationRules(centre=house, detect=detect, keywords=KeywordIndex(house.departments), channel_classes={"shop": "live"})
    return Driver(ConversationReducer(rules), key)


def always(_agent: str, _at: datetime) -> bool:
    """Have everybody on shift."""
    return True


def no_shift(_agent: str, _after: datetime) -> datetime | None:
    """Have no shift begin."""
    return None


def pool(*, on_shift: Any = always, next_shift: Any = no_shift, key: str = POOL, **changes: Any) -> Driver[DispatchState]:
    """Return a pool of which nothing is known yet."""
    return Driver(DispatchReducer(DispatchRules(centre=centre(**changes), on_shift=on_shift, next_shift=next_shift)), key)


def message(
    text: str = "Hello", *, number: int = 1, minute: float = 0, account: str = "1", origin: Origin | None = None, **customer: Any
) -> MessageReceived:
    """Return a customer's message, sent `minute` minutes after NOON."""
    sent_at = NOON + timedelta(minutes=minute)
    return MessageReceived(
        channel="chat",
        account=account,
        message_id=f"m{number}",
        customer=Customer(id="customer", **customer),
        content=Text(text=text),
        sent_at=sent_at,
        received_at=sent_at,
        origin=origin,
    )


def names(published: list[Any]) -> list[str]:
    """Return the names of what was published."""
    return [data.NAME for data in published]


def only(published: list[Any], kind: type[EventData]) -> Any:
    """Return the one event of `kind` among what was published."""
    found = [data for data in published if isinstance(data, kind)]
    assert len(found) == 1, names(published)
    return found[0]
