"""The judge of bad input finds what it looks for: each of its checks fails where a fault is put in, and the input is kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

from services.ingest import core
from shared.channels.contract import Item, ItemEvent
from shared.channels.discover import channel_names
from shared.engine.step import Engine
from tests.fuzz import canaries
from tests.fuzz.cases import Case, keep, kept
from tests.fuzz.channels import Trusting, good_webhooks, sites
from tests.fuzz.logs import captured_logs
from tests.fuzz.oracle import BrokenPromiseError, Ending, Judge, memory_allowed
from tests.fuzz.running import fuzz
from tests.fuzz.targets.find import targets
from tests.fuzz.targets.webhooks import Webhooks

CHANNEL = channel_names()[0]


class Scripted:
    """A target that does as it is told."""

    name = "scripted"
    share = 1.0

    def __init__(self, act: Callable[[Case], Awaitable[Ending]]) -> None:
        self._act = act

    async def carry_out(self, case: Case) -> Ending:
        """Act."""
        return await self._act(case)

    def make(self, seed: int, number: int) -> Case:
        """Return an input that says nothing."""
        return Case(self.name, "none", b"x", {}, seed, number)


def verdict(act: Callable[[Case], Awaitable[Ending]], **bounds: float) -> str:
    """Return the promise that `act` breaks; empty where it breaks none."""
    target = Scripted(act)

    async def judged() -> str:
        with captured_logs() as captured:
            try:
                await Judge(captured, **bounds).judge(target, target.make(1, 1), watch_memory=True)
            except BrokenPromiseError as error:
                return error.rule
        return ""

    return asyncio.run(judged())


async def good(_case: Case) -> Ending:
    """End well."""
    return Ending.IGNORED


def test_a_target_that_ends_well_breaks_nothing() -> None:
    """What the other tests are measured against."""
    assert verdict(good) == ""


def test_an_exception_is_a_crash() -> None:
    """Whatever was raised."""

    async def fail(_case: Case) -> Ending:
        raise ZeroDivisionError

    assert verdict(fail) == "crash"


def test_processor_time_above_the_bound_is_a_hang() -> None:
    """Counted in processor time, so that only the code under test can lengthen it."""

    async def compute(_case: Case) -> Ending:
        end = time.process_time() + 0.2
        while time.process_time() < end:
            pass
        return Ending.IGNORED

    assert verdict(compute, cpu_seconds_max=0.1) == "hang"
    assert verdict(compute) == ""


@pytest.mark.parametrize("waits", [False, True])
def test_what_never_ends_is_ended(waits: bool) -> None:  # noqa: FBT001 # a parameter of the table
    """A loop without end, and a wait without end."""

    async def never(_case: Case) -> Ending:
        while True:
            if waits:
                await asyncio.Event().wait()

    assert verdict(never, endless_seconds=0.2, wall_seconds_max=0.5) == "hang"


def test_memory_above_the_bound_is_found() -> None:
    """The highest point counts, not what is left in the end; small inputs have a base."""

    async def swell(_case: Case) -> Ending:
        return Ending.IGNORED if bytearray(3 * 1024 * 1024) else Ending.EVENTS

    assert verdict(swell) == "memory"
    assert memory_allowed(3 * 1024 * 1024) == 30 * 1024 * 1024
    assert memory_allowed(100) < 2 * 1024 * 1024
    assert memory_allowed(1_000_000) == 24 * 1024 * 1024


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": f"could not read {canaries.TEXT} 7 my PIN is 4711"},
        {"offset": int(canaries.PHONE_DIGITS + "5")},
        {"account": canaries.PHONE_DIGITS + "5"},
        {"instance": "+351 966 610-005"},
        {"detail": [{"deep": f"{canaries.SECRET}-0"}]},
    ],
)
def test_a_planted_word_number_or_secret_in_a_log_line_is_found(fields: dict[str, Any]) -> None:
    """As an operator would see the line: in whatever field, however it is written."""

    async def talk(_case: Case) -> Ending:
        structlog.get_logger("fuzz").warning("item.rejected", **fields)
        return Ending.IGNORED

    assert verdict(talk) == "log"


def test_a_log_line_without_anything_planted_is_no_fault() -> None:
    """Lines are allowed."""

    async def talk(_case: Case) -> Ending:
        structlog.get_logger("fuzz").warning("item.rejected", channel="x", text=f"{canaries.TEXT}: redacted by its name")
        return Ending.IGNORED

    assert verdict(talk) == ""


# --- faults put into the product ----------------------------------------------------------------------------------------


def found(name: str, inputs: int, *, seed: int = 1) -> set[str]:
    """Return the promises that `inputs` inputs of a target see broken."""
    return set(fuzz(targets()[name], range(40, 40 + inputs), seed, folder=None).failed)


def test_a_lost_neighbour_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel that stops at the first item that it cannot read."""
    whole = Trusting.parse

    def parse(self: Trusting, body: bytes, received_at: datetime, *, account: str | None = None) -> tuple[Item, ...]:
        items = whole(self, body, received_at, account=account)
        bad = next((number for number, item in enumerate(items) if not isinstance(item, ItemEvent)), len(items))
        return items[: bad + 1]

    monkeypatch.setattr(Trusting, "parse", parse)
    assert "neighbour" in found(f"webhooks:{CHANNEL}", 100)


def test_a_webhook_that_leaves_no_trace_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answered with 200, and nothing was written or counted."""
    monkeypatch.setattr(Trusting, "parse", lambda *_, **__: ())
    assert found(f"webhooks:{CHANNEL}", 60) >= {"vanished"}


def test_an_error_of_ours_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is answered with 500."""

    def fail(*_: object, **__: object) -> tuple[Item, ...]:
        raise KeyError

    monkeypatch.setattr(Trusting, "parse", fail)
    assert found(f"webhooks:{CHANNEL}", 60) >= {"status"}


def test_a_record_that_nobody_can_read_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event without its source."""
    monkeypatch.setattr(core, "SOURCE", "")
    assert found(f"webhooks:{CHANNEL}", 60) >= {"record"}


def test_a_webhook_that_nobody_signed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """It must be refused."""
    monkeypatch.setattr(Trusting, "verify", lambda *_, **__: True)
    assert found(f"webhooks:{CHANNEL}", 200) >= {"signature"}


def test_a_rule_that_raises_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A valid event that the rule cannot take parks its key: a bug, never an answer."""
    names = [name for name in targets() if name.startswith("reducer:")]
    target: Any = targets()[names[0]]
    monkeypatch.setattr(type(target._reducer), "decide", lambda *_: 1 // 0)
    assert found(names[0], 30) >= {"rule"}


def test_a_lost_neighbour_of_a_record_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that takes only the first record of a batch and says it took all."""
    whole = Engine.step

    def step(self: Engine[Any], shard: int, inputs: Any, *more: Any) -> Any:
        plan = whole(self, shard, inputs[:1], *more)
        for one in inputs[1:]:
            plan.commits[one.topic] = max(plan.commits.get(one.topic, 0), one.offset + 1)
        plan.taken = len(inputs)
        return plan

    monkeypatch.setattr(Engine, "step", step)
    name = next(name for name in targets() if name.startswith("reducer:"))
    assert "neighbour" in found(name, 60)


# --- inputs that are kept -----------------------------------------------------------------------------------------------


def test_an_input_that_fails_is_kept_and_is_the_same_when_it_is_read_again(tmp_path: Path) -> None:
    """To the byte, with how to make it again."""

    async def fail(_case: Case) -> Ending:
        raise ZeroDivisionError

    score = fuzz(Scripted(fail), range(5), 7, folder=tmp_path)
    assert score.failed == {"crash": 5}
    assert len(score.failures) == 3
    assert score.failures[0].case.origin == "python -m tests.fuzz --only scripted --seed 7 --number 0"
    case = targets()[f"webhooks:{CHANNEL}"].make(7, 50)
    assert Case.from_json(keep(case, "why", tmp_path).read_text("utf-8")) == case
    assert case in kept(tmp_path)


def test_the_same_seed_and_number_make_the_same_input() -> None:
    """In every target, whatever was tried before."""
    for target in targets().values():
        assert target.make(3, 77) == target.make(3, 77)
        assert any(target.make(3, number) != target.make(4, number) for number in range(77, 90))


def test_every_channel_has_places_for_a_bad_item_beside_a_good_one() -> None:
    """Found in its fixtures: without them, no neighbour would be looked for."""
    for channel in channel_names():
        assert len(sites(channel)) > 10
        assert len({len(site.path) for site in sites(channel)}) > 1
        assert all(orjson.loads(site.host) for site in sites(channel))
        assert good_webhooks(channel)
        assert Webhooks(channel).make(1, 60).body
