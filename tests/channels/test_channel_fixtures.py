"""Every channel yields what its fixtures say."""

from __future__ import annotations

import pytest

from shared.channels.contract import ItemEvent, ItemRejected
from shared.channels.discover import discover
from tests.channels.fixture_cases import RECEIVED_AT, FixtureCase, describe, fixture_cases

CHANNELS = discover()
CASES = tuple(fixture_cases())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_recorded_webhook_yields_its_expected_items(case: FixtureCase) -> None:
    """Each fixture is read as the file beside it says."""
    items = CHANNELS.by_name[case.channel].parse(case.body, RECEIVED_AT)
    assert [describe(item) for item in items] == case.expected


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_item_can_be_read_again_from_what_is_kept_of_it(case: FixtureCase) -> None:
    """The raw JSON of an event or a rejection yields that item again: this is what a replay parses."""
    channel = CHANNELS.by_name[case.channel]
    for item in channel.parse(case.body, RECEIVED_AT):
        if isinstance(item, ItemEvent | ItemRejected):
            raw = item.raw() if isinstance(item, ItemEvent) else item.raw
            assert describe(item) in [describe(again) for again in channel.parse(raw, RECEIVED_AT)]


def test_every_channel_has_fixtures() -> None:
    """A channel without recorded webhooks is not finished."""
    assert {case.channel for case in CASES} == set(CHANNELS.by_name)
