"""What every store promises when several write at once, and when one of them is killed."""

from __future__ import annotations

import asyncio
import random
import subprocess
from collections.abc import Awaitable, Callable, Iterator

import pytest

from shared.store.port import Collection
from tests.shared.store.backends import Backend, document

OpenCollection = Callable[..., Awaitable[Collection]]
COUNTERS = [f"counter:{number}" for number in range(5)]


async def count_up(collection: Collection, rounds: int, draw: random.Random) -> int:
    """Add one to every counter in each of `rounds` batches without a second try; return how many additions were accepted."""
    accepted = 0
    for _ in range(rounds):
        stored = await collection.load(COUNTERS)
        for _ in range(draw.randrange(4)):
            await asyncio.sleep(0)  # lets the other writer in, also on the store that never waits
        result = await collection.save([document(key, stored[key].version, b"%d" % (int(stored[key].body) + 1)) for key in COUNTERS])
        accepted += len(COUNTERS) - len(result.stale)
    return accepted


@pytest.mark.parametrize("seed", range(3))
async def test_of_several_writers_each_version_is_made_by_one(open_collection: OpenCollection, seed: int) -> None:
    """Nothing that was reported as saved is lost, and nothing reported as stale was saved: the sums agree."""
    collections = [await open_collection() for _ in range(3)]
    await collections[0].save([document(key, body=b"0") for key in COUNTERS])
    accepted = sum(await asyncio.gather(*(count_up(one, 15, random.Random(seed + place)) for place, one in enumerate(collections))))
    stored = await collections[0].load(COUNTERS)
    assert accepted >= 15 * len(COUNTERS)
    assert sum(int(one.body) for one in stored.values()) == accepted
    assert sum(one.version - 1 for one in stored.values()) == accepted


async def test_one_of_two_inserts_wins(open_collection: OpenCollection) -> None:
    """A claim by insertion is given to exactly one of those who ask at once."""
    collections = [await open_collection() for _ in range(4)]
    results = await asyncio.gather(*(one.save([document("claim", body=b"%d" % place)]) for place, one in enumerate(collections)))
    winners = [b"%d" % place for place, result in enumerate(results) if result.complete]
    assert winners == [(await collections[0].load(["claim"]))["claim"].body]


SHARED_BETWEEN_PROCESSES = pytest.mark.parametrize("backend", ["sqlite", pytest.param("mongo", marks=pytest.mark.mongo)], indirect=True)
StartProcess = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start_process(backend: Backend) -> Iterator[StartProcess]:
    """A function that starts a process on the backend's data; all are ended with the test, however it ends."""
    processes: list[subprocess.Popen[str]] = []

    def start_one(*arguments: str) -> subprocess.Popen[str]:
        processes.append(backend.process(*arguments))
        return processes[-1]

    yield start_one
    for process in processes:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line that `process` wrote, without its end; empty when it ended."""
    assert process.stdout is not None
    return process.stdout.readline().rstrip()


def start(*processes: subprocess.Popen[str]) -> None:
    """Wait until all processes are ready, then let them begin together."""
    assert [line_of(process) for process in processes] == ["ready"] * len(processes)
    for process in processes:
        release(process)


def release(process: subprocess.Popen[str]) -> None:
    """Send `process` the line that it waits for."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


@SHARED_BETWEEN_PROCESSES
async def test_processes_that_write_at_once_lose_nothing(start_process: StartProcess, open_collection: OpenCollection) -> None:
    """Two processes count up the same documents, retrying when refused: the sum is what both were told."""
    processes = [start_process("increment", "40") for _ in range(2)]
    start(*processes)
    taken = [int(line_of(process)) for process in processes]
    stored = await (await open_collection()).load(COUNTERS)
    assert taken == [200, 200]
    assert [int(one.body) for one in stored.values()] == [one.version for one in stored.values()] == [80] * 5


@SHARED_BETWEEN_PROCESSES
async def test_processes_that_start_at_once_make_the_store_together(start_process: StartProcess, open_collection: OpenCollection) -> None:
    """A store that does not exist yet may be opened by six processes in the same moment."""
    processes = [start_process("hold", f"from:{number}") for number in range(6)]
    start(*processes)
    assert [line_of(process) for process in processes] == ["saved"] * 6
    assert len(await (await open_collection()).load(f"from:{number}" for number in range(6))) == 6


@SHARED_BETWEEN_PROCESSES
@pytest.mark.parametrize("looks", [1, 3, 8])
async def test_a_process_killed_mid_save_leaves_no_half_document(
    backend: Backend, start_process: StartProcess, open_collection: OpenCollection, looks: int
) -> None:
    """All that was reported is there. A store with transactions shows all or nothing of a call, any store whole documents."""
    process = start_process("rewrite", "400")
    start(process)
    assert line_of(process) == "1"
    collection = await open_collection()
    keys = [f"key:{number:05}" for number in range(400)]
    for _ in range(looks):  # meanwhile the process is at some point of some save
        versions = {one.version for one in (await collection.load(keys)).values()}
        assert len(versions) == 1 or backend.name == "mongo"
    process.kill()
    assert process.stdout is not None
    reported = max([1, *(int(line) for line in process.stdout.read().split())])
    process.wait()
    stored = await collection.load(keys)
    versions = {one.version for one in stored.values()}
    assert len(stored) == 400
    assert versions <= {reported, reported + 1}
    assert len(versions) == 1 or backend.name == "mongo"
    assert all(one.body == b"%d" % one.version * 300 for one in stored.values())
    assert all(one.fields["due_at"] == one.version - 1 for one in stored.values())
    assert len(await collection.scan("due", lower=(1, reported - 1), limit=999)) == 400
    missing = set(keys)
    while missing:  # a server goes on with what it was sent after its client was killed
        stored = await collection.load(missing)
        missing = set((await collection.save([document(key, one.version) for key, one in stored.items()])).stale)
