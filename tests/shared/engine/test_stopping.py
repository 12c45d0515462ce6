"""A consumer is stopped, whatever its own stop does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.engine.stopping import stop_consumer


class Stubborn:
    """A consumer whose stop does what the test says, and a client that is closed or not."""

    def __init__(self, behaviour: str) -> None:
        self._behaviour = behaviour
        self.client_closed = False
        self._client: Any = self

    async def stop(self) -> None:
        """Stop, wait for ever, fail, or raise the cancellation of a task of its own."""
        if self._behaviour == "waits":
            await asyncio.Event().wait()
        if self._behaviour == "fails":
            message = "unexpected"
            raise AssertionError(message)
        if self._behaviour == "cancelled":
            inner = asyncio.create_task(asyncio.Event().wait())
            inner.cancel()
            await inner

    async def close(self) -> None:
        """Close the connections, and raise what a task of the client died of."""
        self.client_closed = True
        message = "the handler is closed"
        raise RuntimeError(message)


@pytest.mark.parametrize(
    ("behaviour", "error"), [("stops", None), ("waits", TimeoutError), ("fails", AssertionError), ("cancelled", asyncio.CancelledError)]
)
async def test_whatever_a_stop_does_the_connections_are_closed_and_we_go_on(
    behaviour: str, error: type[BaseException] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is told, not raised: a CancelledError that is not ours must not end us."""
    monkeypatch.setattr("shared.engine.stopping.STOP_TIMEOUT_SECONDS", 0.05)
    consumer = Stubborn(behaviour)
    answer = await stop_consumer(consumer)
    assert (None if answer is None else type(answer)) is error
    assert consumer.client_closed is (error is not None)


async def test_our_own_cancellation_is_ours() -> None:
    """Who waits for a stop can be cancelled."""
    waiting = asyncio.create_task(stop_consumer(Stubborn("waits")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
