"""Which offset of a partition may be committed while its records are finished out of order."""

from __future__ import annotations

from collections import deque


class OffsetTracker:
    """The records of one partition between being read and being done.

    Only the contiguous part from the beginning may be committed: what lies behind an unfinished record must be read again after a
    crash. Offsets may have holes (a log keeps some for itself); contiguous means in the order of reading.
    """

    def __init__(self) -> None:
        self._order: deque[int] = deque()
        self._unfinished: set[int] = set()
        self._next: int | None = None

    @property
    def position(self) -> int | None:
        """Return the offset to commit: the first that is not done, or the one after the last; None before the first record."""
        return self._order[0] if self._order else self._next

    def add(self, offset: int) -> bool:
        """Take note of a record that was read; return False for one that was read before, which is not to be worked on again."""
        if self._next is not None and offset < self._next:
            return False
        self._order.append(offset)
        self._unfinished.add(offset)
        self._next = offset + 1
        return True

    def done(self, offset: int) -> None:
        """Take note that the record at `offset` needs no more work; raises ValueError where none is unfinished."""
        if offset not in self._unfinished:
            raise ValueError(f"offset {offset} is not unfinished")
        self._unfinished.remove(offset)
        while self._order and self._order[0] not in self._unfinished:
            self._order.popleft()
