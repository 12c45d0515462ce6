"""Tells a failure: the seed, the promise, the faults that are left, and everything that the topics and the vendor saw of the thread."""

from __future__ import annotations

import json

from tests.sim.world import Result

LINES_MAX = 80


def report(result: Result) -> list[str]:
    """Return the lines of a failure's report."""
    violation = result.violation
    if violation is None:
        return ["every promise was kept"]
    muted = f" with {len(result.run.muted)} faults left out" if result.run.muted else ""
    return [
        f"promise broken: {violation.promise}",
        f"  {violation.detail}",
        f"seed {result.run.seed}, step {result.steps}, {result.seconds / 3600:.2f} simulated hours{muted}",
        f"again: make sim SEED={result.run.seed} HOURS={result.run.hours:g}",
        f"to keep it, add to tests/sim/seeds.json: {json.dumps(entry_of(result))}",
        "",
        f"the {len(result.hits)} faults of the smallest run found:",
        *(f"  step {hit.step:>6} {_clock(hit.seconds)} {hit.kind} ({hit.where})" for hit in result.hits[-LINES_MAX:]),
        "",
        f"the story of {violation.key or 'the last records'}:",
        *(f"  {_clock(seconds)} {line}" for seconds, line in result.story[-LINES_MAX:]),
    ]


def entry_of(result: Result) -> dict[str, object]:
    """Return what stands in seeds.json for a run."""
    run = result.run
    tuned = {name: value for name, value in (("factors", dict(run.factors)), ("favourites", dict(run.favourites))) if value}
    return {"seed": run.seed, "hours": run.hours, "muted": sorted(run.muted), **tuned, "found": ""}


def _clock(seconds: float) -> str:
    """Return simulated seconds as hours, minutes, seconds."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours:02d}:{minutes:02d}:{rest:06.3f}"
