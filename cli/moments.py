"""Moments as people write them on the command line: a date, a time, or how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import typer

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
EXAMPLES = "write 90m, 2h or 3d for how long ago, or a UTC time such as 2026-11-22T12:00"
_AGO = re.compile(r"(\d{1,6})([smhd])")


def parse_moment(text: str | None, now: datetime, *, option: str) -> datetime | None:
    """Return the moment that `text` means (None where it is absent); a time without a zone is UTC. Raises typer.BadParameter."""
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now - timedelta(**{UNITS[ago[2]]: int(ago[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is no moment; {EXAMPLES}", param_hint=option) from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
