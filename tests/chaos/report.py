"""The table of a run: on the terminal while it runs and in the end, and as docs/reliability.md."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from tests.chaos.house import ROOT, SESSION_SECONDS
from tests.chaos.running import PER_SECOND, Mix
from tests.chaos.trial import Verdict

PAGE = ROOT / "docs" / "reliability.md"
_ROW = re.compile(r"\| \*\*(F\d+)\*\* ")


class Screen:
    """Shows progress on a terminal, plain lines elsewhere; a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(soft_wrap=True)
        self._started = time.monotonic()
        self._status: Status | None = None

    def __enter__(self) -> Self:
        """Begin to show what is being done."""
        if self.console.is_terminal:
            self._status = self.console.status("Starting")
            self._status.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Show no more."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def step(self, what: str) -> None:
        """Say what is being done."""
        line = f"{time.monotonic() - self._started:5.0f} s  {what}"
        if self._status is not None:
            self._status.update(line)
        else:
            self.console.print(line, highlight=False, markup=False)

    def verdict(self, verdict: Verdict) -> None:
        """Tell what came of a fault, with all its findings."""
        mark = "PASS" if verdict.passed else "FAIL"
        self.console.print(f"{mark}  {verdict.fault.name} {verdict.fault.title} ({figures_of(verdict)})", highlight=False, markup=False)
        for line in _details(verdict):
            self.console.print(f"      {line}", highlight=False, markup=False)

    def table(self, verdicts: Sequence[Verdict]) -> None:
        """Print the table of all."""
        table = Table(title="Faults", title_justify="left")
        for column in ("", "fault", "promise", "seen", ""):
            table.add_column(column)
        for verdict in verdicts:
            mark = Text("pass", "green") if verdict.passed else Text("FAIL", "bold red")
            table.add_row(verdict.fault.name, verdict.fault.title, verdict.fault.promise, seen_of(verdict), mark)
        self.console.print(table)

    def mix(self, mix: Mix) -> None:
        """Print what came of a mixed run."""
        for one in mix.findings:
            if not one.holds:
                self.console.print(f"FAIL  {one.what}: {one.seen}", highlight=False, markup=False)
        for line in mix.broken:
            self.console.print(f"FAIL  {line.title}: {line.left} ≠ {line.right} {line.detail}", highlight=False, markup=False)
        figures = mix.figures
        said = (
            f"{'PASS' if mix.passed else 'FAIL'}  seed {mix.seed}, {len(mix.played)} faults ({' '.join(mix.played)}): "
            f"{figures.messages} messages, {mix.lines - len(mix.broken)} of {mix.lines} equations hold, "
            f"worst delay {figures.worst_delay_seconds:.1f} s, {figures.duplicates} repeated records dropped, "
            f"{figures.took_seconds:.0f} s"
        )
        self.console.print(said, highlight=False, markup=False)


def figures_of(verdict: Verdict) -> str:
    """Return the figures in a line."""
    figures = verdict.figures
    return (
        f"{figures.messages} messages, recovered in {figures.recovery_seconds:.1f} s, worst delay {figures.worst_delay_seconds:.1f} s, "
        f"{figures.duplicates} repeated records dropped, {figures.took_seconds:.0f} s in all"
    )


def seen_of(verdict: Verdict) -> str:
    """Return what was seen, in a cell: what failed first, else the findings that say something, and the figures."""
    if not verdict.passed:
        return "; ".join(line for line in _details(verdict) if line.startswith("✗")) or "nothing was found out"
    said = [f"{one.what}: {one.seen}" if one.seen else one.what for one in verdict.findings]
    where = [verdict.fault.where] if verdict.fault.where else []
    return "; ".join([*said, *verdict.notes, *where, figures_of(verdict)])


def _details(verdict: Verdict) -> list[str]:
    lines = [f"✗ {verdict.error}"] if verdict.error else []
    lines += [f"{'✓' if one.holds else '✗'} {one.what}{f' ({one.seen})' if one.seen else ''}" for one in verdict.findings]
    lines += [f"✗ {line.title}: {line.left} ≠ {line.right} {line.detail}".rstrip() for line in verdict.broken]
    return [*lines, *(f"· {note}" for note in verdict.notes)]


def page_of(rows: Mapping[str, str], *, cores: int) -> str:
    """Return docs/reliability.md: what was promised and seen of each fault in its last run, and on what."""
    kept = sum(row.endswith("| yes |") for row in rows.values())
    head = [
        "# Reliability, as seen",
        "",
        "Generated by `make chaos`: of each fault its last full run; [chaos.md](chaos.md) says how to read and repeat it.",
        "",
        f"- {cores} cores ({platform.machine()}, {platform.system()}), shared with other work; Python {platform.python_version()}",
        f"- load: {PER_SECOND:g} messages a second, in an open loop, by customers who write in six languages",
        f"- session of the groups: {SESSION_SECONDS:g} s",
        f"- {kept} of {len(rows)} promises kept",
        "",
        "After every fault all counts are reconciled exactly: messages answered 200 = messages on `inbound` = messages appended, each",
        "once and in order; replies asked = approved + rejected; sends requested = accepted + refused + unknown, none twice at the",
        "channel; topics = stores; no gap in any `seq`. *Recovered* is the time from the fault's end until nothing was later than two",
        "seconds.",
        "",
        "| fault | promise | seen | recovered | worst delay | repeats dropped | when | kept |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(rows[name] for name in sorted(rows, key=lambda name: int(name[1:]))), ""])


def rows_in(page: str) -> dict[str, str]:
    """Return the rows of a page by fault."""
    return {match[1]: line for line in page.splitlines() if (match := _ROW.match(line))}


def row_of(verdict: Verdict, at: datetime) -> str:
    """Return the row of a fault."""
    fault, figures = verdict.fault, verdict.figures
    said = "; ".join(_details(verdict)) if not verdict.passed else _seen_short(verdict)
    cells = (
        f"**{fault.name}** {fault.title}",
        fault.promise,
        said,
        f"{figures.recovery_seconds:.1f} s",
        f"{figures.worst_delay_seconds:.1f} s",
        str(figures.duplicates),
        f"{at:%Y-%m-%d}",
        "yes" if verdict.passed else "**no**",
    )
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _seen_short(verdict: Verdict) -> str:
    said = [f"{one.what} ({one.seen})" if one.seen else one.what for one in verdict.findings]
    where = [f"*{verdict.fault.where}*"] if verdict.fault.where else []
    return "; ".join([*said, *verdict.notes, *where])


def write_page(verdicts: Sequence[Verdict], path: Path = PAGE) -> None:
    """Write the page: these faults anew, the others as they stand."""
    rows = rows_in(path.read_text(encoding="utf-8")) if path.exists() else {}
    now = datetime.now(UTC)
    rows |= {verdict.fault.name: row_of(verdict, now) for verdict in verdicts}
    path.write_text(page_of(rows, cores=os.cpu_count() or 1), encoding="utf-8")
