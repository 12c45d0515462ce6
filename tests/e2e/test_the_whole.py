"""The whole, as processes, on the real parts."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import psutil
import pytest

from devstack.emulator.client import connect
from devstack.stack import StackOptions, running_stack

ROOT = Path(__file__).resolve().parents[2]
DEMO_SECONDS_MAX = 240.0
NUMBER = "100000000000002"

pytestmark = [pytest.mark.e2e, pytest.mark.broker]


async def demo(directory: Path, *arguments: str) -> asyncio.subprocess.Process:
    """Start the demo with its data in `directory`."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "devstack.demo",
        "--directory",
        str(directory),
        *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        preexec_fn=_heed_ctrl_c,
    )


def _heed_ctrl_c() -> None:
    """Heed SIGINT even where the tests run in a shell's background, whose children ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def test_the_day_reconciles_although_every_service_is_killed(tmp_path: Path) -> None:
    """Each of the five is killed in the middle (SIGKILL): every scene still happens and no count of the summary changes."""
    process = await demo(tmp_path, "--kill", "all", "--customers", "40")
    async with asyncio.timeout(DEMO_SECONDS_MAX):
        output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0, text
    assert text.count("with SIGKILL") == 5
    assert "✗" not in text


async def test_ctrl_c_stops_every_process(tmp_path: Path) -> None:
    """Interrupted in the middle, the demo ends by itself and leaves nothing behind."""
    process = await demo(tmp_path, "--customers", "5")
    assert process.stdout is not None
    async with asyncio.timeout(DEMO_SECONDS_MAX):
        while b"handshake" not in (line := await process.stdout.readline()):
            assert line, "the demo ended before it began"
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 7
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 130
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []


@pytest.mark.mongo
async def test_five_services_keep_their_state_in_mongodb(tmp_path: Path, mongodb_uri: str) -> None:
    """The same way of a message with MONGODB_URI set: the bot answers, and no file of the embedded store is made."""
    options = StackOptions(directory=tmp_path, config_directory=ROOT / "config", environment={"MONGODB_URI": mongodb_uri})
    async with running_stack(options) as stack, connect(stack.emulator_url) as emulator:
        await emulator.put_customer("caller", phone="+351912000001")
        await emulator.send("caller", NUMBER, "Bom dia, qual é o horário de funcionamento?")
        send = await emulator.wait_for(kind="send", customer="caller", within_seconds=30)
        assert send["outcome"] == "accepted"
        assert "das 9h às 18h" in send["request"]["text"]["body"]
    assert list((tmp_path / "data").glob("*.sqlite3")) == []
