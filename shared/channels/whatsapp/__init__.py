"""WhatsApp Business Platform, Cloud API. README.md says what of it is done."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_settings import SettingsError

from shared.channels.whatsapp.channel import WhatsApp
from shared.channels.whatsapp.settings import PREFIX, WhatsAppSettings
from shared.errors import ConfigurationError


def channel(settings: WhatsAppSettings | None = None) -> WhatsApp:
    """Return the channel with `settings` (None: from the environment). Raises ConfigurationError for settings that cannot be used."""
    if settings is None:
        try:
            settings = WhatsAppSettings()
        except SettingsError as error:
            # A setting that must be JSON is none; the message names the field and holds no value.
            raise ConfigurationError(f"{PREFIX}{_field_in(error)}: this setting is a JSON object") from None
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False, include_context=False)
            lines = [f"{PREFIX}{'_'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}" for problem in problems]
            raise ConfigurationError("\n".join(["WhatsApp's settings cannot be used", *lines])) from None
    return WhatsApp(settings)


def _field_in(error: SettingsError) -> str:
    """Return the name of the setting that `error` is about, as in the environment."""
    return next((name for name in WhatsAppSettings.model_fields if f'"{name}"' in str(error)), "…").upper()


CHANNEL = channel
