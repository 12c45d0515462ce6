"""The customers: they write through the day in the configured languages; some want a person, some come back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from cli.simulation.channel import TakeIn
from cli.simulation.world import World
from shared.channels.contract import Item, ItemEvent
from shared.contact_centre.models import ContactCentre
from shared.events.deliveries import MessageRead
from shared.events.envelope import Event
from shared.events.inbound import MessageReceived
from shared.events.sends import Lane, SendRequested
from shared.events.shapes import Customer, Text
from shared.ids import split_thread, thread_id, webhook_item_id
from shared.topics import INBOUND

HOURS = (1, 1, 1, 1, 1, 2, 4, 7, 10, 12, 12, 11, 9, 10, 11, 11, 10, 9, 8, 7, 6, 5, 3, 2)
"""How busy each hour of the day is (UTC), relative to the others."""
PERSON_SHARE = 0.35
"""Customers who ask for a person; the others ask what the FAQ knows."""
REDELIVERED_SHARE = 0.05
"""Webhooks that the provider delivers twice."""
FOLLOW_UP_SHARE = 0.5
"""Customers who write once more after a person has answered."""
FIRST_PHONE = 35_190_000_000


@dataclass(slots=True)
class Customers:
    """All customers of the days."""

    world: World
    chance: Random
    centre: ContactCentre
    take_in: TakeIn
    counts: Counter[str] = field(default_factory=Counter)
    _languages: dict[str, str] = field(default_factory=dict)
    _answered_by_person: dict[str, str] = field(default_factory=dict)

    def plan_day(self, day: datetime, number: int) -> None:
        """Put `number` customers of the day that begins at `day` on the agenda."""
        hours = self.chance.choices(range(len(HOURS)), weights=HOURS, k=number)
        for hour in hours:
            self.world.at(day + timedelta(hours=hour, seconds=self.chance.uniform(0, 3600)), self._begin)

    def hear(self, event: Event[Any]) -> None:
        """Write once more, some of us, when a person's answer was read."""
        data = event.data
        if isinstance(data, SendRequested) and data.lane is Lane.ANSWER:
            self._answered_by_person[data.send_id] = event.subject
        elif isinstance(data, MessageRead) and (thread := self._answered_by_person.pop(data.send_id or "", None)) is not None:
            self._maybe_follow_up(thread)

    def _maybe_follow_up(self, thread: str) -> None:
        """Let some customers write once more."""
        if self.chance.random() < FOLLOW_UP_SHARE:
            language = self._languages[thread]
            self.world.after(self.chance.uniform(20, 900), lambda: self._write(thread, self._question(language)))

    async def _begin(self) -> None:
        """Let a new customer write for the first time."""
        account_key = self.chance.choice(sorted(self.centre.accounts))
        channel, account = account_key.split(":", 1)
        self.counts["customers"] += 1
        thread = thread_id(channel, account, str(FIRST_PHONE + self.counts["customers"]))
        language = self._languages[thread] = self.chance.choice(self.centre.languages)
        flow = self.centre.flows.get(self.centre.accounts[account_key].flow or "")
        wishes = flow.person_words.get(language, ()) if flow is not None else ()
        wants_person = bool(wishes) and self.chance.random() < PERSON_SHARE
        self.counts[f"language {language}"] += 1
        await self._write(thread, self.chance.choice(wishes) if wants_person else self._question(language))

    def _question(self, language: str) -> str:
        """Return a question that the FAQ of `language` knows; a greeting where there is none."""
        questions = [question for entry in self.centre.faq for question in entry.questions.get(language, ())]
        return self.chance.choice(questions) if questions else "?"

    async def _write(self, thread: str, text: str) -> None:
        """Let a customer write; the provider may deliver it twice."""
        self.counts["messages.created"] += 1
        channel, account, customer = split_thread(thread)
        now = self.world.now()
        message_id = f"in.{self.counts['messages.created']}"
        data = MessageReceived(
            channel=channel,
            account=account,
            message_id=message_id,
            customer=Customer(id=customer, phone=f"+{customer}"),
            content=Text(text=text),
            sent_at=now,
            received_at=now,
        )
        items: list[Item] = [ItemEvent(INBOUND, thread, webhook_item_id(channel, account, "message", message_id), account, data, now)]
        await self.take_in(channel, items)
        if self.chance.random() < REDELIVERED_SHARE:
            self.counts["webhooks.redelivered"] += 1
            self.world.after(self.chance.uniform(1, 30), lambda: self.take_in(channel, items))
