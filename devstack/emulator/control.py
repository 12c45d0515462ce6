"""The part of the control interface that all vendors share: log, counts, waiting, clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, timedelta

from aiohttp import web
from pydantic import AwareDatetime, BaseModel, ConfigDict

from devstack.emulator.clock import EmulatorClock
from devstack.emulator.control_http import ControlError, json_answer, number_query, read_model
from devstack.emulator.journal import PAGE_ENTRIES_MAX, Journal

WAIT_SECONDS_MAX = 60.0
_PAGING = frozenset({"after", "limit", "wait_seconds"})


class ClockBody(BaseModel):
    """PATCH /control/clock: any of them; `frozen_at` null lets the clock run again."""

    model_config = ConfigDict(extra="forbid")

    offset_seconds: float | None = None
    advance_seconds: float | None = None
    frozen_at: AwareDatetime | None = None


class SharedControl:
    """Routes under /control that know no vendor."""

    def __init__(self, clock: EmulatorClock, journal: Journal, pending: Callable[[], int]) -> None:
        self.clock = clock
        self.journal = journal
        self.pending = pending

    def routes(self) -> list[web.RouteDef]:
        """Return the route table."""
        return [
            web.get("/control/live", self.live),
            web.get("/control/log", self.log),
            web.get("/control/counts", self.counts),
            web.get("/control/quiet", self.quiet),
            web.get("/control/clock", self.get_clock),
            web.patch("/control/clock", self.change_clock),
        ]

    async def live(self, _: web.Request) -> web.Response:
        """Say that the process serves."""
        return json_answer({"live": True})

    async def log(self, request: web.Request) -> web.Response:
        """Entries after a cursor that equal the other query parameters; with `wait_seconds` wait for the first such."""
        after = int(number_query(request, "after", 0))
        limit = min(int(number_query(request, "limit", PAGE_ENTRIES_MAX)), PAGE_ENTRIES_MAX)
        if after < 0 or limit < 1:
            raise ControlError("after must be at least 0 and limit at least 1.")
        within = min(number_query(request, "wait_seconds", 0.0), WAIT_SECONDS_MAX)
        filters = {name: value for name, value in request.query.items() if name not in _PAGING}
        page = await self.journal.page_when_any(after, filters, limit=limit, within_seconds=within)
        return json_answer({"entries": page.entries, "cursor": page.cursor, "lost": page.lost})

    async def counts(self, _: web.Request) -> web.Response:
        """All counts since the start, how much is still to come, and the log's newest cursor."""
        return json_answer({"counts": dict(self.journal.counts), "pending": self.pending(), "cursor": self.journal.last_cursor})

    async def quiet(self, request: web.Request) -> web.Response:
        """Wait until no webhook and no status is still to come; 408 when the time is up."""
        within = min(number_query(request, "wait_seconds", 10.0), WAIT_SECONDS_MAX)
        quiet = await self.journal.until(lambda: self.pending() == 0, within_seconds=within)
        return json_answer({"quiet": quiet, "pending": self.pending()}, status=200 if quiet else 408)

    async def get_clock(self, _: web.Request) -> web.Response:
        """Tell the rules' time."""
        frozen_at = self.clock.frozen_at.isoformat() if self.clock.frozen_at else None
        return json_answer(
            {"now": self.clock.now().isoformat(), "offset_seconds": self.clock.offset.total_seconds(), "frozen_at": frozen_at}
        )

    async def change_clock(self, request: web.Request) -> web.Response:
        """Move or freeze the rules' time."""
        body = await read_model(request, ClockBody)
        if body.offset_seconds is not None:
            self.clock.offset = timedelta(seconds=body.offset_seconds)
        if "frozen_at" in body.model_fields_set:
            self.clock.frozen_at = body.frozen_at.astimezone(UTC) if body.frozen_at else None
        if body.advance_seconds is not None:
            self.clock.advance(timedelta(seconds=body.advance_seconds))
        return await self.get_clock(request)
