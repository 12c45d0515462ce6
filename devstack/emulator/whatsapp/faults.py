"""Faults by script: what goes wrong with the next sends that match."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveInt

FaultKind = Literal["error", "hang", "drop", "lose_answer", "slow_answer", "early_statuses", "fail_later"]
FAULTS_MAX = 1_000


class Fault(BaseModel):
    """One scripted fault for the next `count` sends that match number and customer (None matches all).

    - error: answers `code` with `http_status` (default: the vendor's); `body` answers that text instead of Meta's error body.
    - hang: says nothing for `seconds`, then cuts the connection; the send is not accepted.
    - drop: cuts the connection at once; the send is not accepted.
    - lose_answer: accepts, then cuts the connection before the answer.
    - slow_answer: accepts, answers after `seconds`.
    - early_statuses: accepts, posts the statuses and answers only after the receiver has them.
    - fail_later: accepts, then a failed status with `code`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: FaultKind
    phone_number_id: str | None = None
    customer: str | None = None
    count: PositiveInt = 1
    code: int = 131000
    details: str | None = None
    http_status: int | None = None
    body: str | None = None
    seconds: NonNegativeFloat = 5.0


@dataclass
class FaultQueue:
    """The faults still to come, oldest first."""

    _waiting: list[tuple[Fault, int]] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        """Queue `fault`.

        Raises:
            ValueError: Too many are waiting.
        """
        if len(self._waiting) >= FAULTS_MAX:
            raise ValueError(f"There are already {FAULTS_MAX} faults waiting: delete them first (DELETE /control/faults).")
        self._waiting.append((fault, fault.count))

    def take(self, phone_number_id: str, customer_id: str | None) -> Fault | None:
        """Use up one turn of the first fault that matches this send."""
        for position, (fault, left) in enumerate(self._waiting):
            if fault.phone_number_id in {None, phone_number_id} and fault.customer in {None, customer_id}:
                if left == 1:
                    del self._waiting[position]
                else:
                    self._waiting[position] = (fault, left - 1)
                return fault
        return None

    def clear(self) -> None:
        """Forget all faults."""
        self._waiting.clear()

    def __iter__(self) -> Iterator[tuple[Fault, int]]:
        return iter(self._waiting)
