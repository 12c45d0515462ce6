"""The emulator's clock: the one that decides whether a reply window is open, and that a script may move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class EmulatorClock:
    """System time plus an offset, or a frozen moment.

    Rules (windows, pacing, expiry of media) and the vendor's timestamps follow `now`; the log's own times follow `real_now`,
    because latencies are measured with them.
    """

    def __init__(self, offset: timedelta = timedelta()) -> None:
        self.offset = offset
        self.frozen_at: datetime | None = None

    def real_now(self) -> datetime:
        """Return the system's time (UTC)."""
        return datetime.now(UTC)

    def now(self) -> datetime:
        """Return the time the rules go by (UTC)."""
        return self.frozen_at if self.frozen_at is not None else self.real_now() + self.offset

    def advance(self, by: timedelta) -> None:
        """Move the rules' time by `by`, frozen or not."""
        if self.frozen_at is not None:
            self.frozen_at += by
        else:
            self.offset += by
