"""What `parley up` does: starts the stack, shows what its processes write, and takes everything down again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from cli.log_lines import LogLines
from cli.output import table
from devstack.stack import Stack, StackOptions, running_stack
from shared.running import EXIT_MISCONFIGURED

EXIT_INTERRUPTED = 130
ENDED_POLL_SECONDS = 0.5
"""How often it is looked whether a service has ended for good: supervision has no event for it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to run, and how."""

    services: tuple[str, ...]
    config: Path
    directory: Path
    ingest_port: int | None
    partitions: int
    prefix: str
    log_level: str
    emulator: bool = True


def supervise(plan: Plan) -> int:
    """Run until Ctrl-C or SIGTERM; return the exit code. Raises ParleyError where something cannot be started."""
    return asyncio.run(_Supervision(plan).run())


class _Supervision:
    """One run of the stack in this process."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lines = LogLines()
        self._console = Console(highlight=False, soft_wrap=True)
        self._stop = asyncio.Event()
        self._started = False

    async def run(self) -> int:
        """Start, show, stop. A signal before everything is up ends the start."""
        running = asyncio.create_task(self._run_stack())
        with _signals(lambda: self._on_signal(running)):
            try:
                return await running
            except asyncio.CancelledError:
                self._print("Stopped while starting; nothing is left running.")
                return EXIT_INTERRUPTED

    def _on_signal(self, running: asyncio.Task[int]) -> None:
        """Stop in good order; before everything is up, give the start up. A second signal changes nothing: every stop has a bound."""
        if not self._started and not self._stop.is_set():
            running.cancel()
        self._stop.set()

    async def _run_stack(self) -> int:
        async with running_stack(self._options()) as stack:
            self._started = True
            self._show_addresses(stack)
            code = await self._until_stopped(stack)
        self._print("Stopped; nothing is left running.")
        return code

    async def _until_stopped(self, stack: Stack) -> int:
        """Return 0 when told to stop; EXIT_MISCONFIGURED when no service is left because none could start."""
        told: set[str] = set()
        while not self._stop.is_set():
            for name in stack.options.services:
                if stack.children[name].ended and name not in told:
                    told.add(name)
                    self._announce(name, "ended and is not started again; its last lines are above")
            if len(told) == len(stack.options.services):
                return EXIT_MISCONFIGURED
            try:
                async with asyncio.timeout(ENDED_POLL_SECONDS):
                    await self._stop.wait()
            except TimeoutError:
                continue
        return 0

    def _options(self) -> StackOptions:
        plan = self._plan
        return StackOptions(
            directory=plan.directory,
            config_directory=plan.config,
            partitions=plan.partitions,
            services=plan.services,
            ingest_port=plan.ingest_port,
            emulated=plan.emulator,
            environment={"PARLEY_TOPIC_PREFIX": plan.prefix, "PARLEY_LOG_LEVEL": plan.log_level, "PARLEY_LOG_FORMAT": "json"},
            on_line=lambda name, line: self._console.print(self._lines.render(name, line)),
            on_step=lambda step: self._print(f"· {step}"),
            on_restart=lambda name, code: self._announce(name, f"ended with {code} and is started again"),
        )

    def _show_addresses(self, stack: Stack) -> None:
        """Print where everything is, and how another terminal reaches it."""
        plan = self._plan
        rows = [
            ("webhooks (ingest)", f"{stack.ingest_url}/channels/<channel>", "ingest" in stack.options.services),
            ("the channels' side (emulator)", stack.emulator_url, plan.emulator),
            ("Kafka", stack.bootstrap_servers, True),
            *((f"health of {name}", f"http://127.0.0.1:{port}/ready", True) for name, port in stack.health_ports.items()),
            ("logs", str(stack.options.directory), True),
        ]
        table(("what", "where"), [(what, where) for what, where, there in rows if there])
        self._print(f"In another terminal: export KAFKA_BOOTSTRAP_SERVERS={stack.bootstrap_servers}")
        self._print("Ctrl-C stops everything.")

    def _announce(self, service: str, words: str) -> None:
        self._console.print(self._lines.announce(service, words))

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False)


@contextmanager
def _signals(on_signal: Callable[[], None]) -> Iterator[None]:
    """Call `on_signal` at SIGINT and SIGTERM."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
