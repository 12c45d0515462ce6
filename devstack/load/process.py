"""A load in a process of its own, so that what measures and what is measured share no event loop."""

from __future__ import annotations

import asyncio
import sys
from itertools import islice
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, SecretStr, field_serializer

from devstack.load.generator import Result, run_closed, run_open
from devstack.load.pace import Arrivals, ClosedLoop, OpenLoop, quantile
from devstack.load.requests import Script, sends, webhooks

SECONDS_BEYOND_LOAD_MAX = 120.0
"""How much longer than the load itself its process may take: it makes the requests first and waits for the last answers."""
MILLISECONDS = 1000


class LoadError(RuntimeError):
    """The generator's process failed; the message is its own."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OpenPace(_Frozen):
    """A fixed arrival rate, whatever the answers do."""

    kind: Literal["open"] = "open"
    per_second: PositiveFloat
    count: PositiveInt


class ClosedPace(_Frozen):
    """As fast as the connections are answered. `different_requests` is how many are made before; they are sent round and round."""

    kind: Literal["closed"] = "closed"
    seconds: PositiveFloat
    warm_up_seconds: float = Field(default=2.0, ge=0)
    different_requests: PositiveInt = 20_000


class Load(_Frozen):
    """A whole load. `secret` signs webhooks; for calls of the channel's API it is the access token."""

    what: Literal["webhooks", "sends"] = "webhooks"
    url: str
    secret: SecretStr
    accounts: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    customers: PositiveInt
    first_customer: int = Field(default=0, ge=0)
    run: str = "load"
    items_per_post: PositiveInt = 1
    connections: PositiveInt = 64
    pace: Annotated[OpenPace | ClosedPace, Field(discriminator="kind")]

    @field_serializer("secret", when_used="json")
    def _secret_for_the_process(self, secret: SecretStr) -> str:
        return secret.get_secret_value()

    @property
    def script(self) -> Script:
        """Return who writes what."""
        return Script(self.accounts, self.texts, self.customers, self.first_customer, self.run)


class Report(_Frozen):
    """What a load found. `statuses` counts HTTP statuses (0: the connection was lost); `late_milliseconds_p99` is how late requests left.

    Latencies of an open load count from the intended moment, so they contain the lateness. `started_at` is the intended moment of
    request 0 in seconds since 1970.
    """

    started_at: float
    seconds: float
    per_second: float
    requests: int
    statuses: dict[int, int]
    unanswered: int
    milliseconds_p50: float
    milliseconds_p99: float
    milliseconds_max: float
    late_milliseconds_p99: float


async def run_load(load: Load) -> Report:
    """Run `load` in this process."""
    target = urlsplit(load.url)
    host, port = target.hostname or "127.0.0.1", target.port or 80
    secret = load.secret.get_secret_value()
    made = (
        webhooks(load.script, load.url, secret, items_per_post=load.items_per_post)
        if load.what == "webhooks"
        else sends(load.script, load.url, secret)
    )
    pace = load.pace
    if isinstance(pace, OpenPace):
        plan = OpenLoop(Arrivals(pace.per_second, pace.count), load.connections)
        requests = list(islice(made, pace.count))
        return report_of(await run_open(plan, requests, host=host, port=port, connections=load.connections))
    closed = ClosedLoop(warm_up=pace.warm_up_seconds, seconds=pace.seconds)
    requests = list(islice(made, pace.different_requests))
    return report_of(await run_closed(closed, requests, host=host, port=port, connections=load.connections))


def report_of(result: Result) -> Report:
    """Return the figures of a run."""
    answers = result.answers
    if not answers.latencies:
        raise LoadError("not one request was answered: is the address right?")
    return Report(
        started_at=result.started_at,
        seconds=result.seconds,
        per_second=result.per_second,
        requests=len(answers.latencies),
        statuses=dict(answers.statuses),
        unanswered=result.unanswered,
        milliseconds_p50=quantile(answers.latencies, 0.5) * MILLISECONDS,
        milliseconds_p99=quantile(answers.latencies, 0.99) * MILLISECONDS,
        milliseconds_max=max(answers.latencies) * MILLISECONDS,
        late_milliseconds_p99=quantile(answers.late, 0.99) * MILLISECONDS if answers.late else 0.0,
    )


async def run_load_apart(load: Load) -> Report:
    """Run `load` in a process of its own. Raises LoadError where that fails."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "devstack.load",
        "--plan",
        "-",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    lasts = load.pace.count / load.pace.per_second if isinstance(load.pace, OpenPace) else load.pace.seconds + load.pace.warm_up_seconds
    try:
        async with asyncio.timeout(lasts + SECONDS_BEYOND_LOAD_MAX):
            output, errors = await process.communicate(load.model_dump_json().encode())
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        raise LoadError(f"the load's process ended with {process.returncode}: {errors.decode('utf-8', 'replace').strip()[-500:]}")
    return Report.model_validate_json(output)
