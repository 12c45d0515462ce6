"""Channels are found by their folders."""

from __future__ import annotations

import importlib
import subprocess
import sys
import types

import pytest

from shared.channels.discover import channel_names, discover
from shared.errors import ConfigurationError


def test_every_folder_is_a_channel_of_its_name() -> None:
    """All are made, and each calls itself as its folder is called."""
    channels = discover()
    assert "whatsapp" in channel_names()
    assert all(channel.name == name for name, channel in channels.by_name.items())
    assert channels.get("whatsapp") is not None
    assert channels.get("carrier_pigeon") is None


def test_only_the_named_channels_are_made() -> None:
    """An installation that uses none makes none, and naming one twice makes one."""
    assert discover([]).by_name == {}
    assert list(discover(["whatsapp", "whatsapp"]).by_name) == ["whatsapp"]


def test_a_name_without_a_folder_is_a_mistake_that_lists_what_there_is() -> None:
    """The error says what was asked for and what could be."""
    with pytest.raises(ConfigurationError, match=r"carrier_pigeon.*whatsapp"):
        discover(["carrier_pigeon"])


def test_a_folder_without_a_channel_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the module and where to read on."""
    monkeypatch.setattr(importlib, "import_module", types.ModuleType)
    with pytest.raises(ConfigurationError, match="holds no CHANNEL"):
        discover(["whatsapp"])


def test_a_channel_that_calls_itself_otherwise_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads are called by the channel's name, so it must be the folder's."""
    impostor = types.SimpleNamespace(__name__="shared.channels.whatsapp", CHANNEL=lambda: types.SimpleNamespace(name="telegram"))
    monkeypatch.setattr(importlib, "import_module", lambda _name: impostor)
    with pytest.raises(ConfigurationError, match="calls itself telegram"):
        discover(["whatsapp"])


def test_importing_a_channel_reads_no_file() -> None:
    """Its data files and its environment are read when it is made, not before."""
    script = (
        "import pydantic, yaml, pydantic_settings, builtins, io\n"
        "import shared.topics, shared.channels.contract\n"
        "from pathlib import Path\n"
        "def refuse(*a, **k): raise AssertionError('a file is opened')\n"
        "Path.read_text = refuse\n"
        "import shared.channels.whatsapp\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)  # noqa: S603 - our own script
