"""What the rules of a conversation are given: the contact centre, and what they need from a library as a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.router.core.departments import KeywordIndex
from shared.contact_centre.models import ContactCentre

Detect = Callable[[str], tuple[str, float] | None]
"""Language of a text: a configured language and how sure (0 to 1), or None where the text does not tell. Deterministic."""

CHANNEL_CLASS_DEFAULT = "messaging"


@dataclass(frozen=True, slots=True)
class ConversationRules:
    """The frozen surroundings of every decision about a conversation. `channel_classes` is by channel's name."""

    centre: ContactCentre
    detect: Detect
    keywords: KeywordIndex
    channel_classes: Mapping[str, str] = field(default_factory=dict)

    def channel_class(self, channel: str) -> str:
        """Return how much attention `channel` takes."""
        return self.channel_classes.get(channel, CHANNEL_CLASS_DEFAULT)
