"""What the vendor does by itself, drawn from the seed.

Each plan has dice of its own, made of the seed and a key (the n-th send of this number to this customer), so that
concurrency elsewhere does not change it: the same script and seed give the same day.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from devstack.emulator.whatsapp.settings import Behaviour, Range

DRAWS_MAX = 32  # a plan takes at most 21
_SPAN = 2.0**64


class Dice:
    """Draws from a hash of the key; a seeded generator per webhook would cost ten times as much."""

    def __init__(self, key: str) -> None:
        digest = hashlib.shake_128(key.encode()).digest(8 * DRAWS_MAX)
        self._draws: Iterator[int] = iter(struct.unpack(f"<{DRAWS_MAX}Q", digest))

    def chance(self, probability: float) -> bool:
        """Return true with this probability: never for 0, always for 1."""
        return next(self._draws) / _SPAN < probability

    def between(self, span: Range) -> float:
        """Return a number from the least to the most of `span`."""
        least, most = span
        return least + (most - least) * (next(self._draws) / _SPAN)


@dataclass(frozen=True, slots=True)
class WebhookPlan:
    """How one webhook goes out: after `delay_seconds`, `copies` times."""

    delay_seconds: float = 0.0
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Step:
    """One status, `after_seconds` counted from the acceptance; its webhook held back by `hold_seconds`, so others may overtake it."""

    status: str
    after_seconds: float
    hold_seconds: float = 0.0
    copies: int = 1


@dataclass(frozen=True, slots=True)
class SendPlan:
    """What happens to one send: the statuses of a success, and what goes wrong with the call itself."""

    steps: tuple[Step, ...]
    statuses_first: bool = False
    answer_lost: bool = False
    refused_with: int | None = None
    fails_with: int | None = None


def plan_webhook(behaviour: Behaviour, key: str) -> WebhookPlan:
    """Return how the webhook with this key goes out."""
    dice = Dice(f"{behaviour.seed}/webhook/{key}")
    return WebhookPlan(dice.between(behaviour.webhook_delay_seconds) + _hold(behaviour, dice), _copies(behaviour, dice))


def plan_send(behaviour: Behaviour, key: str) -> SendPlan:
    """Return what happens to the send with this key."""
    dice = Dice(f"{behaviour.seed}/send/{key}")
    return SendPlan(
        steps=_steps(behaviour, dice),
        statuses_first=dice.chance(behaviour.early_status_probability),
        answer_lost=dice.chance(behaviour.lost_answer_probability),
        refused_with=behaviour.api_error_code if dice.chance(behaviour.api_error_probability) else None,
        fails_with=behaviour.failed_code if dice.chance(behaviour.failed_probability) else None,
    )


def _steps(behaviour: Behaviour, dice: Dice) -> tuple[Step, ...]:
    if behaviour.statuses == "none":
        return ()
    steps, elapsed = [], 0.0
    for status, delay in _success(behaviour, dice):
        elapsed += dice.between(delay)
        steps.append(Step(status, elapsed, _hold(behaviour, dice), _copies(behaviour, dice)))
    return tuple(steps)


def _success(behaviour: Behaviour, dice: Dice) -> list[tuple[str, Range]]:
    """The statuses of a delivered message; in an open chat `read` implies `delivered`."""
    path: list[tuple[str, Range]] = [("sent", behaviour.sent_delay_seconds)]
    chat_open = dice.chance(behaviour.open_chat_probability)
    read = dice.chance(behaviour.read_probability)
    if behaviour.statuses == "sent_only":
        return path
    if not (chat_open and read):
        path.append(("delivered", behaviour.delivered_delay_seconds))
    if read:
        path.append(("read", behaviour.read_delay_seconds))
    return path


def _hold(behaviour: Behaviour, dice: Dice) -> float:
    return dice.between(behaviour.hold_seconds) if dice.chance(behaviour.hold_probability) else 0.0


def _copies(behaviour: Behaviour, dice: Dice) -> int:
    if not dice.chance(behaviour.redelivery_probability):
        return 1
    return int(dice.between((2, max(2, behaviour.redelivery_copies_max) + 1)))
