"""A client of the control interface for scripts, tests and the demo: play customers, order faults, wait without sleeping."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import aiohttp
import orjson

Json = dict[str, Any]
LONG_POLL_SECONDS = 20.0


class EmulatorError(Exception):
    """The emulator refused a control request; the message is its own."""


class WaitTimeoutError(AssertionError):
    """What was waited for did not happen in time."""


class EmulatorClient:
    """Speaks to a running emulator at `url` (its base, without /control) over `session`."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url.rstrip("/")
        self._session = session

    async def put_customer(self, customer_id: str, **fields: Any) -> Json:
        """Create or replace a customer: name, phone, bsuid, parent_bsuid, username, phone_hidden, reachable, stopped_marketing."""
        return await self._call("POST", "customers", {"id": customer_id, **fields})

    async def put_customers(self, customers: Sequence[Mapping[str, Any]]) -> list[Json]:
        """Create many customers in one call."""
        created: list[Json] = (await self._call("POST", "customers", list(customers)))["customers"]
        return created

    async def customer(self, customer_id: str) -> Json:
        """Return a customer and their reply windows ({phone_number_id: end})."""
        return await self._call("GET", f"customers/{customer_id}")

    async def send(self, customer_id: str, phone_number_id: str, content: Any = None, *, kind: str = "text", **options: Any) -> Json:
        """Let a customer write. Options: timestamp, ago_seconds, context, referral, delay_seconds, copies, signature, wait, batch.

        Returns:
            `{"id": wamid, "webhooks": [{webhook_id, copy, http_status, attempts, error}]}`
        """
        return await self._call(
            "POST", f"customers/{customer_id}/send", {"phone_number_id": phone_number_id, "kind": kind, "content": content, **options}
        )

    async def messages(self, messages: Sequence[Mapping[str, Any]], *, interval_seconds: float = 0.0, **options: Any) -> list[str]:
        """Let many customers write, one POST each, one every `interval_seconds`; returns the ids in order.

        A message is `{"customer", "phone_number_id", "kind", "content", …}` as for `send`.
        """
        body = {"messages": list(messages), "interval_seconds": interval_seconds, **options}
        ids: list[str] = (await self._call("POST", "messages", body))["ids"]
        return ids

    async def read(self, customer_id: str, *, phone_number_id: str | None = None, up_to: str | None = None) -> list[str]:
        """Let a customer open the chat; returns the ids that got a read status."""
        read: list[str] = (await self._call("POST", f"customers/{customer_id}/read", {"phone_number_id": phone_number_id, "up_to": up_to}))[
            "read"
        ]
        return read

    async def conversation(self, customer_id: str, phone_number_id: str | None = None) -> list[Json]:
        """Return what the customer sees on the phone, oldest first."""
        query = {"phone_number_id": phone_number_id} if phone_number_id else None
        messages: list[Json] = (await self._call("GET", f"conversations/{customer_id}", query=query))["messages"]
        return messages

    async def webhook(self, items: Sequence[Mapping[str, Any]] = (), **options: Any) -> Json:
        """Post several items at once, or `raw_body`. Options: signature, copies, delay_seconds, wait.

        Returns:
            `{"ids": [wamid or None per item], "webhooks": [outcome per copy]}`
        """
        return await self._call("POST", "webhooks", {"items": list(items), **options})

    async def status(self, wamid: str, status: str, **options: Any) -> Json:
        """Make one status of an accepted send happen. Options: code, copies, delay_seconds."""
        return await self._call("POST", "statuses", {"wamid": wamid, "status": status, **options})

    async def fault(self, kind: str, **fields: Any) -> Json:
        """Order a fault for the next sends: phone_number_id, customer, count, code, http_status, details, body, seconds."""
        return await self._call("POST", "faults", {"kind": kind, **fields})

    async def faults(self) -> list[Json]:
        """Return the faults still to come."""
        faults: list[Json] = (await self._call("GET", "faults"))["faults"]
        return faults

    async def clear_faults(self) -> None:
        """Forget all faults."""
        await self._call("DELETE", "faults")

    async def behave(self, **changes: Any) -> Json:
        """Change what the vendor does by itself (seed, delays, probabilities)."""
        return await self._call("PATCH", "behaviour", changes)

    async def put_template(self, name: str, language: str, **fields: Any) -> Json:
        """Put a template on file."""
        return await self._call("PUT", "templates", {"name": name, "language": language, **fields})

    async def handshake(self, **fields: Any) -> Json:
        """Perform the verification GET; returns http_status, body, challenge, verified."""
        return await self._call("POST", "handshake", fields)

    async def clock(self, **changes: Any) -> Json:
        """Tell the rules' time, or change it: offset_seconds, advance_seconds, frozen_at (ISO 8601 or None)."""
        return await self._call("PATCH", "clock", changes) if changes else await self._call("GET", "clock")

    async def counts(self) -> dict[str, int]:
        """Return all counts since the start."""
        counts: dict[str, int] = (await self._call("GET", "counts"))["counts"]
        return counts

    async def log(self, after: int = 0, *, wait_seconds: float = 0.0, limit: int = 1000, **filters: Any) -> Json:
        """Return `{"entries", "cursor", "lost"}`: the entries after a cursor whose fields equal the filters."""
        query = {"after": after, "wait_seconds": wait_seconds, "limit": limit, **filters}
        return await self._call("GET", "log", query={name: str(value) for name, value in query.items()})

    async def wait_for(
        self, predicate: Callable[[Json], bool] = lambda _: True, *, within_seconds: float = 10.0, after: int = 0, **filters: Any
    ) -> Json:
        """Return the first log entry after `after` that equals the filters and fulfils `predicate`.

        Raises:
            WaitTimeoutError: None came within `within_seconds`.
        """
        deadline = time.monotonic() + within_seconds
        while (remaining := deadline - time.monotonic()) > 0:
            page = await self.log(after, wait_seconds=min(remaining, LONG_POLL_SECONDS), **filters)
            after = page["cursor"]
            for entry in page["entries"]:
                if predicate(entry):
                    found: Json = entry
                    return found
        raise WaitTimeoutError(f"No log entry with {filters or 'any fields'} fulfilled the condition within {within_seconds} s.")

    async def wait_for_count(self, name: str, at_least: int, *, within_seconds: float = 10.0) -> int:
        """Wait until a count has reached `at_least`; returns it.

        Raises:
            WaitTimeoutError: It did not within `within_seconds`.
        """
        deadline = time.monotonic() + within_seconds
        while True:
            state = await self._call("GET", "counts")
            value: int = state["counts"].get(name, 0)
            remaining = deadline - time.monotonic()
            if value >= at_least:
                return value
            if remaining <= 0:
                raise WaitTimeoutError(f"{name} is {value} after {within_seconds} s, not {at_least}.")
            # Every count moves with a log entry, so the next one is the moment to look again.
            await self.log(state["cursor"], wait_seconds=min(remaining, LONG_POLL_SECONDS), limit=1)

    async def wait_until_quiet(self, *, within_seconds: float = 10.0) -> None:
        """Wait until no webhook and no status is still to come.

        Raises:
            WaitTimeoutError: Something still was after `within_seconds`.
        """
        async with self._session.get(f"{self.url}/control/quiet", params={"wait_seconds": str(within_seconds)}) as answer:
            state = orjson.loads(await answer.read())
        if not state["quiet"]:
            raise WaitTimeoutError(f"{state['pending']} webhooks and statuses are still to come after {within_seconds} s.")

    async def _call(self, method: str, path: str, body: Any = None, *, query: Mapping[str, str] | None = None) -> Json:
        data = orjson.dumps(body) if body is not None else None
        async with self._session.request(method, f"{self.url}/control/{path}", data=data, params=query) as answer:
            value = orjson.loads(await answer.read())
            if answer.status >= HTTPStatus.BAD_REQUEST:
                raise EmulatorError(f"{method} /control/{path}: {answer.status} {value.get('error', value)}")
        result: Json = value
        return result


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[EmulatorClient]:
    """Open a client of the emulator at `url`."""
    async with aiohttp.ClientSession() as session:
        yield EmulatorClient(url, session)
