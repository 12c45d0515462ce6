"""When a refused send is tried again, and when that is over.

The classes and what they ask for are the channel reference's error classes: retry with backoff and jitter, slow the lane, make this
customer wait (WhatsApp's pair limit: "retry after 4^n seconds, n = 0, 1, 2 …", About the platform), or stop.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from shared.events.shapes import FailureClass

WAIT_BASE = 4
_HASH_RANGE = 2**64


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The bounds of trying again."""

    attempts_max: int = 8
    """Requests per send, all classes together."""
    backoff_seconds: float = 1.0
    backoff_seconds_max: float = 60.0
    slow_seconds: float = 10.0
    """Pause of an account that is over its limit, where the channel names none."""
    wait_seconds_max: float = 600.0
    """Longest single wait: a send whose channel wants more is refused, because what waits here holds back its thread."""


def jitter(send_id: str, attempt: int) -> float:
    """Return a number in [0.5, 1) that spreads sends apart and is the same whenever it is asked for."""
    digest = blake2b(f"{send_id}/{attempt}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return 0.5 + int.from_bytes(digest) / _HASH_RANGE / 2


def wait_seconds(
    class_: FailureClass, send_id: str, *, attempts: int, retry_after_seconds: float | None, policy: RetryPolicy
) -> float | None:
    """Return how long to wait before attempt number `attempts` + 1, or None: it is refused for good.

    The channel's own word only makes a wait longer. A stopped account does not wait here: its gate decides.
    """
    if attempts >= policy.attempts_max:
        return None
    match class_:
        case FailureClass.RETRY:
            seconds = min(policy.backoff_seconds_max, policy.backoff_seconds * 2 ** (attempts - 1)) * jitter(send_id, attempts)
        case FailureClass.SLOW_LANE:
            seconds = policy.slow_seconds * (1 + jitter(send_id, attempts))
        case FailureClass.WAIT:
            seconds = float(WAIT_BASE ** (attempts - 1))
        case FailureClass.STOP_ACCOUNT:
            return 0.0
        case _:
            return None
    seconds = max(seconds, retry_after_seconds or 0.0)
    return seconds if seconds <= policy.wait_seconds_max else None
