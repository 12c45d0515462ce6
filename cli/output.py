"""What the commands write: tables and colours in a terminal, plain aligned lines where there is none. Notes go to standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

GAP = "  "
Cell = str | Text
_PICTURES = {
    **{code: 0x2400 + code for code in range(0x20)},
    **dict.fromkeys((*range(0x7F, 0xA0), 0x061C, *range(0x200E, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD),
}
"""What steers a terminal, or turns the direction of what is read, as a sign that can be seen."""


def console() -> Console:
    """Return a console on standard output as it is now."""
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def say(line: Cell) -> None:
    """Write one line on standard output, never broken."""
    console().print(line, soft_wrap=True, markup=False)


def note(line: str) -> None:
    """Write one line on standard error: what is not the command's result."""
    Console(stderr=True, highlight=False).print(line, soft_wrap=True, markup=False, style="dim")


def visible(text: str) -> str:
    """Return `text` as it may be shown: whoever wrote it does not get to steer the terminal of whoever reads it."""
    return text.translate(_PICTURES)


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, title: str | None = None) -> None:
    """Write a table. Without a terminal: aligned columns, nothing cut, so that other programs can read it."""
    out = console()
    if out.is_terminal:
        drawn = Table(title=title, title_justify="left")
        for column in columns:
            drawn.add_column(column, overflow="fold")
        for row in rows:
            drawn.add_row(*(Text(visible(cell.plain), cell.style) if isinstance(cell, Text) else Text(visible(cell)) for cell in row))
        out.print(drawn)
        return
    if title is not None:
        out.print(title, soft_wrap=True, markup=False)
    for line in aligned([columns, *([visible(str(cell)) for cell in row] for row in rows)]):
        out.print(line, soft_wrap=True, markup=False)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows as lines with aligned columns; wide characters count double."""
    widths = [max((cell_len(row[number]) for row in rows), default=0) for number in range(len(rows[0]))]
    return [GAP.join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


class Step:
    """Shows how far long work is."""

    def __init__(self, progress: Progress, title: str, total: float | None) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=total)

    def advance(self, by: float = 1) -> None:
        """Take note of progress."""
        self._progress.advance(self._task, by)


@contextmanager
def working(title: str, *, total: float | None = None) -> Iterator[Step]:
    """Show that work is under way: a bar (where `total` is known) or a spinner, on standard error, in a terminal only."""
    stderr = Console(stderr=True)
    columns = (
        (SpinnerColumn(), TextColumn("{task.description}"))
        if total is None
        else (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    )
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        yield Step(progress, title, total)
