"""Many callers, one publisher: what they write at the same time leaves together, and each is answered as soon as its own is written."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.engine.publisher import Written
from shared.engine.records import PartlyWrittenError, Publication
from shared.errors import BrokerUnavailableError


class TellingPublisher(Protocol):
    """A publisher that says, while it writes, what is acknowledged already."""

    async def publish(self, publications: Sequence[Publication], *, written: Written | None = None) -> None:
        """Write `publications`; see KafkaPublisher."""
        ...


@dataclass(slots=True)
class _Waiting:
    """A caller: what it wrote, how much of it is not acknowledged yet, and its answer."""

    publications: Sequence[Publication]
    done: asyncio.Future[None]
    missing: int

    def settle(self, error: BrokerUnavailableError | None) -> None:
        """Answer the caller, unless it was answered or has given up."""
        if not self.done.done():
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)


@dataclass(slots=True)
class GroupingPublisher:
    """Lets many callers share one publisher: what arrives while a write is under way goes out together with the next.

    There is no linger: an idle publisher writes at once, a busy one makes its batches as large as the load asks for. A caller is
    answered as soon as its own records are acknowledged.
    """

    inner: TellingPublisher
    publications_max: int = 5_000
    _waiting: deque[_Waiting] = field(default_factory=deque)
    _task: asyncio.Task[None] | None = None

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Write `publications` together with others'; errors as the inner publisher's."""
        if not publications:
            return
        entry = _Waiting(publications, asyncio.get_running_loop().create_future(), len(publications))
        self._waiting.append(entry)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        await entry.done

    async def _drain(self) -> None:
        while self._waiting:
            entries = self._take()
            try:
                await self.inner.publish([one for entry in entries for one in entry.publications], written=_answering(entries))
            except PartlyWrittenError as error:
                for entry in entries:
                    entry.settle(BrokerUnavailableError(str(error)) if error.concerns(entry.publications) else None)
            except BrokerUnavailableError as error:
                for entry in entries:
                    entry.settle(BrokerUnavailableError(str(error)))
            except BaseException as error:
                for entry in (*entries, *self._waiting):
                    entry.settle(BrokerUnavailableError(f"the publisher stopped: {type(error).__name__}"))
                self._waiting.clear()
                raise
            else:
                for entry in entries:
                    entry.settle(None)

    def _take(self) -> list[_Waiting]:
        """Return the next callers' entries, up to publications_max records, without those who have given up waiting."""
        entries: list[_Waiting] = []
        count = 0
        while self._waiting and (not entries or count + len(self._waiting[0].publications) <= self.publications_max):
            entry = self._waiting.popleft()
            if not entry.done.done():
                entries.append(entry)
                count += len(entry.publications)
        return entries


def _answering(entries: Iterable[_Waiting]) -> Written:
    """Return what answers each caller when the last of its records is acknowledged."""
    owners = {id(publication): entry for entry in entries for publication in entry.publications}

    def written(publications: Sequence[Publication]) -> None:
        for publication in publications:
            entry = owners[id(publication)]
            entry.missing -= 1
            if not entry.missing:
                entry.settle(None)

    return written
