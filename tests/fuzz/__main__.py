"""Bad input into every parser and consumer: `python -m tests.fuzz [--inputs N] [--seed S] [--only NAME …]`.

Progress goes to standard error, the table at the end to standard output. Exit code 1 where an input broke a promise; it is printed so
that it can be tried again, and kept in tests/fuzz/kept/, where every later run tries it first.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.fuzz.cases import KEPT, kept
from tests.fuzz.oracle import Ending
from tests.fuzz.running import Score, again, fuzz, inputs_of
from tests.fuzz.targets.find import targets

INPUTS = 200_000
PLAIN_STEPS = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=INPUTS, help="inputs per channel's parser; other targets get a share of it")
    parser.add_argument("--seed", type=int, default=None, help="what chance begins with; absent: another one each time")
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"these targets, or all that begin with it: {', '.join(targets())}")
    parser.add_argument("--number", type=int, default=None, help="only this input of the run")
    options = parser.parse_args(arguments)
    seed = int(time.time()) if options.seed is None else options.seed
    chosen = [name for name in targets() if not options.only or any(name.startswith(wanted) for wanted in options.only)]
    if not chosen:
        parser.error(f"no target is called {', '.join(options.only)}; there is {', '.join(targets())}")
    scores = [_scored(name, options.inputs, seed, options.number) for name in chosen]
    _show(scores, seed)
    return 1 if any(score.failed for score in scores) else 0


def _scored(name: str, inputs: int, seed: int, number: int | None) -> Score:
    """Return the score of one target: kept inputs first, then new ones."""
    target = targets()[name]
    if number is not None:
        return fuzz(target, [number], seed, folder=None)
    regressions = again(target, [case for case in kept() if case.target == name])
    count = inputs_of(target, inputs)
    with _progress(name, count) as advance:
        score = fuzz(target, range(count), seed, folder=KEPT, advance=advance)
    score.inputs += regressions.inputs
    score.endings += regressions.endings
    score.failed += regressions.failed
    score.failures = [*regressions.failures, *score.failures]
    return score


@contextmanager
def _progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how far the run has come: a bar on a terminal, a line at each quarter elsewhere."""
    console = Console(file=sys.stderr)  # this one: while inputs run, another takes what the code under test writes
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, redirect_stderr=False, redirect_stdout=False) as progress:
            task = progress.add_task(title, total=total)
            yield lambda done: progress.advance(task, done)
        return
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        if (done + more) * PLAIN_STEPS // total > done * PLAIN_STEPS // total:
            console.print(f"{title}: {(done + more) * PLAIN_STEPS // total * 100 // PLAIN_STEPS} %", highlight=False)
        done += more

    yield advance


def _show(scores: list[Score], seed: int) -> None:
    """Print the table, and every failure so that it can be tried again."""
    console = Console(width=None if sys.stdout.isatty() else 140)
    table = Table(title=f"Bad input, seed {seed}")
    table.add_column("target")
    for heading in ("inputs", *(ending.value for ending in Ending), "failed", "CPU s"):
        table.add_column(heading, justify="right")
    for score in scores:
        endings = [str(score.endings[ending]) for ending in Ending]
        table.add_row(score.target, str(score.inputs), *endings, str(score.failed.total()), f"{score.cpu_seconds:.0f}")
    console.print(table)
    for failure in (failure for score in scores for failure in score.failures):
        console.print(f"\n{failure.case.target} [{failure.case.recipe}] {failure.rule}: {failure.detail}", markup=False, highlight=False)
        console.print(f"  again: {failure.case.origin}", markup=False, highlight=False)
        console.print(f"  kept:  {failure.kept_at or 'it is a kept one'}", markup=False, highlight=False)
        console.print(f"  input: {failure.case.shown()}", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    raise SystemExit(main())
