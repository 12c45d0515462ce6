"""WhatsApp as ingest, sla and outbound see it: each method hands on to the file that knows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from shared.channels.contract import Accepted, Handshake, HttpRequest, Item, Limits, Policy, Refused, Role
from shared.channels.whatsapp.answers import interpret_answer
from shared.channels.whatsapp.identity import CHANNEL_NAME
from shared.channels.whatsapp.parse import parse_webhook
from shared.channels.whatsapp.policy import rules
from shared.channels.whatsapp.render import render_send
from shared.channels.whatsapp.settings import WhatsAppSettings
from shared.channels.whatsapp.signature import answer_handshake, is_signed
from shared.events.sends import SendRequested


class WhatsApp:
    """The channel with its settings; see shared/channels/contract.py for what each method promises."""

    def __init__(self, settings: WhatsAppSettings) -> None:
        self._settings = settings
        self._rules = rules()
        self._app_secrets = settings.app_secrets()

    @property
    def name(self) -> str:
        """Return `whatsapp`."""
        return CHANNEL_NAME

    @property
    def policy(self) -> Policy:
        """Return the rules of windows and templates."""
        return self._rules.policy

    def limits(self, account: str) -> Limits:
        """Return what `account` (a phone number id) may send: its own rate, else the channel's setting, else policy.yaml."""
        settings, known = self._settings, self._rules.limits
        rate = settings.sends_per_second_by_account.get(account, settings.sends_per_second)
        interval, burst = settings.pair_interval_seconds, settings.pair_burst
        return Limits(
            sends_per_second=known.sends_per_second if rate is None else rate,
            pair_interval_seconds=known.pair_interval_seconds if interval is None else interval,
            pair_burst=known.pair_burst if burst is None else burst,
        )

    def missing(self, role: Role) -> tuple[str, ...]:
        """Return the environment variables that `role` needs and that are not set."""
        return self._settings.missing(role)

    def handshake(self, query: Mapping[str, str]) -> Handshake:
        """Return the answer to the GET that proves the address is ours."""
        return answer_handshake(query, self._settings.verify_token.get_secret_value().encode())

    def verify(self, headers: Mapping[str, str], body: bytes, *, account: str | None = None) -> bool:  # noqa: ARG002 # secrets are per app
        """Return whether the app signed `body`; never, where no secret is set."""
        return is_signed(headers, body, self._app_secrets)

    def parse(self, body: bytes, received_at: datetime, *, account: str | None = None) -> tuple[Item, ...]:
        """Return what stands in a verified webhook, item by item."""
        return parse_webhook(body, received_at, account)

    def render(self, send: SendRequested) -> HttpRequest:
        """Return the request that sends it. Raises Unrenderable."""
        return render_send(send, self._settings, self._rules)

    def interpret(self, status: int, headers: Mapping[str, str], body: bytes) -> Accepted | Refused:
        """Return what the answer to a send means."""
        return interpret_answer(status, headers, body)
