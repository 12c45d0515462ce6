"""`make demo`: a day in a contact centre on a real broker, shown and reconciled."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from devstack.demo.crowd import crowd
from devstack.demo.day import Day, Scene, SceneFailedError
from devstack.demo.desk import Desk
from devstack.demo.scenes import SCENES, Plan
from devstack.demo.screen import Screen
from devstack.demo.summary import latency, reconcile
from devstack.emulator.client import connect
from devstack.stack import READERS, SERVICES, StackOptions, running_stack
from shared.engine.follower import Follower
from shared.engine.publisher import KafkaPublisher, PublisherOptions
from shared.errors import ParleyError
from shared.topics import all_topics

DIRECTORY = Path("var/demo")
NOT_OURS = 1
"""Messages of the scenes that go to a number that is not configured."""
FORGED = 1
"""Messages of the scenes whose webhook has a bad signature."""
KILL_AFTER_SECONDS = 2.0
EXIT_NOT_RECONCILED = 1


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    kill: tuple[str, ...]
    customers: int
    directory: Path


def parse(arguments: list[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m devstack.demo",
        description="Plays a day in a contact centre on a real broker and reconciles it.",
        epilog="example: python -m devstack.demo --kill router --kill outbound",
    )
    parser.add_argument(
        "--kill",
        action="append",
        choices=(*SERVICES, "all"),
        default=[],
        help="kill this service (SIGKILL) in the middle: no count may change",
    )
    parser.add_argument("--customers", type=int, default=60, help="customers of the crowd beside the scenes (default: %(default)s)")
    parser.add_argument(
        "--directory",
        type=Path,
        default=DIRECTORY,
        help="where the broker, the stores and the logs are kept (default: %(default)s, emptied first)",
    )
    parsed = parser.parse_args(arguments)
    kill = SERVICES if "all" in parsed.kill else tuple(dict.fromkeys(parsed.kill))
    return Options(kill, parsed.customers, parsed.directory)


def main() -> int:
    """Play the day; return 0 when everything happened and every count reconciles."""
    options = parse()
    screen = Screen(Console())
    try:
        return asyncio.run(play(options, screen))
    except KeyboardInterrupt:
        screen.stop()
        screen.note("Stopped; nothing is left running.")
        return 130
    except ParleyError as error:
        screen.stop()
        sys.stderr.write(f"{error}\n")
        return EXIT_NOT_RECONCILED


async def play(options: Options, screen: Screen) -> int:
    """Start everything, play the scenes, wait until all is quiet, reconcile."""
    if options.directory == DIRECTORY:
        shutil.rmtree(DIRECTORY, ignore_errors=True)
    restarts: list[str] = []
    stack_options = StackOptions(
        directory=options.directory,
        on_step=screen.step,
        on_restart=lambda name, code: restarts.append(f"{name} ended with {code} and was started again"),
    )
    async with (
        running_stack(stack_options) as stack,
        connect(stack.emulator_url) as emulator,
        Follower(stack.bootstrap_servers, stack.topic_prefix, all_topics(READERS)) as follower,
    ):
        publisher = KafkaPublisher(PublisherOptions(stack.bootstrap_servers, stack.topic_prefix, stack.options.partitions, "demo"))
        day = Day(stack, emulator, follower, publisher)
        following = asyncio.create_task(day.follow())
        try:
            await _while_following(following, _play_scenes(day, options, screen))
            await _while_following(following, _settle(day))
            screen.stop()
            counts = await emulator.counts()
        finally:
            screen.stop()
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following
            await publisher.close()
        for line in restarts:
            screen.note(line)
        lines = reconcile(day.board, counts, not_ours=NOT_OURS, refused=FORGED)
        screen.summary(lines, latency(day.board))
        failed = [scene for scene in day.scenes if scene.failed]
        for scene in failed:
            screen.note(f"✗ {scene.title}: {scene.outcome}")
        return 0 if not failed and all(line.holds for line in lines) else EXIT_NOT_RECONCILED


async def _play_scenes(day: Day, options: Options, screen: Screen) -> None:
    """Play all scenes at once, with the crowd, and the kill where one is asked for."""
    answer = await day.emulator.handshake()
    screen.step(f"The channel's handshake was answered: {answer['http_status']}")
    desk = Desk(day)
    await desk.open()
    screen.start(day)
    plans = (*SCENES, Plan(f"A crowd of {options.customers} customers", lambda the_day: crowd(the_day, options.customers)))
    async with asyncio.TaskGroup() as group:
        for plan in plans:
            scene = Scene(plan.title)
            day.scenes.append(scene)
            group.create_task(_play(day, plan, scene, screen))
        group.create_task(_kill(day, options.kill, screen))
    if desk.failures:
        raise desk.failures[0]


async def _while_following(following: asyncio.Task[None], work: Coroutine[Any, Any, None]) -> None:
    """Do `work`; should the board stop reading meanwhile, raise what stopped it instead of waiting for facts that never come."""
    task = asyncio.create_task(work)
    done, _ = await asyncio.wait({following, task}, return_when=asyncio.FIRST_COMPLETED)
    if following in done:
        task.cancel()
        await asyncio.wait({task})
        following.result()
    task.result()


async def _play(day: Day, plan: Plan, scene: Scene, screen: Screen) -> None:
    try:
        scene.outcome = await plan.play(day)
    except ParleyError as error:
        scene.outcome, scene.failed = str(error), True
    screen.scene_ended(scene)


async def _kill(day: Day, names: Sequence[str], screen: Screen) -> None:
    """Kill the services one after the other, each while the day goes on; the next when the last is back."""
    for name in names:
        await asyncio.sleep(KILL_AFTER_SECONDS)
        pid = day.stack.children[name].kill()
        screen.note(f"killed {name} (process {pid}) with SIGKILL")
        await asyncio.sleep(KILL_AFTER_SECONDS)
        await day.stack.wait_until_ready([name])


async def _settle(day: Day) -> None:
    """Wait until every message, reply and send of the day has its place and its outcome; the summary tells what has not."""
    counts = await day.emulator.counts()
    with contextlib.suppress(SceneFailedError):
        await day.until(
            "the outcome of every reply and send",
            lambda: all(line.holds for line in reconcile(day.board, counts, not_ours=NOT_OURS, refused=FORGED)) or None,
        )


if __name__ == "__main__":
    raise SystemExit(main())
