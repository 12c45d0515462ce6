"""What a worker asks of the code that handles its records."""

from __future__ import annotations

from typing import Protocol

from shared.engine.records import Record


class WorkAbandonedError(Exception):
    """The record is to be left as it is, because its partition is leaving this process: somebody will read it again."""


class Job:
    """The handling of one record, as the worker and the handler both see it.

    While a handler only waits, it may be cancelled at any moment. Between `hold` and `release` it is doing something that must be
    seen through (a request is under way), and a worker that has to let go waits for it as long as it can.
    """

    __slots__ = ("held", "leaving")

    def __init__(self) -> None:
        self.held = False
        self.leaving = False

    def hold(self) -> None:
        """Begin what must be seen through. Raises WorkAbandonedError where the worker is letting go already."""
        self._stay_or_leave()
        self.held = True

    def release(self) -> None:
        """End what must be seen through. Raises WorkAbandonedError where the worker has been waiting for that to let go."""
        self.held = False
        self._stay_or_leave()

    def _stay_or_leave(self) -> None:
        if self.leaving:
            raise WorkAbandonedError("the partition is leaving this process; its next owner reads the record again")


class Handler(Protocol):
    """Handles the records of a worker: concurrently across keys, one after the other within a key."""

    @property
    def name(self) -> str:
        """Return the name of the consumer group and of the dead-letter topic."""
        ...

    async def handle(self, record: Record, job: Job) -> None:
        """Do all that `record` asks for; returning means that it is done and need not be read again.

        Must bear being called again for a record that it has handled wholly or in part. Raises RecoverableError where it may work
        later: the partition is read again from its first unfinished record, after a while.
        """
        ...

    async def give_up(self, record: Record, error: Exception, attempts: int) -> None:
        """Put `record` aside, which `handle` could not take `attempts` times; returning means that it is done."""
        ...

    def owns(self, partitions: int) -> None:
        """Take note of how many partitions this process owns now."""
        ...
