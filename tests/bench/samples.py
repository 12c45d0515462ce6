"""Stacks that py-spy has collected, one per line with their count: read, sorted into parts, counted, and written for speedscope."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

WAITING = ("_worker (concurrent/futures/thread.py", "select (selectors.py", "wait (threading.py")
"""Frames in which a thread waits: where the system does not tell who is idle, they are sampled all the same."""
STARTING = ("_find_and_load", "build_reducers (", "load_contact_centre (")
"""Frames of a process that has not begun its work yet."""
LINE = re.compile(r":\d+\)$")
REST = "the rest"

Stack = tuple[str, ...]
"""Frames from the outermost to the innermost, as `function (file:line)`."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Stacks with their counts; `left_out` were waiting or starting."""

    stacks: Mapping[Stack, int]
    left_out: int = 0

    @property
    def total(self) -> int:
        """Return how many samples there are."""
        return sum(self.stacks.values())

    def own(self) -> Counter[str]:
        """Return the samples by the function that was running."""
        return _counted((stack[-1:], count) for stack, count in self.stacks.items())

    def cumulative(self) -> Counter[str]:
        """Return the samples by every function that was on the stack."""
        return _counted(self.stacks.items())

    def by_part(self, parts: Mapping[str, str]) -> Counter[str]:
        """Return the samples by part: the innermost frame that matches a part's pattern decides."""
        compiled = {name: re.compile(pattern) for name, pattern in parts.items()}
        found: Counter[str] = Counter()
        for stack, count in self.stacks.items():
            matching = (name for frame in reversed(stack) for name, pattern in compiled.items() if pattern.search(frame))
            found[next(matching, REST)] += count
        return found


def _counted(stacks: Iterable[tuple[Stack, int]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for stack, count in stacks:
        for function in {LINE.sub(")", frame) for frame in stack}:
            found[function] += count
    return found


def waiting(frame: str) -> bool:
    """Return whether a thread in `frame` waits."""
    return any(mark in frame for mark in WAITING)


def parse(lines: Iterable[str], roots: Sequence[str] = ()) -> Samples:
    """Return the samples in collapsed lines (`frame;frame;… count`), paths below `roots` shortened, threads and processes left out."""
    stacks: Counter[Stack] = Counter()
    left_out = 0
    for line in lines:
        frames, _, count = line.rpartition(" ")
        for root in roots:
            frames = frames.replace(root, "")
        stack = tuple(frame for frame in frames.split(";") if not frame.startswith(("thread (", "process ")))
        if not stack or waiting(stack[-1]) or any(mark in frame for frame in stack for mark in STARTING):
            left_out += int(count)
        else:
            stacks[stack] += int(count)
    return Samples(stacks, left_out)


def speedscope(samples: Samples, name: str) -> str:
    """Return the samples in speedscope's file format (speedscope.app, "importing from custom sources"), weights in samples."""
    frames = {frame: number for number, frame in enumerate(dict.fromkeys(frame for stack in samples.stacks for frame in stack))}
    profile = {
        "type": "sampled",
        "name": name,
        "unit": "none",
        "startValue": 0,
        "endValue": samples.total,
        "samples": [[frames[frame] for frame in stack] for stack in samples.stacks],
        "weights": list(samples.stacks.values()),
    }
    shared = {"frames": [{"name": frame} for frame in frames]}
    schema = "https://www.speedscope.app/file-format-schema.json"
    return json.dumps({"$schema": schema, "name": name, "shared": shared, "profiles": [profile]})


def table(title: str, counts: Counter[str], total: int, rows: int) -> str:
    """Return the largest counts as lines for people."""
    lines = [f"{count / total * 100:6.1f} %  {name}" for name, count in counts.most_common(rows)]
    return "\n".join([title, *lines]) + "\n"


def read(path: Path, roots: Sequence[str]) -> Samples:
    """Return the samples in a file."""
    with path.open(encoding="utf-8") as lines:
        return parse(lines, roots)
