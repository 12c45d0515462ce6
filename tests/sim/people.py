"""Who uses the contact centre: customers, agents and integrators, each a little unreliable, all from the seed.

Customers reach the vendor; agents and integrators read the topics and publish on them, as the public interface allows. They may repeat
what they said under the same id, say it late, or say something that is wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from shared.clock import to_epoch_milliseconds
from shared.engine.placement import partition_of
from shared.events import commands, work
from shared.events.envelope import EventData, new_event
from shared.events.shapes import Author, AuthorKind, Text
from shared.topics import AGENTS, COMMANDS, CONVERSATIONS, DELIVERIES, INBOUND, SLA, WORK, Topic
from tests.sim.dice import stream
from tests.sim.faults import Faults
from tests.sim.log import Entry, Log
from tests.sim.picture import Picture
from tests.sim.services import PARTITIONS, rules
from tests.sim.vendor import Vendor

DAY_SECONDS = 86_400.0
WORDS = (
    "what are your opening hours",
    "quanto custa a entrega",
    "hvað kostar sendingin",
    "agent",
    "I want to talk to a person",
    "atendente",
    "runāt ar cilvēku",
    "找客服",
    "quiero hablar con una persona",
    "tala við manneskju",
    "my parcel did not arrive and I am getting angry",
    "precio",
    "ok",
)
REPLY_CHARACTERS_MAX = 40
POISON = (b"{", b"", None, b"\xff\xfe", b'{"specversion":"1.0"}', b"[1,2,3]", b'"parley"')


class People:
    """Everybody outside. `poisoned` hears of a record that no reader can take, before it is written."""

    def __init__(
        self, seed: int, vendor: Vendor, log: Log, picture: Picture, faults: Faults, *, poisoned: Callable[[bytes | None, str], None]
    ) -> None:
        self._chance = stream(seed, "people")
        self._vendor = vendor
        self._log = log
        self._loop = log.loop
        self._picture = picture
        self._faults = faults
        self._poisoned = poisoned
        self._ids = itertools.count(1)
        self._stopped = False
        accounts = [key.split(":", 1)[1] for key in rules().centre.accounts]
        number = self._chance.choice((2, 4, 8, 16))
        self._customers = [(self._chance.choice(accounts), f"3519120000{index:02d}") for index in range(number)]
        self._messages_per_day = self._chance.choice((10, 20, 40))
        self._laziness = self._chance.choice((0.0, 0.1, 0.4))

    # --- customers --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin the day."""
        for name, agent in sorted(rules().centre.agents.items()):
            self._loop.at(self._chance.uniform(0, 60), self._sign_in, name, agent.pool)
        self._next_customer()
        self._loop.at(self._chance.uniform(0, 7200), self._interfere)

    def stop(self) -> None:
        """Go home: nothing new is begun."""
        self._stopped = True

    def _next_customer(self) -> None:
        if self._stopped:
            return
        account, phone = self._chance.choice(self._customers)
        burst = self._chance.choice((1, 1, 1, 2, 4))
        at = 0.0
        for _ in range(burst):
            late = timedelta(seconds=self._chance.choice((0, 0, 0, 0, 30, 3600, 86_000)) * self._chance.random())
            self._loop.at(at, self._write, account, phone, self._chance.choice(WORDS), late)
            at += self._chance.choice((0.0, 0.1, 30.0)) * self._chance.random()
        self._loop.at(self._chance.expovariate(self._messages_per_day / 1.8 / DAY_SECONDS), self._next_customer)

    def _write(self, account: str, phone: str, text: str, late: timedelta) -> None:
        self._vendor.customer_writes(account, phone, text, late=late)

    # --- agents -----------------------------------------------------------------------------------------------------

    def _sign_in(self, agent: str, pool: str) -> None:
        """Sign in; sometimes sign out or go away later, and come back."""
        if self._stopped:
            return
        self._publish(AGENTS, pool, work.AgentSignedIn(agent=agent))
        self._loop.at(1, self._publish, AGENTS, pool, work.AgentStatusChanged(agent=agent, status=work.AgentStatus.AVAILABLE))
        if self._chance.random() < 0.3:
            leave = self._chance.uniform(600, DAY_SECONDS / 2)
            self._loop.at(leave, self._publish, AGENTS, pool, work.AgentSignedOut(agent=agent))
            self._loop.at(leave + self._chance.uniform(10, 20_000), self._sign_in, agent, pool)

    def assigned(self, thread: str, data: dict[str, Any], pool: str) -> None:
        """Hear of an assignment: take it, decline it, or let it lapse."""
        agent, conversation = data["agent"], data["conversation_id"]
        roll = self._chance.random()
        delay = self._chance.choice((1.0, 20.0, 70.0)) * self._chance.random()
        if roll < self._laziness:
            return
        if roll < self._laziness + 0.05:
            self._loop.at(delay, self._publish, AGENTS, pool, work.WorkDeclined(agent=agent, conversation_id=conversation))
            return
        self._loop.at(delay, self._publish, AGENTS, pool, work.WorkAccepted(agent=agent, conversation_id=conversation))
        self._loop.at(delay + self._chance.uniform(1, 600), self._attend, thread, agent, self._chance.randint(0, 2))

    def _attend(self, thread: str, agent: str, more: int) -> None:
        """Answer as the owner that one takes oneself to be, then end the conversation somehow."""
        seen = self._picture.threads.get(thread)
        if seen is None:
            return
        author = Author(kind=AuthorKind.AGENT, id=agent)
        self._say(thread, author, seen.epoch)
        if more:
            self._loop.at(self._chance.uniform(1, 1200), self._attend, thread, agent, more - 1)
            return
        colleague = self._chance.choice(sorted(rules().centre.agents))
        in_an_hour = self._loop.wall() + timedelta(minutes=self._chance.uniform(1, 120))
        ends: tuple[commands.Command, ...] = (
            commands.Close(author=author, reason="answered"),
            commands.Close(author=author, reason="answered"),
            commands.Close(author=author, reason="answered"),
            commands.Transfer(author=author, agent=colleague),
            commands.Transfer(author=author, department="support"),
            commands.HandOff(author=author, summary="somebody else"),
            commands.Snooze(author=author, until=in_an_hour),
            commands.Snooze(author=author, until_reply=True),
            commands.AddNote(author=author, text="a note"),
            commands.SendTemplate(author=author, reply_id=f"template/{next(self._ids)}", purpose="come_back"),
        )
        self._loop.at(self._chance.uniform(0, 1800), self._publish, COMMANDS, thread, self._chance.choice(ends))

    def _say(self, thread: str, author: Author, epoch: int | None) -> None:
        """Reply; now and then twice, as two commands with one reply id."""
        reply = commands.Reply(author=author, epoch=epoch, reply_id=f"reply/{next(self._ids)}", content=Text(text="an answer"))
        self._publish(COMMANDS, thread, reply)
        if self._chance.random() < 0.1:
            self._loop.at(self._chance.uniform(0, 100), self._publish, COMMANDS, thread, reply)

    # --- integrators --------------------------------------------------------------------------------------------------

    def _interfere(self) -> None:
        """Do now and then what integrators do."""
        if self._stopped:
            return
        self._loop.at(self._chance.expovariate(12 / DAY_SECONDS), self._interfere)
        if self._faults.draw("poison", "integrator"):
            self._spoil()
        if not self._picture.threads:
            return
        thread = self._chance.choice(sorted(self._picture.threads))
        seen = self._picture.threads[thread]
        bot = Author(kind=AuthorKind.BOT, id="bot")
        desk = Author(kind=AuthorKind.INTEGRATION, id="desk")
        roll = self._chance.random()
        if roll < 0.3:
            self._say(thread, bot, max(0, seen.epoch - self._chance.randint(0, 2)))
        elif roll < 0.4:
            self._publish(COMMANDS, thread, commands.SetPriority(author=desk, priority=self._chance.randint(0, 3)))
        elif roll < 0.5:
            self._publish(COMMANDS, thread, commands.Assign(author=desk, agent=self._chance.choice(sorted(rules().centre.agents))))
        elif roll < 0.6:
            self._publish(COMMANDS, thread, commands.Close(author=desk, reason="cleaned up"))
        elif roll < 0.7:
            self._publish(COMMANDS, thread, commands.Reopen(author=desk))
        elif roll < 0.8:
            self._publish(COMMANDS, thread, commands.SetLanguage(author=desk, language=self._chance.choice(("pt", "lv", "en", "es"))))
        else:
            self._publish(COMMANDS, thread, commands.HandOff(author=desk, priority=self._chance.randint(0, 2)))

    def _spoil(self) -> None:
        """Write what nobody can read: broken JSON, a type of tomorrow, a foreign subject, a record on the wrong partition."""
        topic = self._chance.choice((INBOUND, DELIVERIES, COMMANDS, CONVERSATIONS, SLA, WORK, AGENTS))
        thread = self._chance.choice(sorted(self._picture.threads) or ["whatsapp:100000000000001:351912000000"])
        key = "customers" if topic.key == "pool" else thread
        kind = self._chance.choice(("broken", "tomorrow", "foreign"))
        event = new_event(
            commands.AddNote(author=Author(kind=AuthorKind.INTEGRATION, id="x"), text="x"),
            event_id=f"people/{next(self._ids)}",
            source="https://integrator.example",
            subject="somebody-else" if kind == "foreign" else key,
            time=self._loop.wall(),
        )
        value: bytes | None = event.to_json()
        if kind == "broken":
            value = self._chance.choice(POISON)
            value = value + b" " * next(self._ids) if value else value
        elif kind == "tomorrow":
            value = (value or b"").replace(b"parley.add_note.v1", b"parley.of_tomorrow.v1")
        else:
            topic = COMMANDS
            key = thread
        for written in (value, value or b""):  # what is forwarded from the wrong partition has a value, if an empty one
            self._poisoned(written, kind)
        self._write_record(topic, key, value)

    # --- writing ------------------------------------------------------------------------------------------------------

    def _publish(self, topic: Topic, key: str, data: EventData) -> None:
        """Publish an event; now and then again under the same id, because no answer came."""
        event = new_event(data, event_id=f"people/{next(self._ids)}", source="https://desk.example", subject=key, time=self._loop.wall())
        value = event.to_json()
        if self._chance.random() < 0.1:
            value = value.replace(b'"data":{', b'"data":{"unheard_of":{"a":[1]},', 1)
        self._write_record(topic, key, value)
        if self._chance.random() < 0.1:
            self._loop.at(self._chance.choice((0.01, 60.0)), self._write_record, topic, key, value)

    def _write_record(self, topic: Topic, key: str, value: bytes | None) -> None:
        if self._log.is_down:
            self._loop.at(self._chance.uniform(1, 30), self._write_record, topic, key, value)
            return
        partition = partition_of(key.encode(), PARTITIONS)
        if self._faults.draw("poison", "partitioner"):
            partition = (partition + 1) % PARTITIONS
        entry = Entry(key.encode(), value, to_epoch_milliseconds(self._loop.wall()))
        self._log.append(topic.name, partition, [entry], writer="people")
