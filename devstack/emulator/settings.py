"""The emulator's configuration: a JSON file, or the same JSON in the environment."""

from __future__ import annotations

import json
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from devstack.emulator.journal import LOG_ENTRIES_MAX
from devstack.emulator.webhooks import DeliverySettings
from devstack.emulator.whatsapp.settings import WhatsAppSettings

CONFIGURATION_VARIABLE = "PARLEY_EMULATOR_CONFIG"


class SettingsError(ValueError):
    """The configuration cannot be used; the message says where and why."""


class EmulatorSettings(BaseModel):
    """Everything that can be set. `clock_offset_seconds` moves the rules' clock from the start."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    log_entries_max: PositiveInt = LOG_ENTRIES_MAX
    clock_offset_seconds: float = 0.0
    delivery: DeliverySettings = DeliverySettings()
    whatsapp: WhatsAppSettings = WhatsAppSettings()


def load_settings(path: Path | None) -> EmulatorSettings:
    """Return the settings of `path`, else of the environment (a path or the JSON itself), else the defaults.

    Raises:
        SettingsError: Unreadable file, no JSON, or a value that does not fit.
    """
    source = str(path) if path is not None else os.environ.get(CONFIGURATION_VARIABLE, "{}")
    try:
        text = source if source.lstrip().startswith("{") else Path(source).read_text(encoding="utf-8")
        return EmulatorSettings.model_validate(json.loads(text))
    except OSError as error:
        raise SettingsError(f"Cannot read the configuration {source}: {error.strerror}.") from error
    except json.JSONDecodeError as error:
        raise SettingsError(f"The configuration is not JSON: {error}.") from error
    except ValidationError as error:
        reasons = "; ".join(f"{'.'.join(str(part) for part in reason['loc'])}: {reason['msg']}" for reason in error.errors())
        raise SettingsError(f"The configuration does not fit: {reasons}.") from error
