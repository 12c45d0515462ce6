"""An interpreter with Quix Streams, made on demand under var/: its dependencies are none of the project's.

`tests/bench/quix.requirements.txt` is compiled by `uv pip compile --universal --python-version 3.11 --generate-hashes
--no-emit-index-url --no-header` from the one line `quixstreams==3.28.1`. The project's own libraries are found behind Quix's own.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import sysconfig
from pathlib import Path

from tests.bench.world import ROOT, VAR

REQUIREMENTS = ROOT / "tests/bench/quix.requirements.txt"
ENVIRONMENT = VAR / "bench" / "quix"
INSTALL_SECONDS_MAX = 240.0
REASON_CHARACTERS_MAX = 200


class NotInstalledError(RuntimeError):
    """Quix Streams could not be installed; the message is the installer's last line."""


async def quix_python(environment: Path = ENVIRONMENT) -> str:
    """Return the interpreter that has Quix Streams, installed at the first call; raises NotInstalledError with the reason."""
    python = environment / "bin" / "python"
    stamp = environment / "installed.txt"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(environment, ignore_errors=True)
        await _carry_out(sys.executable, "-m", "venv", "--without-pip", str(environment))
        await _install(python)
        packages = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
        (packages / "project.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
        stamp.write_text(wanted, encoding="utf-8")
    return str(python)


async def _install(python: Path) -> None:
    """Install with uv where it works, else with pip, as the Makefile does."""
    uv = Path(sys.executable).parent / "uv"
    try:
        await _carry_out(str(uv), "pip", "install", "--quiet", "--python", str(python), "--require-hashes", "-r", str(REQUIREMENTS))
    except NotInstalledError:
        pip = (sys.executable, "-m", "pip", "--python", str(python))
        await _carry_out(*pip, "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", str(REQUIREMENTS))


async def _carry_out(*command: str) -> None:
    """Run `command`; raises NotInstalledError where it fails or takes too long."""
    try:
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    except OSError as error:
        raise NotInstalledError(f"{Path(command[0]).name}: {error.strerror}") from None
    try:
        async with asyncio.timeout(INSTALL_SECONDS_MAX):
            output, _ = await process.communicate()
    except BaseException as error:
        process.kill()
        await process.wait()
        if isinstance(error, TimeoutError):
            raise NotInstalledError(f"not within {INSTALL_SECONDS_MAX:.0f} s") from None
        raise
    if process.returncode != 0:
        lines = output.decode("utf-8", "replace").strip().splitlines() or [f"exit code {process.returncode}"]
        raise NotInstalledError(lines[-1][:REASON_CHARACTERS_MAX])
