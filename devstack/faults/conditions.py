"""What one direction of a proxied connection does to bytes. Pure values; the proxy carries them out."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

Direction = Literal["up", "down"]
"""`up` is from the client to the server, `down` is back."""
UP: Direction = "up"
DOWN: Direction = "down"
DIRECTIONS: tuple[Direction, ...] = (UP, DOWN)
SWITCH = {"on": True, "off": False}


class ConditionError(ValueError):
    """A condition was asked for that does not exist, or has a value that it cannot have."""


@dataclass(frozen=True, slots=True)
class Condition:
    """How bytes travel in one direction; the default passes them on at once.

    - latency_seconds: every chunk arrives so much later, in order (it limits no throughput).
    - bytes_per_second: the bandwidth; 0 is without limit.
    - held: nothing arrives while it lasts, everything afterwards (a network that comes back, as TCP sees it).
    - black_hole: what is sent while it lasts is lost for good. A stream with a hole cannot go on, so connections that lost bytes
      are reset when the hole closes.
    """

    latency_seconds: float = 0.0
    bytes_per_second: float = 0.0
    held: bool = False
    black_hole: bool = False

    def __post_init__(self) -> None:
        if self.latency_seconds < 0 or self.bytes_per_second < 0:
            raise ConditionError("latency and bandwidth cannot be negative")

    def changed(self, name: str, value: str) -> Condition:
        """Return the condition with one field set from text: `latency_seconds 0.5`, `black_hole on`.

        Raises:
            ConditionError: There is no such field, or the value does not fit.
        """
        known = {field.name: getattr(Condition(), field.name) for field in fields(Condition)}
        if name not in known:
            raise ConditionError(f"there is no condition {name!r}: use one of {', '.join(known)}")
        changes: dict[str, Any] = {}
        try:
            changes[name] = SWITCH[value] if isinstance(known[name], bool) else float(value)
        except (KeyError, ValueError):
            raise ConditionError(f"{name} takes {'on or off' if isinstance(known[name], bool) else 'a number'}, not {value!r}") from None
        return replace(self, **changes)


CLEAR = Condition()
