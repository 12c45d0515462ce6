"""A whole stack under load: customers who ask what the bot knows, and when each answer arrived at the channel.

Webhooks leave in an open loop, whatever the answers do. The emulator's log says when each answer arrived; the n-th send to a
customer answers that customer's n-th question, because effects happen in order.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
from pydantic import SecretStr

from devstack.emulator.client import EmulatorClient, WaitTimeoutError, connect
from devstack.load.pace import quantile
from devstack.load.process import Load, OpenPace, Report, run_load_apart
from devstack.load.requests import Script, customer_fields
from devstack.stack import EMULATED_CHANNEL, Stack, StackOptions, running_stack

DEPARTMENTS = ("sales", "support", "billing")
"""Whose numbers the customers write to: those where the bot knows the FAQ."""
QUESTIONS_PER_CUSTOMER = 3
QUESTIONS = (
    ("Bom dia, qual é o prazo de entrega?", "Quais são as formas de pagamento?", "Vocês abrem no sábado?"),
    ("你们的营业时间是什么时候？", "送货需要多长时间？", "有哪些付款方式？"),
    ("Labdien, kāds ir darba laiks?", "Cik ilgi jāgaida piegāde?", "Vai varu maksāt ar karti?"),
    ("Góðan dag, hver er opnunartíminn?", "Hvað tekur sendingin langan tíma?", "Hvernig get ég borgað?"),
    ("What are your opening hours?", "How many days does shipping take?", "Which payment methods do you accept?"),
    ("Hola, ¿cuánto cuesta el envío?", "¿Cuál es el plazo de entrega?", "¿Cuáles son los gastos de envío?"),
)
"""What customers ask, per language of the example: the FAQ knows all of it."""
ANSWERS_SECONDS_MAX = 60.0
"""How long after the last question its answer is waited for."""
CUSTOMERS_PER_CALL = 500
LOG_ENTRIES_MAX = 2_000_000
EMULATOR: dict[str, Any] = {
    "log_entries_max": LOG_ENTRIES_MAX,
    "whatsapp": {
        # The vendor raises a number that qualifies to 1,000 a second, and a business may have many numbers.
        "limits": {"throughput_per_second": 100_000, "pair_interval_seconds": 0},
        "batch_items_max": 200,
        "batch_linger_seconds": 0.05,
    },
}
ENVIRONMENT = {"PARLEY_WHATSAPP_SENDS_PER_SECOND": "1000", "PARLEY_WHATSAPP_PAIR_INTERVAL_SECONDS": "0"}
NO_ITEMS = '{"object":"whatsapp_business_account","entry":[]}'
HELD_LATENCY_SECONDS_MAX = 2.0
HELD_GROWTH_MAX = 2.0
GROWTH_COUNTS_FROM_SECONDS = 0.5
"""Below this, twice as late is noise and no growing lag."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One rate, tried: latencies in the order of the questions (None: no answer came), and what the generator saw."""

    rate: float
    seconds: float
    script: Script
    latencies: tuple[float | None, ...]
    generator: Report
    lag_seconds: dict[str, float]

    @property
    def answered(self) -> list[float]:
        """Return the latencies of the questions that were answered, in seconds."""
        return [latency for latency in self.latencies if latency is not None]

    @property
    def unanswered(self) -> int:
        """Return how many questions have no answer."""
        return len(self.latencies) - len(self.answered)

    def quarter(self, number: int) -> float:
        """Return the median latency of a quarter (0 to 3) of the trial, in seconds; infinite where nothing was answered."""
        size = max(1, len(self.latencies) // 4)
        found = [latency for latency in self.latencies[number * size : (number + 1) * size] if latency is not None]
        return quantile(found, 0.5) if found else float("inf")

    @property
    def held(self) -> bool:
        """Return whether the answers kept up: all came, in the end still soon, and not ever later."""
        second, last = self.quarter(1), self.quarter(3)
        growing = last > HELD_GROWTH_MAX * second and last > GROWTH_COUNTS_FROM_SECONDS
        return not self.unanswered and set(self.generator.statuses) == {200} and last < HELD_LATENCY_SECONDS_MAX and not growing


class House:
    """A running stack, and the customers who write to it; each load has customers of its own."""

    def __init__(self, stack: Stack, emulator: EmulatorClient) -> None:
        self.stack = stack
        self.emulator = emulator
        accounts = stack.centre.accounts.items()
        self._accounts = tuple(key.split(":", 1)[1] for key, account in accounts if account.department in DEPARTMENTS)
        self._customers = 0
        self._log_read = 0

    def script(self, messages: int, run: str) -> Script:
        """Return who asks `messages` questions."""
        customers = max(1, messages // QUESTIONS_PER_CUSTOMER)
        first, self._customers = self._customers, self._customers + customers
        return Script(self._accounts, QUESTIONS, customers, first, f"{run}-{first}")

    async def introduce(self, script: Script) -> None:
        """Let the emulator know the customers and open their windows, by messages that it writes and whose webhooks hold nothing."""
        for start in range(0, script.customers, CUSTOMERS_PER_CALL):
            numbers = range(start, min(script.customers, start + CUSTOMERS_PER_CALL))
            await self.emulator.put_customers([customer_fields(script.customer(number)) for number in numbers])
            written = [
                {"type": "message", "customer": script.customer(number).id, "phone_number_id": script.account(number), "content": "…"}
                for number in numbers
            ]
            await self.emulator.webhook(written, raw_body=NO_ITEMS)

    def load(self, script: Script, rate: float, posts: int, *, items_per_post: int = 1) -> Load:
        """Return the load of signed webhooks."""
        return Load(
            url=f"{self.stack.ingest_url}/channels/{EMULATED_CHANNEL}",
            secret=SecretStr(self.stack.secrets["app_secret"]),
            accounts=script.accounts,
            texts=script.texts,
            customers=script.customers,
            first_customer=script.first_customer,
            run=script.run,
            items_per_post=items_per_post,
            pace=OpenPace(per_second=rate, count=posts),
        )

    async def trial(self, rate: float, seconds: float) -> Trial:
        """Try one rate."""
        count = max(1, round(rate * seconds))
        script = self.script(count, f"at-{rate:g}")
        await self.introduce(script)
        await self._arrivals()
        accepted = (await self.emulator.counts()).get("sends.accepted", 0)
        generator = await run_load_apart(self.load(script, rate, count))
        lag = await self.gauges("parley_lag_seconds")
        with contextlib.suppress(WaitTimeoutError):  # what is missing is in the trial
            await self.emulator.wait_for_count("sends.accepted", accepted + count, within_seconds=ANSWERS_SECONDS_MAX)
        arrivals = await self._arrivals()
        latencies = tuple(self._latency(script, number, rate, generator, arrivals) for number in range(count))
        await self.settle()
        return Trial(rate, seconds, script, latencies, generator, lag)

    async def direct(self, rate: float, seconds: float) -> Report:
        """Make the same number of calls to the channel's API without anything between."""
        count = max(1, round(rate * seconds))
        script = self.script(count, "direct")
        await self.introduce(script)
        token = SecretStr(self.stack.secrets["access_token"])
        calls = {"what": "sends", "url": self.stack.emulator_url, "secret": token}
        found = await run_load_apart(self.load(script, rate, count).model_copy(update=calls))
        await self.settle()
        return found

    async def gauges(self, metric: str) -> dict[str, float]:
        """Return a metric of all services by its first label."""
        found: dict[str, float] = {}
        async with aiohttp.ClientSession() as session:
            for port in self.stack.health_ports.values():
                async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                    for line in (await answer.text()).splitlines():
                        if line.startswith(metric + "{"):
                            found[line.split('"')[1]] = float(line.rsplit(" ", 1)[1])
        return found

    async def settle(self) -> bool:
        """Wait until statuses have come back too, so that one load does not burden the next; return whether they have."""
        try:
            await self.emulator.wait_until_quiet(within_seconds=ANSWERS_SECONDS_MAX)
        except WaitTimeoutError:
            return False
        return True

    async def _arrivals(self) -> dict[str, list[float]]:
        """Return, per customer, when answers arrived at the channel since the last call (seconds since 1970), in order."""
        arrivals: dict[str, list[float]] = defaultdict(list)
        while True:
            page = await self.emulator.log(self._log_read, kind="send", outcome="accepted")
            for entry in page["entries"]:
                arrivals[entry["customer"]].append(datetime.fromisoformat(entry["at"]).timestamp())
            self._log_read = page["cursor"]
            if not page["entries"]:
                return arrivals

    @staticmethod
    def _latency(script: Script, number: int, rate: float, generator: Report, arrivals: dict[str, list[float]]) -> float | None:
        turn = number // script.customers
        found = arrivals.get(script.customer(number).id, [])
        return found[turn] - (generator.started_at + number / rate) if turn < len(found) else None


@asynccontextmanager
async def opened_house(options: StackOptions) -> AsyncIterator[House]:
    """Start everything; see `load_options` for limits that a load does not reach."""
    async with running_stack(options) as stack, connect(stack.emulator_url) as emulator:
        yield House(stack, emulator)
