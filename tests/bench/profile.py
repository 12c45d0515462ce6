"""Where the CPU of the reducer and of ingest goes: `python -m tests.bench.profile`; prints tables, files stand under var/profile.

py-spy samples the process from outside (`NAME.raw`: collapsed stacks; `NAME.speedscope.json`: for speedscope.app). It starts the process
itself, since many systems let only a parent look into a process. Where even that is forbidden, cProfile measures from inside: it slows
every call down and sees the main thread alone, so its shares lean towards small functions (`NAME.pstats`).
"""

from __future__ import annotations

import argparse
import asyncio
import io
import pstats
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from pydantic import SecretStr

from devstack.kafka import kafka_bootstrap_servers
from devstack.load.process import ClosedPace, Load, run_load_apart
from devstack.ports import free_port
from devstack.stack import READERS
from shared.errors import ParleyError
from shared.ids import new_id
from shared.topics import all_topics
from tests.bench import backlog, ingest
from tests.bench.contenders.contest import Contest
from tests.bench.reporting import progress
from tests.bench.samples import read, speedscope, table
from tests.bench.services import Service
from tests.bench.world import ROOT, VAR, Place, fresh_prefix, messages

DIRECTORY = VAR / "profile"
SAMPLES_PER_SECOND = 200
EVENTS = 60_000
CONVERSATIONS_PER_EVENT = 1 / 20
SECONDS = 10.0
ROWS = 25
READY_SECONDS_MAX = 60.0
TOOLS = ("py-spy", "cprofile")
FORBIDDEN = "ermission"
"""Part of what py-spy says where the system does not let it look."""
REDUCER_PARTS: Mapping[str, str] = {
    "SQLite": r"shared/store/sqlite|sqlite3",
    "documents into rows": r"^DocumentCodec.to_stored|^to_stored",
    "rows into documents": r"^(DocumentCodec\.)?from_stored",
    "decoding events": r"^(Topic\.)?decode \(shared/topics",
    "outputs into envelopes": r"shared/engine/stamping",
    "partitions of keys": r"shared/engine/placement|aiokafka/partitioner",
    "rules": r"^(ConversationReducer\.)?decide ",
    "engine": r"shared/engine/(step|plan)",
    "publishing": r"shared/engine/publisher|aiokafka/producer",
    "fetching": r"aiokafka/consumer",
    "loop": r"shared/engine/",
}
INGEST_PARTS: Mapping[str, str] = {
    "signature": r"verify|is_signed",
    "reading the webhook": r"shared/channels/.*(parse|reading)",
    "events into envelopes": r"^encode_event|services/ingest/core",
    "partitions of keys": r"shared/engine/placement|aiokafka/partitioner",
    "publishing": r"shared/engine/publisher|aiokafka/producer",
    "intake": r"services/ingest/",
    "HTTP": r"uvicorn|starlette|fastapi",
    "event loop and sockets (uvloop, in C)": r"^(Runner\.)?run \(asyncio/runners",
}


class ForbiddenError(ParleyError):
    """The system does not let py-spy look into a process."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile to be taken: the `tool`, and where its files go."""

    name: str
    tool: str
    directory: Path

    @property
    def path(self) -> Path:
        """Return the file that the tool writes."""
        return self.directory / (f"{self.name}.raw" if self.tool == "py-spy" else f"{self.name}.pstats")

    def command(self, *arguments: str) -> tuple[str, ...]:
        """Return the command that runs Python with `arguments` under the tool."""
        if self.tool == "cprofile":
            return (sys.executable, "-m", "cProfile", "-o", str(self.path), *arguments)
        spy = str(Path(sys.executable).parent / "py-spy")
        options = ("--format", "raw", "--threads", "--rate", str(SAMPLES_PER_SECOND), "--output", str(self.path))
        return (spy, "record", *options, "--", sys.executable, *arguments)


async def reducer(profile: Profile, events: int) -> None:
    """Profile the conversation reducer over a backlog of `events`."""
    async with AsyncExitStack() as exits:
        directory = exits.enter_context(tempfile.TemporaryDirectory())
        bootstrap = await exits.enter_async_context(kafka_bootstrap_servers(Path(directory) / "kafka"))
        place = Place(bootstrap, fresh_prefix("profile"), backlog.PARTITIONS)
        await place.make()
        conversations = max(1, round(events * CONVERSATIONS_PER_EVENT))
        await place.fill(messages(events, lambda number: number % conversations))
        contest = Contest(bootstrap, place.prefix, place.partitions, directory, events)
        command = profile.command("-m", "tests.bench.backlog", "parley", contest.to_json())
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        try:
            _, said = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        _check(profile, process.returncode or 0, said.decode("utf-8", "replace"))


async def intake(profile: Profile, seconds: float) -> None:
    """Profile ingest under as many webhooks as the connections carry, for `seconds`."""
    async with AsyncExitStack() as exits:
        directory = Path(exits.enter_context(tempfile.TemporaryDirectory()))
        place = Place(
            await exits.enter_async_context(kafka_bootstrap_servers(directory / "kafka")), fresh_prefix("profile"), backlog.PARTITIONS
        )
        await place.make(all_topics(READERS))
        port, health, secret = free_port(), free_port(), new_id()
        settings = {
            "PARLEY_HEALTH_PORT": str(health),
            "PARLEY_INGEST_PORT": str(port),
            "PARLEY_WHATSAPP_APP_SECRET": secret,
            "PARLEY_WHATSAPP_VERIFY_TOKEN": new_id(),
            "PARLEY_WHATSAPP_ACCESS_TOKEN": new_id(),
        }
        service = Service("ingest", "0", place, directory / "data", settings, command=profile.command("-m", "services.ingest"))
        await service.start()
        try:
            await _ready(service, profile, f"http://127.0.0.1:{health}/ready")
            load = Load(
                url=f"http://127.0.0.1:{port}/channels/whatsapp",
                secret=SecretStr(secret),
                accounts=ingest.ACCOUNTS,
                texts=ingest.TEXTS,
                customers=ingest.CUSTOMERS,
                connections=ingest.CONNECTIONS,
                pace=ClosedPace(seconds=seconds),
            )
            found = await run_load_apart(load)
            progress(f"ingest: {found.per_second:.0f} webhooks a second while it was profiled")
        finally:
            await _end(service)
        _check(profile, service.returncode or 0, "\n".join(service.last_lines))


async def _ready(service: Service, profile: Profile, url: str) -> None:
    """Return when ingest takes webhooks."""
    async with asyncio.timeout(READY_SECONDS_MAX), aiohttp.ClientSession() as session:
        while True:
            if service.ended:
                _check(profile, 1, "\n".join(service.last_lines))
            try:
                async with session.get(url) as answer:
                    if answer.ok:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)


async def _end(service: Service) -> None:
    """End the profiled process itself, so that the tool that runs it writes what it has and ends too."""
    if not service.ended:
        children = psutil.Process(service.pid).children() or [psutil.Process(service.pid)]
        for child in children:
            child.terminate()
    await service.wait()


def _check(profile: Profile, code: int, said: str) -> None:
    """Raise ForbiddenError where py-spy may not look, RuntimeError where the profile was not written for another reason."""
    if profile.tool == "py-spy" and FORBIDDEN in said and not _written(profile.path):
        raise ForbiddenError(said.strip().splitlines()[-1])
    if not _written(profile.path):
        raise RuntimeError(f"{profile.tool} wrote nothing (exit {code}): {said.strip()[-500:]}")


def _written(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def shown(profile: Profile, parts: Mapping[str, str]) -> str:
    """Return the tables of a profile; with py-spy, its speedscope file is written too."""
    if profile.tool == "cprofile":
        text = io.StringIO()
        stats = pstats.Stats(str(profile.path), stream=text)
        stats.strip_dirs().sort_stats("tottime").print_stats(ROWS)
        stats.sort_stats("cumtime").print_stats(ROWS)
        return f"{profile.name}, by cProfile: the main thread alone, its start included, and small functions slowed most\n{text.getvalue()}"
    samples = read(profile.path, (f"{sysconfig.get_path('purelib')}/", f"{ROOT}/"))
    profile.path.with_suffix(".speedscope.json").write_text(speedscope(samples, profile.name), encoding="utf-8")
    total = max(1, samples.total)
    return "\n".join(
        [
            f"{profile.name}: {samples.total} samples of work ({samples.left_out} of waiting and starting are left out)\n",
            table("By part (the innermost that fits)", samples.by_part(parts), total, ROWS),
            table("By function, its own", samples.own(), total, ROWS),
            table("By function, with what it calls", samples.cumulative(), total, ROWS * 2),
        ]
    )


async def take(name: str, tools: tuple[str, ...], directory: Path, run: Callable[[Profile], Coroutine[Any, Any, None]]) -> Profile:
    """Take a profile with the first of `tools` that the system lets us use; return it."""
    for tool in tools:
        profile = Profile(name, tool, directory)
        profile.path.unlink(missing_ok=True)
        progress(f"{name}: profiling with {tool}")
        try:
            await run(profile)
        except (ForbiddenError, FileNotFoundError) as error:
            if tool == tools[-1]:
                raise
            progress(f"{tool} cannot be used here ({error}); the next one is tried")
        else:
            return profile
    raise ValueError("no tool was named")


def main() -> int:
    """Profile, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("reducer", "ingest"), help="profile just this one")
    parser.add_argument("--with", dest="tool", choices=TOOLS, help="the tool (default: py-spy, else cProfile)")
    parser.add_argument("--events", type=int, default=EVENTS, help="events of the reducer's backlog (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of ingest's load (default: %(default)s)")
    parsed = parser.parse_args()
    tools = TOOLS if parsed.tool is None else (parsed.tool,)
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    if parsed.only != "ingest":
        taken = asyncio.run(take("reducer", tools, DIRECTORY, lambda profile: reducer(profile, parsed.events)))
        sys.stdout.write(shown(taken, REDUCER_PARTS) + "\n")
    if parsed.only != "reducer":
        taken = asyncio.run(take("ingest", tools, DIRECTORY, lambda profile: intake(profile, parsed.seconds)))
        sys.stdout.write(shown(taken, INGEST_PARTS) + "\n")
    progress(f"the files are in {DIRECTORY.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
