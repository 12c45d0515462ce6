"""`parley --help` starts quickly because it imports nothing that only a command needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "aiohttp",
    "aiokafka",
    "asyncio",
    "fastapi",
    "faststream",
    "orjson",
    "pymongo",
    "rich",
    "shared.engine",
    "shared.settings",
    "sqlite3",
    "ssl",
    "structlog",
    "yaml",
)
"""What takes longest to import; each is imported where a command needs it. (typer itself looks whether pydantic is there.)"""
LOOK = f"""
import sys
from cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
sys.stderr.write(" ".join(name for name in {HEAVY!r} if name in sys.modules))
"""


@pytest.mark.parametrize("arguments", [["--help"], ["replay", "--help"], ["up", "--help"]], ids=" ".join)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """Neither the list of commands nor the help of one waits for Kafka's client, the models or an event loop."""
    done = subprocess.run([sys.executable, "-c", LOOK, *arguments], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603 # ours
    assert "Usage: parley" in done.stdout
    assert done.stderr == ""
