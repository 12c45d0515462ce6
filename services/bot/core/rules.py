"""What the bot is told when it is built."""

from __future__ import annotations

from dataclasses import dataclass

from services.bot.core.ports import Staff, Understanding
from services.bot.state import BotState
from shared.contact_centre.models import ContactCentre, Flow
from shared.events.shapes import Author, AuthorKind


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything the bot is told when it is built."""

    centre: ContactCentre
    understanding: Understanding
    staff: Staff

    @property
    def author(self) -> Author:
        """Return who the bot writes as."""
        return Author(kind=AuthorKind.BOT, id="bot", name=self.centre.name)

    def flow_of(self, state: BotState) -> Flow | None:
        """Return the flow of the conversation's account, or None where it has none."""
        account = self.centre.accounts.get(f"{state.channel}:{state.account}")
        return None if account is None or account.flow is None else self.centre.flows.get(account.flow)

    def language_of(self, state: BotState) -> str:
        """Return the language to speak: the conversation's, or its account's, or the fallback."""
        account = self.centre.accounts.get(f"{state.channel}:{state.account}")
        return state.language or (account and account.language) or self.centre.fallback_language
