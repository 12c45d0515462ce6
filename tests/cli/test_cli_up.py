"""`parley up` as a process: addresses, a crash, Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 150.0
pytestmark = [pytest.mark.broker, pytest.mark.e2e]


class Up:
    """The running command and what it has written."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def until(self, words: str) -> str:
        """Return the first line from now on that holds `words`."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while line := (await self.process.stdout.readline()).decode():
                self.lines.append(line.rstrip("\n"))
                if words in line:
                    return self.lines[-1]
        raise AssertionError("\n".join(self.lines[-30:]))

    async def rest(self) -> str:
        """Return everything up to its end."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await self.process.stdout.read()).decode()


@asynccontextmanager
async def running(bootstrap: str, directory: Path, *arguments: str, **variables: str) -> AsyncIterator[Up]:
    """Run `parley up` on the tests' broker with topics of its own; whatever happens, it is gone afterwards."""
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "PARLEY_TOPIC_PREFIX": "cliup.",
        **variables,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.main", "up", "--directory", str(directory), *arguments,
        cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield Up(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def children_of(pid: int) -> dict[str, int]:
    """Return the services among the child processes of `pid`, and their ids."""
    found: dict[str, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status, command = (entry / "status").read_text(), (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it has just ended
            if f"\nPPid:\t{pid}\n" in status:
                found[command.rstrip(b"\0").rsplit(b"\0", 1)[-1].decode()] = int(entry.name)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="child processes are found in /proc")
async def test_a_crashed_service_comes_back_and_ctrl_c_leaves_none_behind(kafka_bootstrap: str, tmp_path: Path) -> None:
    """The addresses are shown, a kill -9 is announced and mended, and the end is clean."""
    async with running(kafka_bootstrap, tmp_path / "up", "--service", "sla", "--service", "router") as up:
        await up.until("Ctrl-C stops everything.")
        shown = "\n".join(up.lines)
        assert re.search(r"health of sla +http://127\.0\.0\.1:\d+/ready", shown)
        assert f"export KAFKA_BOOTSTRAP_SERVERS={kafka_bootstrap}" in shown
        assert re.search(r"\d\d:\d\d:\d\d\.\d{3} info +sla +service\.started", shown)
        children = children_of(up.process.pid)
        assert "services.bot" not in children
        os.kill(children["services.sla"], signal.SIGKILL)
        assert "ended with -9 and is started again" in await up.until("ended with")
        await up.until("sla       service.started")
        children = children_of(up.process.pid)
        up.process.send_signal(signal.SIGINT)
        assert (await up.rest()).endswith("Stopped; nothing is left running.\n")
        assert await up.process.wait() == 0
    assert not [name for name, pid in children.items() if os.path.exists(f"/proc/{pid}")]  # noqa: ASYNC240, PTH110 # a look, not a wait


async def test_without_the_emulator_the_channels_are_those_of_the_environment(kafka_bootstrap: str, tmp_path: Path) -> None:
    """No emulator is started, and ingest answers the vendor's handshake with the token of our environment."""
    secrets = {"PARLEY_WHATSAPP_APP_SECRET": "mine", "PARLEY_WHATSAPP_VERIFY_TOKEN": "my-token"}
    async with running(kafka_bootstrap, tmp_path / "up", "--no-emulator", "--service", "ingest", **secrets) as up:
        await up.until("Ctrl-C stops everything.")
        shown = "\n".join(up.lines)
        assert "the channels' side (emulator)" not in shown
        assert "Starting the channels' side" not in shown
        assert not any("emulator" in name for name in children_of(up.process.pid))
        (url,) = re.findall(r"webhooks \(ingest\) +(http://\S+)/channels/", shown)
        query = {"hub.mode": "subscribe", "hub.challenge": "17", "hub.verify_token": "my-token"}
        async with aiohttp.ClientSession() as session, session.get(f"{url}/channels/whatsapp", params=query) as answer:
            assert (answer.status, await answer.text()) == (200, "17")
        up.process.send_signal(signal.SIGINT)
        assert (await up.rest()).endswith("Stopped; nothing is left running.\n")


async def test_without_the_emulator_missing_secrets_are_named(kafka_bootstrap: str, tmp_path: Path) -> None:
    """Nothing is made up in their place."""
    async with running(kafka_bootstrap, tmp_path / "up", "--no-emulator", "--service", "ingest", PARLEY_WHATSAPP_APP_SECRET="") as up:
        assert "PARLEY_WHATSAPP_APP_SECRET" in await up.rest()
        assert await up.process.wait() == 1


async def test_services_that_cannot_start_are_one_line(kafka_bootstrap: str, tmp_path: Path) -> None:
    """A configuration with a mistake ends the start with its place."""
    async with running(kafka_bootstrap, tmp_path / "up", "--config", str(tmp_path / "missing")) as up:
        assert "missing is no directory" in await up.rest()
        assert await up.process.wait() == 1


async def test_ctrl_c_while_starting_stops_too(kafka_bootstrap: str, tmp_path: Path) -> None:
    """Nobody has to wait until everything is up to stop it."""
    async with running(kafka_bootstrap, tmp_path / "up") as up:
        await up.until("Starting the channels' side")
        up.process.send_signal(signal.SIGINT)
        assert "Stopped while starting; nothing is left running." in await up.rest()
        assert await up.process.wait() == 130
