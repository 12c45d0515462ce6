"""Short forms of the faults on real processes: one house for all of them, one drain and reconciliation after each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.chaos.catalogue import FAULTS
from tests.chaos.house import House, open_house
from tests.chaos.report import seen_of
from tests.chaos.running import try_fault

SHORT = ("F1", "F2", "F3", "F4", "F5", "F6", "F7", "F9", "F12", "F17", "F18")
"""In this order: the last one ends with another clock."""
SECONDS_MAX = 400.0

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A house that all faults of this module come over, one after the other."""
    async with open_house(tmp_path_factory.mktemp("chaos")) as opened:
        yield opened


@pytest.mark.parametrize("name", SHORT)
async def test_a_fault_keeps_its_promise(house: House, name: str) -> None:
    """What is promised of the fault is seen, and afterwards every count reconciles exactly."""
    async with asyncio.timeout(SECONDS_MAX):
        verdict = await try_fault(FAULTS[name], house, short=True)
    assert verdict.passed, f"{name} {verdict.fault.title}: {seen_of(verdict)}"
