"""Fixtures of the emulator's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.devstack.emulator.harness import Stage, staged


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """An emulator with silent statuses against a receiver that takes everything."""
    async with staged() as running:
        yield running
