"""Ingest on one core: webhooks per second with acks=all, and latencies at a fixed rate, beside a bare application that only verifies.

The broker and the generator share the other core. The baseline is what a textbook begins with: a FastAPI route that checks the
signature and answers, without parsing, without Kafka, on the same server.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import SecretStr

from devstack.load.process import ClosedPace, Load, OpenPace, Report, run_load_apart
from devstack.ports import free_port
from devstack.stack import StackOptions, running_stack
from tests.bench.reporting import progress, report

NAME = "ingest"
CONFIG = Path(__file__).resolve().parents[2] / "config"
ACCOUNTS = ("100000000000001", "100000000000002", "100000000000003")
TEXTS = (("Bom dia, qual é o prazo de entrega?", "Onde fica a loja?"), ("What are your opening hours on Saturday?",))
CUSTOMERS = 5_000
CONNECTIONS = 64
RATE_PER_SECOND = 500.0
READY_ATTEMPTS_MAX = 200
READY_POLL_SECONDS = 0.05
SECRET_VARIABLE = "BENCH_APP_SECRET"  # the name of a variable


async def run(*, closed_seconds: float = 8.0, open_seconds: float = 20.0) -> None:
    """Measure the baseline and ingest in turn, report."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    apart = len(cores) > 1
    lengths = {"closed_seconds": closed_seconds, "open_seconds": open_seconds}
    details = {"pinned": apart, "connections": CONNECTIONS}
    if apart:
        os.sched_setaffinity(0, set(cores[:-1]))
    try:
        async with _bare() as (url, process):
            _pin(process.pid, cores[-1:])
            bare = await _measure("the bare application", url, "secret", process=process, **lengths)
        with tempfile.TemporaryDirectory() as directory:
            options = StackOptions(directory=Path(directory), config_directory=CONFIG, services=("ingest",))
            async with running_stack(options) as stack:
                process = psutil.Process(stack.children["ingest"].pid)
                _pin(process.pid, cores[-1:])
                url = f"{stack.ingest_url}/channels/whatsapp"
                ours = await _measure("ingest", url, stack.secrets["app_secret"], process=process, **lengths)
    finally:
        if apart:
            os.sched_setaffinity(0, set(cores))
    report(NAME, "webhooks per second, acks=all", ours.closed.per_second, "1/s", goal=2_500, **details)
    report(NAME, "latency p99 at full load", ours.closed.milliseconds_p99, "ms", **details)
    report(NAME, "CPU per webhook", ours.cpu_microseconds, "µs", **details)
    report(NAME, "latency p50 at 500/s", ours.open.milliseconds_p50, "ms", seconds=open_seconds, statuses=ours.open.statuses)
    report(NAME, "latency p99 at 500/s", ours.open.milliseconds_p99, "ms", goal=100, generator_late_p99=ours.open.late_milliseconds_p99)
    report(NAME, "bare application, webhooks per second", bare.closed.per_second, "1/s", **details)
    report(NAME, "bare application, CPU per webhook", bare.cpu_microseconds, "µs", **details)
    report(NAME, "bare application, latency p99 at 500/s", bare.open.milliseconds_p99, "ms")
    report(NAME, "ingest against the bare application", ours.closed.per_second / bare.closed.per_second, "times")


class _Measured:
    """What one server did."""

    def __init__(self, closed: Report, open_: Report, cpu_microseconds: float) -> None:
        self.closed = closed
        self.open = open_
        self.cpu_microseconds = cpu_microseconds


async def _measure(what: str, url: str, secret: str, *, process: psutil.Process, closed_seconds: float, open_seconds: float) -> _Measured:
    """Run both loads against one server. Raises where an answer was not 200: then the figures would mean something else."""
    load = Load(
        url=url,
        secret=SecretStr(secret),
        accounts=ACCOUNTS,
        texts=TEXTS,
        customers=CUSTOMERS,
        connections=CONNECTIONS,
        pace=ClosedPace(seconds=closed_seconds),
    )
    progress(f"{what}: as many as {CONNECTIONS} connections carry, {closed_seconds:.0f} s")
    before = _cpu_seconds(process)
    closed = await run_load_apart(load)
    cpu = _cpu_seconds(process) - before
    progress(f"{what}: {RATE_PER_SECOND:.0f} a second, {open_seconds:.0f} s")
    pace = OpenPace(per_second=RATE_PER_SECOND, count=round(RATE_PER_SECOND * open_seconds))
    paced = await run_load_apart(load.model_copy(update={"pace": pace, "run": "paced"}))
    for found in (closed, paced):
        if set(found.statuses) != {200}:
            message = f"{what} answered {found.statuses}"
            raise RuntimeError(message)
    share_counted = closed.requests / (closed.per_second * closed.seconds)
    return _Measured(closed, paced, cpu * share_counted / closed.requests * 1e6)


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _pin(pid: int, cores: list[int]) -> None:
    """Keep every thread of a process on `cores`; nothing where the system cannot."""
    if cores and hasattr(os, "sched_setaffinity"):
        for thread in psutil.Process(pid).threads():
            os.sched_setaffinity(thread.id, set(cores))


@asynccontextmanager
async def _bare() -> AsyncIterator[tuple[str, psutil.Process]]:
    """Run the baseline as a process."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.ingest", "bare", str(port), env={**os.environ, SECRET_VARIABLE: "secret"}
    )
    try:
        for _ in range(READY_ATTEMPTS_MAX):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(READY_POLL_SECONDS)
            else:
                writer.close()
                break
        yield f"http://127.0.0.1:{port}/channels/whatsapp", psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()


def bare(port: int) -> None:
    """Serve the baseline until the process is ended."""
    secret = os.environ[SECRET_VARIABLE].encode()
    app = FastAPI()

    @app.post("/channels/{channel}")
    async def take(channel: str, request: Request) -> Response:  # the address is the service's
        signature = "sha256=" + hmac.new(secret, await request.body(), hashlib.sha256).hexdigest()
        good = hmac.compare_digest(signature, request.headers.get("x-hub-signature-256", ""))
        return Response(status_code=200 if good else 401)

    uvicorn.run(app, host="127.0.0.1", port=port, log_config=None, access_log=False, server_header=False, date_header=False, lifespan="off")


def main() -> None:
    """Measure, or be the baseline."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python -m tests.bench.ingest --seconds 5")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of the closed load (default: %(default)s)")
    parser.add_argument("--open-seconds", type=float, default=20.0, help="length of the load at 500/s (default: %(default)s)")
    if sys.argv[1:2] == ["bare"]:
        bare(int(sys.argv[2]))
        return
    parsed = parser.parse_args()
    asyncio.run(run(closed_seconds=parsed.seconds, open_seconds=parsed.open_seconds))


if __name__ == "__main__":
    main()
