"""How the day looks: a live table in a terminal, plain lines where there is none."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from devstack.demo.board import Row, remaining
from devstack.demo.crowd import CROWD
from devstack.demo.day import Day, Scene
from devstack.demo.summary import Latency, Line

ROWS_MIN = 6
LINES_BESIDE = 30
"""What the scenes and the frames take of a terminal's height; the rest is for conversations."""
OWNER_COLOURS = {"bot": "cyan", "queue": "yellow", "nobody": "dim"}


class Screen:
    """Shows the day while it is played, and its summary in the end."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live: Live | None = None
        self._step = ""

    @property
    def interactive(self) -> bool:
        """Return whether there is a terminal to draw on."""
        return self.console.is_terminal

    def step(self, what: str) -> None:
        """Say what is being done."""
        self._step = what
        self.console.print(f"[dim]·[/dim] {what}" if self.interactive else f"· {what}", highlight=False)

    def start(self, day: Day) -> None:
        """Begin to draw, where there is a terminal."""
        if self.interactive:
            self._live = Live(console=self.console, refresh_per_second=4, get_renderable=lambda: self._picture(day), transient=False)
            self._live.start()

    def stop(self) -> None:
        """Leave the last picture as it is."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def scene_ended(self, scene: Scene) -> None:
        """Tell how a scene ended, where there is no table that shows it."""
        if not self.interactive:
            self.console.print(f"{'✗' if scene.failed else '✓'} {scene.title}: {scene.outcome}", highlight=False, soft_wrap=True)

    def note(self, line: str) -> None:
        """Tell something that is not a scene's outcome."""
        self.console.print(line, highlight=False, soft_wrap=True)

    def _picture(self, day: Day) -> Group:
        rows = max(ROWS_MIN, self.console.height - LINES_BESIDE)
        return Group(conversations(day, day.now(), rows_max=rows), scenes(day.scenes))

    def summary(self, lines: Iterable[Line], took: Latency) -> None:
        """Print the reconciliation."""
        table = Table(title="The day, reconciled", title_justify="left")
        for column, justify in (("", "left"), ("must be equal", "left"), ("", "right"), ("", "right"), ("of which", "left")):
            table.add_column(column, justify=justify)  # type: ignore[arg-type] # a literal in both places
        for line in lines:
            mark = Text("✓", "green") if line.holds else Text("✗", "bold red")
            table.add_row(mark, line.title, str(line.left), str(line.right), line.detail)
        self.console.print(table)
        self.console.print(
            f"webhook in → automatic answer accepted: p50 {took.p50_milliseconds:.0f} ms, p99 {took.p99_milliseconds:.0f} ms "
            f"({took.count} answers)",
            highlight=False,
        )


def conversations(day: Day, now: datetime, *, rows_max: int) -> Table:
    """Return the table of conversations: those of the scenes before the crowd's, the last changed first."""
    table = Table(title="Conversations", title_justify="left", expand=True)
    for column in ("customer", "channel", "language", "department", "owner", "window", "last event"):
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    rows = sorted((row for row in day.board.rows.values() if row.conversation_id), key=lambda row: row.changed_at or now, reverse=True)
    rows.sort(key=lambda row: day.labels.get(row.thread, "").startswith(CROWD))
    for row in rows[:rows_max]:
        table.add_row(
            day.labels.get(row.thread, "…"),
            row.channel,
            row.language,
            row.department,
            Text(_owner(day, row), OWNER_COLOURS.get(row.owner, "green")),
            remaining(row.window_ends_at, now),
            row.last_event,
        )
    if len(rows) > rows_max:
        table.caption = f"and {len(rows) - rows_max} more"
    return table


def _owner(day: Day, row: Row) -> str:
    agent = day.stack.centre.agents.get(row.owner.removeprefix("agent:"))
    return agent.name if agent is not None else row.owner


def scenes(played: Iterable[Scene]) -> Table:
    """Return the table of scenes."""
    table = Table(title="Scenes", title_justify="left", expand=True)
    table.add_column("", width=1)
    table.add_column("scene", no_wrap=True)
    table.add_column("what was seen", ratio=1)
    for scene in played:
        mark = Text("✗", "bold red") if scene.failed else Text("·", "dim") if scene.outcome == "…" else Text("✓", "green")
        table.add_row(mark, scene.title, scene.outcome)
    return table
