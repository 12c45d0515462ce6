"""Progress of long work on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

Advance = Callable[[int], None]
PLAIN_STEPS = 4
MEGABYTE_BYTES = 1_000_000


def report(line: str) -> None:
    """Say one line."""
    Console(stderr=True).print(line, highlight=False, markup=False, soft_wrap=True)


@contextlib.contextmanager
def show_progress(title: str, total_bytes: int) -> Iterator[Advance]:
    """Yield a function that is told how many bytes more are done; it may be called from any thread."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain(title, total_bytes)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=total_bytes)
        yield lambda done: progress.advance(task, done)


def _plain(title: str, total_bytes: int) -> Advance:
    """Return a counter that says a line at the start and at each quarter."""
    report(f"{title} ({total_bytes / MEGABYTE_BYTES:.0f} MB).")
    lock = threading.Lock()
    state = {"done": 0, "step": 0}

    def advance(done: int) -> None:
        with lock:
            state["done"] += done
            step = PLAIN_STEPS * state["done"] // max(total_bytes, 1)
            if step > state["step"]:
                state["step"] = step
                report(f"{title}: {100 * step // PLAIN_STEPS} %.")

    return advance
