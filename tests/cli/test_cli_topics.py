"""`parley topics`: making, listing and describing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cli.topic_table import READERS, TRAFFIC, traffic_of
from services.bot.app import build_reducer as build_bot
from services.outbound.app import Outbound
from services.router.app import build_reducers as build_router
from services.sla.app import build_reducer as build_sla
from shared.contact_centre.loader import load_contact_centre
from shared.ids import new_id
from shared.topics import COMMANDS, CONVERSATIONS, TOPICS, all_topics
from tests.cli.cli_world import READER, installation, parley

CONFIG = Path(__file__).resolve().parents[2] / "config"


def test_the_table_says_what_the_code_reads() -> None:
    """Who reads what is written down once for people; it must be what the reducers and the worker really read."""
    centre = load_contact_centre(CONFIG)
    readers = (*build_router(centre, lambda _text: None), build_bot(centre), build_sla(centre, {}), Outbound)
    assert {reader.name for reader in readers} == set(READERS)
    for topic in TOPICS:
        assert set(TRAFFIC[topic.name].readers) == {reader.name for reader in readers if topic in reader.inputs}, topic.name


def test_every_topic_has_its_row() -> None:
    """Dead-letter topics too."""
    for topic in all_topics(READERS):
        assert traffic_of(topic.name).written_by


def test_describe_knows_the_design_without_a_broker() -> None:
    """Key, events, writers and readers are told although nothing answers, and that nothing answers is a note."""
    ran = parley("topics", "describe", "parley.commands", "--bootstrap", "127.0.0.1:1")
    assert ran.code == 0
    assert "bot, desk, integrators" in ran.out
    assert "parley.hand_off.v1" in ran.out
    assert "does not answer" in ran.err


def test_a_misspelt_topic_gets_a_suggestion() -> None:
    """The nearest name is offered."""
    ran = parley("topics", "describe", "conversation")
    assert ran.code == 1
    assert "did you mean conversations?" in ran.err


def test_more_in_sync_than_replicas_is_refused() -> None:
    """Nothing could ever be written to such a topic."""
    assert parley("topics", "create", "--replicas", "1", "--min-in-sync", "2").code == 2


@pytest.mark.broker
async def test_create_makes_what_is_missing_and_only_that(kafka_bootstrap: str) -> None:
    """A second run finds everything there; another partition count is an error that says what to set."""
    where = ("--bootstrap", kafka_bootstrap, "--prefix", f"cli{new_id()[:8]}.")
    number = len(all_topics(READERS))
    first = await asyncio.to_thread(parley, "topics", "create", "--partitions", "2", *where)
    assert first.code == 0, first.err
    assert f"{number} made, 0 were there" in first.out
    again = await asyncio.to_thread(parley, "topics", "create", "--partitions", "2", *where)
    assert f"0 made, {number} were there" in again.out
    other = await asyncio.to_thread(parley, "topics", "create", "--partitions", "3", *where)
    assert other.code == 1
    assert "set PARLEY_PARTITIONS to what is there" in other.err


@pytest.mark.broker
async def test_a_missing_topic_is_told_with_the_remedy(kafka_bootstrap: str) -> None:
    """An installation without topics is exit code 1."""
    ran = await asyncio.to_thread(parley, "topics", "list", "--bootstrap", kafka_bootstrap, "--prefix", f"cli{new_id()[:8]}.")
    assert ran.code == 1
    assert "missing" in ran.err
    assert "run `parley topics create`" in ran.err


@pytest.mark.broker
async def test_list_and_describe_show_records_and_lag(kafka_bootstrap: str) -> None:
    """What a group has not read yet is counted per topic; a topic that is missing beside them is told."""
    async with installation(kafka_bootstrap) as there:
        async with there.recording():
            await there.note("paper:sales:1", "one", "two")
            await there.until_count(CONVERSATIONS, 2)
        await there.note("paper:sales:1", "three")
        listed = await there.parley("topics", "list")
        assert "missing" in listed.err
        row = next(line.split() for line in listed.out.splitlines() if line.startswith(f"{there.prefix}{COMMANDS.name} "))
        assert row[1:] == ["thread", "3", "1", "3", READER, "1"]
        described = await there.parley("topics", "describe", COMMANDS.name)
        lines = [line.split() for line in described.out.splitlines()]
        assert ["records", "3"] in lines
        assert ["lag", "of", READER, "1"] in lines
        assert ["min.insync.replicas", "1"] in lines
