"""`parley simulate`: days in simulated time."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.simulation.command import Script, play_days
from cli.tracing.story import Teller
from tests.cli.cli_world import NOON, Ran, parley

CONFIG = Path(__file__).resolve().parents[2] / "config"


def simulate(*arguments: str) -> Ran:
    """Simulate a small day."""
    return parley("simulate", "--customers", "25", *arguments)


def test_the_same_seed_is_the_same_day_and_everything_reconciles() -> None:
    """Two runs are equal to the last character; another seed is another day."""
    first, second, other = (simulate("--customers", "10", "--seed", seed) for seed in ("5", "5", "6"))
    assert first.code == second.code == other.code == 0, first.out
    assert first.out == second.out
    assert first.out != other.out
    assert "✗" not in first.out
    assert "times as fast as the clock" in first.err


def test_redeliveries_lost_answers_and_late_agents_are_part_of_the_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """Days hold what real ones hold, here often enough for a small one, and still every count reconciles."""
    monkeypatch.setattr("cli.simulation.desk.FORGOTTEN_SHARE", 0.5)
    monkeypatch.setattr("cli.simulation.customers.REDELIVERED_SHARE", 0.2)
    ran = simulate("--seed", "3")
    assert ran.code == 0, ran.out
    counts = {" ".join(line.split()[:-1]): line.split()[-1] for line in ran.out.splitlines() if line.strip()}
    assert int(counts["webhooks delivered twice"]) > 0
    assert int(counts["answers of agents"]) > 0
    assert int(counts["sent as template"]) + int(counts["answers withheld"]) > 0


async def test_every_event_of_a_day_can_be_told() -> None:
    """The story of `parley trace` knows words for whatever the services publish."""
    day = await play_days(Script(days=1, customers_per_day=25, seed=2, start=NOON, config=CONFIG))
    teller = Teller()
    told = [(teller.who(event), teller.what(event)) for event in day.board.by_id.values()]
    assert len(told) > 100
    assert all(who for who, _ in told)


def test_a_count_that_does_not_reconcile_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation is a test of the services as well."""
    monkeypatch.setattr(
        "cli.simulation.customers.Customers._maybe_follow_up", lambda self, _thread: self.counts.update(["messages.created"])
    )
    ran = simulate("--seed", "5")
    assert ran.code == 1
    assert "✗  customers' messages on the channel = events in" in ran.out
