"""Counting: from a house to the tally that the judge reads, and waiting until everything has come to rest."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping

from pydantic import SecretStr

from devstack.demo.summary import Line, reconcile
from services.outbound.ledger import LEDGER
from services.outbound.state import LedgerEntry
from services.router.state import ConversationState
from shared.engine.document import DocumentCodec, documents_of
from shared.events.conversations import MessageAppended
from shared.events.deliveries import (
    MessageDelivered,
    MessageFailed,
    MessagePlayed,
    MessageRead,
    MessageSent,
    SendAccepted,
    SendRefused,
    SendUnknown,
)
from shared.events.inbound import MessageReceived
from shared.events.sends import SendRequested
from shared.store.open import open_store
from shared.store.port import Store
from tests.chaos.house import House
from tests.chaos.judge import equations
from tests.chaos.tally import Appended, Sends, Tally

DRAIN_SECONDS_MAX = 150.0
POLL_SECONDS = 1.0
STATUSES = (MessageSent, MessageDelivered, MessageRead, MessagePlayed, MessageFailed)


async def tally_of(house: House) -> Tally:
    """Count everything, everywhere."""
    await house.read_channel()
    counts = await house.emulator.counts()
    positions = _positions(house)
    sends = _sends(house)
    return Tally(
        posted=frozenset(house.provider.posts) | house.emulator_posted,
        acknowledged=frozenset(one.message_id for one in house.provider.posts.values() if one.acknowledged_at) | house.emulator_posted,
        received=_received(house),
        appended=tuple(
            Appended(event.subject, event.data.position, event.data.message_id)
            for event in house.records.of_kind(MessageAppended)
            if event.data.direction == "in"
        ),
        positions=positions,
        sends=sends,
        statuses_made=counts.get("statuses.created", 0),
        statuses_in=len(house.records.events(*STATUSES)),
        webhooks_given_up=counts.get("webhooks.given_up", 0),
        dead_letters=len(house.records.dead_letters()),
        dead_letters_expected=house.dead_letters_expected,
        stored_positions=await _stored_positions(house, positions),
        stored_phases=await _stored_phases(house, sends.requested),
        seq_gaps=tuple(house.records.seq_gaps()),
        differing=tuple(sorted(house.records.different)),
    )


async def lines_of(house: House) -> list[Line]:
    """Return every equation of the house: the demo's own about replies, and the judge's."""
    tally = await tally_of(house)
    await asyncio.sleep(0)
    counts = await house.emulator.counts()
    ours = {**counts, "messages.created": len(tally.acknowledged)}
    return [*reconcile(house.day.board, ours, not_ours=0, refused=0), *equations(tally)]


async def drain(house: House, seconds_max: float = DRAIN_SECONDS_MAX) -> list[Line]:
    """Stop the load, wait until everything has an outcome, and return the equations as they stand then; they need not hold."""
    deadline = time.monotonic() + seconds_max
    await house.provider.stop()
    await house.provider.settle(seconds_max)
    await house.until(lambda: _looks_complete(house), seconds_max)
    lines: list[Line] = []
    while True:
        await house.quiet(max(1.0, deadline - time.monotonic()))
        lines = await lines_of(house)
        if all(line.holds for line in lines):
            # Once more: what comes late must not double anything.
            await asyncio.sleep(POLL_SECONDS)
            lines = await lines_of(house)
            if all(line.holds for line in lines):
                return lines
        if time.monotonic() > deadline:
            return lines
        await asyncio.sleep(POLL_SECONDS)


def _looks_complete(house: House) -> bool:
    """Return whether the large counts agree: cheap, so that waiting does not hold up the proxies, which share our event loop."""
    kinds = house.records.board.kinds
    outcomes = kinds["send.accepted"] + kinds["send.refused"] + kinds["send.unknown"]
    return len(house.records.appended_at) >= kinds["message.received"] and outcomes >= kinds["send.requested"]


def _received(house: House) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    for event in house.records.of_kind(MessageReceived):
        found[event.subject].append(event.data.message_id)
    return {thread: tuple(messages) for thread, messages in found.items()}


def _positions(house: House) -> Mapping[str, tuple[int, ...]]:
    found: dict[str, list[int]] = defaultdict(list)
    for event in house.records.of_kind(MessageAppended):
        found[event.subject].append(event.data.position)
    return {thread: tuple(places) for thread, places in found.items()}


def _sends(house: House) -> Sends:
    return Sends(
        requested=frozenset(event.data.send_id for event in house.records.events(SendRequested)),
        accepted=frozenset(event.data.send_id for event in house.records.events(SendAccepted)),
        refused=frozenset(event.data.send_id for event in house.records.events(SendRefused) if event.data.final),
        unknown=frozenset(event.data.send_id for event in house.records.events(SendUnknown)),
        times_accepted={
            send: times for send, outcomes in house.sends_at_channel.items() if (times := outcomes["accepted"] + outcomes["answer_lost"])
        },
    )


async def _stored_positions(house: House, threads: Iterable[str]) -> Mapping[str, int]:
    """Return the last place per thread as the router's store has it."""
    store = _store(house, "router")
    codec = DocumentCodec(ConversationState)
    try:
        found = await (await store.open(documents_of("conversation"))).load(threads)
    finally:
        await store.close()
    states = {key: codec.from_stored(document).state for key, document in found.items()}
    return {key: state.position for key, state in states.items() if state is not None and state.position}


async def _stored_phases(house: House, sends: Iterable[str]) -> Mapping[str, frozenset[str]]:
    """Return the sends by phase as outbound's ledger has them."""
    store = _store(house, "outbound")
    try:
        found = await (await store.open(LEDGER)).load(sends)
    finally:
        await store.close()
    phases: dict[str, set[str]] = defaultdict(set)
    for document in found.values():
        entry = LedgerEntry.model_validate_json(document.body)
        phases[entry.phase.value].add(entry.send_id)
    return {phase: frozenset(ids) for phase, ids in phases.items()}


async def due_of(house: House, threads: Iterable[str]) -> Mapping[str, int]:
    """Return when the next timer of each thread is due, as the store of sla has it (milliseconds since 1970)."""
    store = _store(house, "sla")
    try:
        found = await (await store.open(documents_of("sla"))).load(threads)
    finally:
        await store.close()
    return {key: int(document.fields.get("due_at") or 0) for key, document in found.items()}


def _store(house: House, service: str) -> Store:
    """Return a service's store, past any proxy."""
    uri = SecretStr(house.mongo.uri) if house.mongo is not None else None
    return open_store(service, mongodb_uri=uri, directory=house.stack.options.directory / "data")
