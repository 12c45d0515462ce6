"""The channels under test: all that this installation has, made with planted secrets, and what is known to be good for each.

Nothing here names a channel: fixtures say what a good webhook looks like, and which of its lists hold items is found by trying.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from shared.channels.contract import Accepted, Channel, Channels, Handshake, HttpRequest, Item, ItemEvent, Limits, Policy, Refused, Role
from shared.channels.discover import channel_names, discover
from shared.events.sends import SendRequested
from tests.channels.fixture_cases import RECEIVED_AT, fixture_cases
from tests.fuzz.canaries import SECRET

SAMPLES = Path(os.environ.get("PARLEY_SAMPLES", Path(__file__).resolve().parents[3] / "shared" / "payloads"))
"""Published webhooks of others, no part of this repository; where the folder is absent, the fixtures are all there is."""
TRUSTED = "x-fuzz-trusted"
"""A header of the fuzzer's own: the webhook counts as signed, once the channel's own check has looked at it."""
SITES_PER_LIST_MAX = 4


@dataclass(frozen=True, slots=True)
class Trusting:
    """A channel that believes the fuzzer. Everything else is the channel's own."""

    channel: Channel

    @property
    def name(self) -> str:
        """Return the channel's name."""
        return self.channel.name

    @property
    def policy(self) -> Policy:
        """Return the channel's policy."""
        return self.channel.policy

    def limits(self, account: str) -> Limits:
        """Return the channel's limits."""
        return self.channel.limits(account)

    def missing(self, role: Role) -> tuple[str, ...]:
        """Return what the channel lacks."""
        return self.channel.missing(role)

    def handshake(self, query: Mapping[str, str]) -> Handshake:
        """Return the channel's answer."""
        return self.channel.handshake(query)

    def verify(self, headers: Mapping[str, str], body: bytes, *, account: str | None = None) -> bool:
        """Return whether the channel, which is asked in any case, or the fuzzer says so."""
        return self.channel.verify(headers, body, account=account) or TRUSTED in headers

    def parse(self, body: bytes, received_at: datetime, *, account: str | None = None) -> tuple[Item, ...]:
        """Return what the channel reads."""
        return self.channel.parse(body, received_at, account=account)

    def render(self, send: SendRequested) -> HttpRequest:
        """Return what the channel writes."""
        return self.channel.render(send)

    def interpret(self, status: int, headers: Mapping[str, str], body: bytes) -> Accepted | Refused:
        """Return what the channel understands."""
        return self.channel.interpret(status, headers, body)


@cache
def channels() -> Channels:
    """Return every channel that is installed, with planted secrets wherever it asks for one."""
    bare = discover()
    names = {name for channel in bare.by_name.values() for role in ("ingest", "outbound") for name in channel.missing(role)}
    with _environment({name: f"{SECRET}-{number}" for number, name in enumerate(sorted(names))}):
        made = discover()
    return Channels({name: Trusting(channel) for name, channel in made.by_name.items()})


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@cache
def good_webhooks(channel: str) -> tuple[bytes, ...]:
    """Return the webhooks that the channel is known to post: its fixtures, and the published samples where they are present."""
    bodies = [case.body for case in fixture_cases() if case.channel == channel]
    folder = SAMPLES / channel
    if folder.is_dir():
        bodies += [path.read_bytes() for path in sorted(folder.rglob("*.json"))]
    return tuple(dict.fromkeys(bodies))


@cache
def good_trees(channel: str) -> tuple[bytes, ...]:
    """Return those of the good webhooks that are strict JSON, as bytes to be read anew for each change."""
    return tuple(body for body in good_webhooks(channel) if _tree(body) is not None)


def _tree(body: bytes) -> Any:
    """Return what the body says, or None where it is no strict JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


@cache
def values_of(channel: str) -> list[Any]:
    """Return every object, list and text inside the good webhooks: what could stand in the place of another."""
    found: dict[bytes, Any] = {}
    for body in good_trees(channel):
        waiting = [_tree(body)]
        while waiting:
            node = waiting.pop()
            found.setdefault(orjson.dumps(node), node)
            waiting += list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
    return list(found.values())


@cache
def accounts() -> frozenset[str]:
    """Return the accounts that the good webhooks are for, as `<channel>:<account>`."""
    return frozenset(
        f"{name}:{item.account}"
        for name, channel in channels().by_name.items()
        for body in good_webhooks(name)
        for item in channel.parse(body, RECEIVED_AT)
        if isinstance(item, ItemEvent)
    )


@dataclass(frozen=True, slots=True)
class Site:
    """A place for a bad item beside a good one.

    In `host` the list at `path` holds items; the one at `index` is the one to spoil. `sentinel` in the same list makes the events
    `expected`, whatever stands beside it.
    """

    host: bytes
    path: tuple[Any, ...]
    index: int
    sentinel: Any
    expected: frozenset[str]

    @property
    def item_bytes(self) -> int:
        """Return the size of the item to spoil, alone."""
        return len(orjson.dumps(self.tree()[1][self.index]))

    @property
    def identity(self) -> str:
        """Return the text in the sentinel that its events are called by; empty where there is none."""
        waiting: list[Any] = [self.sentinel]
        while waiting:
            node = waiting.pop()
            waiting += list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
            if isinstance(node, str) and node and all(identifier.endswith(f"/{node}") for identifier in self.expected):
                return node
        return ""

    def tree(self) -> tuple[Any, list[Any]]:
        """Return a fresh tree of the host, and the list in it."""
        tree = orjson.loads(self.host)
        return tree, _at(tree, self.path)


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        tree = tree[step]
    return tree


@cache
def sites(channel: str) -> tuple[Site, ...]:
    """Return every place where a bad item can stand beside a good one, at every level of the webhooks; each was tried."""
    sentinels: dict[tuple[str, ...], list[Any]] = {}
    lists = [(body, path, len(_at(_tree(body), path))) for body in good_trees(channel) for path in _lists_in(_tree(body))]
    for body, path, size in lists:
        sentinels.setdefault(_names(path), []).extend(_at(_tree(body), path)[index] for index in range(size))
    found: list[Site] = []
    for body, path, size in lists:
        before = _events_of(channel, body)
        good = 0
        for sentinel in sentinels[_names(path)]:
            tree = _tree(body)
            _at(tree, path).append(sentinel)
            after = _events_of(channel, orjson.dumps(tree))
            expected = after - before
            if expected and before <= after:  # what changes the events of others (one more contact) is no item of its own
                found += [Site(body, path, index, sentinel, expected) for index in range(size)]
                good += 1
            if good == SITES_PER_LIST_MAX:
                break
    return tuple(found)


def _lists_in(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every list that is not empty."""
    if isinstance(tree, list):
        if tree:
            yield path
        for index, item in enumerate(tree):
            yield from _lists_in(item, (*path, index))
    elif isinstance(tree, dict):
        for name, item in tree.items():
            yield from _lists_in(item, (*path, name))


def _names(path: tuple[Any, ...]) -> tuple[str, ...]:
    """Return the path without positions."""
    return tuple(step for step in path if isinstance(step, str))


def _events_of(channel: str, body: bytes) -> frozenset[str]:
    """Return the ids of the events that the channel reads in a good body, of accounts that are known."""
    made = channels().by_name[channel]
    return frozenset(
        item.event_id for item in made.parse(body, RECEIVED_AT) if isinstance(item, ItemEvent) and f"{channel}:{item.account}" in accounts()
    )


def channel_list() -> tuple[str, ...]:
    """Return the names of all channels."""
    return channel_names()
