"""WhatsApp Business Platform, Cloud API. README.md says what of it is done."""

from __future__ import annotations

from pydantic import ValidationError

from shared.channels.whatsapp.channel import WhatsApp
from shared.channels.whatsapp.settings import PREFIX, WhatsAppSettings
from shared.errors import ConfigurationError


def channel(settings: WhatsAppSettings | None = None) -> WhatsApp:
    """Return the channel with `settings` (None: from the environment). Raises ConfigurationError for settings that cannot be used."""
    if settings is None:
        try:
            settings = WhatsAppSettings()
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False, include_context=False)
            lines = [f"{PREFIX}{'_'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}" for problem in problems]
            raise ConfigurationError("\n".join(["WhatsApp's settings cannot be used", *lines])) from None
    return WhatsApp(settings)


CHANNEL = channel
