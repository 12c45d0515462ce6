"""A process that works on a store which others use too; the tests start it, talk to it by lines and kill it.

Usage: store_process.py (sqlite PATH | mongo URI DATABASE) COMMAND [ARGUMENT …]
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from shared.store.port import Collection, CollectionSpec, Index, Store, StoredDocument, StoreUnavailableError
from shared.store.sqlite import SqliteCollection, SqliteStore

SPEC = CollectionSpec("threads", (Index("due", ("shard", "due_at")),))


def tell(line: object) -> None:
    """Write `line` so that the test has it at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def increment(collection: Collection, rounds: int) -> None:
    """Add one to each of five shared counters `rounds` times, trying again after each refusal; tell how many saves were taken."""
    keys = [f"counter:{number}" for number in range(5)]
    taken = 0
    for _ in range(rounds):
        missing = set(keys)
        while missing:
            stored = await collection.load(missing)
            changes = [StoredDocument(key, stored[key].version if key in stored else 0, _count(stored.get(key))) for key in missing]
            result = await collection.save(changes)
            taken += len(missing) - len(result.stale)
            missing = set(result.stale)
    tell(taken)


def _count(stored: StoredDocument | None) -> bytes:
    """Return the body that counts one more than `stored`."""
    return str(int(stored.body) + 1 if stored else 1).encode()


async def rewrite(collection: Collection, documents: int) -> None:
    """Rewrite all documents with one number after another, each save told after it returned, until killed."""
    keys = [f"key:{number:05}" for number in range(documents)]
    stored = await collection.load(keys)
    versions = {key: stored[key].version if key in stored else 0 for key in keys}
    while True:
        changes = [
            StoredDocument(key, versions[key], b"%d" % (versions[key] + 1) * 300, {"shard": 1, "due_at": versions[key]}) for key in keys
        ]
        result = await collection.save(changes)
        assert result.complete, result
        versions = {key: version + 1 for key, version in versions.items()}
        tell(max(versions.values()))


async def die(collection: Collection, statement: str) -> None:
    """Save 300 documents, change them, and be killed when that save comes to `statement` (NUMBER:BEGINNING OF THE SQL)."""
    count, _, beginning = statement.partition(":")
    seen = 0

    def watch(sql: str) -> None:
        nonlocal seen
        seen += sql.startswith(beginning)
        if seen == int(count):
            os.kill(os.getpid(), signal.SIGKILL)

    assert isinstance(collection, SqliteCollection)
    keys = [f"key:{number:05}" for number in range(300)]
    await collection.save([StoredDocument(key, 0, b"first", {"shard": 1, "due_at": 1}) for key in keys])
    await collection._store.run(lambda connection: connection.set_trace_callback(watch))
    changed = [StoredDocument(key, 1, b"second" * 300, {"shard": 1, "due_at": 2}) for key in keys]
    await collection.save([*changed, StoredDocument("new", 0, b"second")])


async def hold(collection: Collection, key: str) -> None:
    """Save `key`, tell so, and wait for a line before the end."""
    await collection.save([StoredDocument(key, 0, b"{}")])
    tell("saved")
    await asyncio.to_thread(sys.stdin.readline)


def store_of(arguments: list[str]) -> Store:
    """Return the store that the first arguments name, and take them off."""
    if arguments.pop(0) == "sqlite":
        return SqliteStore(Path(arguments.pop(0)))
    from shared.store.mongo import MongoStore  # noqa: PLC0415 - one driver of two

    return MongoStore(arguments.pop(0), arguments.pop(0))


async def main(arguments: list[str]) -> None:
    """Open the store when the test says so, and run the command."""
    store = store_of(arguments)
    command, argument = arguments
    tell("ready")
    await asyncio.to_thread(sys.stdin.readline)
    try:
        collection = await store.open(SPEC)
        match command:
            case "increment":
                await increment(collection, int(argument))
            case "rewrite":
                await rewrite(collection, int(argument))
            case "die":
                await die(collection, argument)
            case "hold":
                await hold(collection, argument)
    except StoreUnavailableError as error:
        tell(f"unavailable: {error}")
    finally:
        await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
