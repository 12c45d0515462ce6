"""Finds the channels: every folder beside this file whose package holds `CHANNEL`. There is no list to keep up."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable

import shared.channels
from shared.channels.contract import Channel, ChannelFactory, Channels
from shared.errors import ConfigurationError


def channel_names() -> tuple[str, ...]:
    """Return the names of all channels that this installation has, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(shared.channels.__path__) if module.ispkg))


def discover(names: Iterable[str] | None = None) -> Channels:
    """Return the channels called `names` (None: all), made with their settings from the environment.

    Raises ConfigurationError for a name that no folder has, and for settings that cannot be used.
    """
    known = channel_names()
    wanted = known if names is None else tuple(dict.fromkeys(names))
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise ConfigurationError(f"no channel is called {', '.join(unknown)}; this installation has {', '.join(known)}")
    return Channels({name: _make(name) for name in wanted})


def _make(name: str) -> Channel:
    """Return the channel of the folder `name`."""
    module = importlib.import_module(f"{shared.channels.__name__}.{name}")
    factory: ChannelFactory | None = getattr(module, "CHANNEL", None)
    if factory is None:
        raise ConfigurationError(f"{module.__name__} holds no CHANNEL: see shared/channels/contract.py")
    channel = factory()
    if channel.name != name:
        raise ConfigurationError(f"the channel of {module.__name__} calls itself {channel.name}: folder and name must be the same")
    return channel
