"""The emulator as a process, and what it is made of."""

from __future__ import annotations

import ast
import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from devstack.emulator.__main__ import parse_arguments, settings_of
from devstack.emulator.app import running
from devstack.emulator.client import connect
from devstack.emulator.settings import CONFIGURATION_VARIABLE, EmulatorSettings, SettingsError, load_settings
from tests.devstack.emulator.harness import receiving, settings

PACKAGE = Path(__file__).parents[3] / "devstack" / "emulator"
START_SECONDS_MAX = 20


@asynccontextmanager
async def started(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start the emulator; none is left behind, whatever the test does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "devstack.emulator",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=PACKAGE.parents[1],
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_the_process_says_when_it_is_ready_and_stops_on_a_signal(tmp_path: Path) -> None:
    """One JSON line with its ports, a webhook in the right way, exit 0 on SIGTERM."""
    async with receiving() as receiver:
        config = tmp_path / "emulator.json"
        config.write_text(settings(webhook_url="http://127.0.0.1:9/never").model_dump_json())
        async with started("--port", "0", "--webhook-url", receiver.url, "--config", str(config), "--seed", "3") as process:
            assert process.stdout is not None
            async with asyncio.timeout(START_SECONDS_MAX):
                ready = json.loads(await process.stdout.readline())
            assert (ready["event"], ready["pid"]) == ("ready", process.pid)
            async with connect(ready["api_url"]) as client:
                await client.put_customer("ana", phone="351912000001")
                sent = await client.send("ana", "100000000000001", "Hi")
                assert sent["webhooks"][0]["http_status"] == 200
            assert receiver.posts[0].signed
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(START_SECONDS_MAX):
                assert await process.wait() == 0


async def test_help_shows_an_example() -> None:
    """--help is enough to begin with."""
    async with started("--help") as process:
        output, _ = await process.communicate()
    assert b"example:" in output
    assert b"/control/customers" in output


async def test_a_taken_port_and_a_bad_configuration_are_told_in_one_line() -> None:
    """No traceback, and what to do."""
    async with running(EmulatorSettings()) as emulator:
        async with started("--port", str(emulator.port)) as process:
            _, errors = await process.communicate()
        assert process.returncode == 1
        assert b"Choose another --port" in errors
    async with started("--config", "/nowhere/at/all.json") as process:
        _, errors = await process.communicate()
    assert process.returncode == 2
    assert errors.count(b"\n") == 1


def test_the_configuration_comes_from_the_environment_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A path or the JSON itself; the command line has the last word."""
    monkeypatch.setenv(CONFIGURATION_VARIABLE, '{"whatsapp": {"app_secret": "s", "limits": {"pair_burst": 1000}}}')
    chosen = settings_of(parse_arguments(["--webhook-url", "http://x/hook", "--seed", "5"]))
    assert (chosen.whatsapp.app_secret, chosen.whatsapp.limits.pair_burst) == ("s", 1000)
    assert (chosen.whatsapp.webhook_url, chosen.whatsapp.behaviour.seed) == ("http://x/hook", 5)
    path = tmp_path / "settings.json"
    path.write_text('{"log_entries_max": 7}')
    monkeypatch.setenv(CONFIGURATION_VARIABLE, str(path))
    assert load_settings(None).log_entries_max == 7
    monkeypatch.delenv(CONFIGURATION_VARIABLE)
    assert load_settings(None) == EmulatorSettings()


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not JSON"), ('{"whatsap": {}}', "whatsap"), ('{"whatsapp": {"limits": {"pair_burst": 0}}}', r"limits\.pair_burst")],
)
def test_a_bad_configuration_says_where(monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    """A misspelt name or a value out of its bounds is named."""
    monkeypatch.setenv(CONFIGURATION_VARIABLE, text)
    with pytest.raises(SettingsError, match=message):
        load_settings(None)


async def test_stopping_drops_what_is_on_its_way() -> None:
    """A pending webhook and a hanging caller do not keep the process alive."""
    async with receiving() as receiver, aiohttp.ClientSession() as session:
        async with asyncio.timeout(START_SECONDS_MAX):
            async with running(settings(webhook_url=receiver.url)) as emulator, connect(emulator.url) as client:
                await client.put_customer("ana", phone="351912000001")
                await client.send("ana", "100000000000001", "Hi", delay_seconds=600, wait="none")
        assert receiver.posts == []
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"{emulator.url}/control/live")


def test_no_code_is_shared_with_the_platform() -> None:
    """The emulator imports nothing from shared, services or cli, so it cannot repeat their misunderstandings."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert not [name for name in names if name.partition(".")[0] in {"shared", "services", "cli"}], path
