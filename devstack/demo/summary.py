"""The day reconciled: every count that must be equal is compared, from the channels' side through the topics and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from devstack.demo.board import Board, replies_asked
from shared.events.conversations import MessageAppended, ReplyApproved, ReplyRejected
from shared.events.deliveries import SendAccepted, SendRefused, SendUnknown
from shared.events.inbound import MessageReceived
from shared.events.sends import SendRequested, SendWithheld


@dataclass(frozen=True, slots=True)
class Line:
    """One equation: what must be equal, both sides, and whether they are."""

    title: str
    left: int
    right: int
    detail: str = ""

    @property
    def holds(self) -> bool:
        """Return whether it reconciles."""
        return self.left == self.right


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from a webhook's arrival to the channel's acceptance of the automatic answer."""

    count: int
    p50_milliseconds: float
    p99_milliseconds: float


def messages_on_the_channel(counts: Mapping[str, int], not_ours: int, refused: int) -> int:
    """Return how many customers' messages the channels' side made that are ours to take in.

    `not_ours` went to numbers that are not configured, `refused` were in webhooks with a bad signature.
    """
    return counts.get("messages.created", 0) - not_ours - refused


def reconcile(board: Board, counts: Mapping[str, int], *, not_ours: int, refused: int) -> list[Line]:
    """Return the equations of the day."""
    received = {event.id for event in board.events(MessageReceived)}
    appended = [event for event in board.events(MessageAppended) if event.data.direction == "in"]
    asked = replies_asked(board)
    approved = {event.data.reply_id for event in board.events(ReplyApproved)}
    rejected = {event.data.reply_id for event in board.events(ReplyRejected)} - approved
    requested = board.events(SendRequested)
    withheld = {event.data.reply_id for event in board.events(SendWithheld)}
    sent_on = {event.data.reply_id for event in requested}
    accepted = {event.data.send_id for event in board.events(SendAccepted)}
    refused_sends = {event.data.send_id for event in board.events(SendRefused) if event.data.final}
    unknown = {event.data.send_id for event in board.events(SendUnknown)} - accepted - refused_sends
    outcomes = len(accepted) + len(refused_sends) + len(unknown)
    positions = {(event.subject, event.data.position) for event in board.events(MessageAppended)}
    return [
        Line("customers' messages on the channel = events in", messages_on_the_channel(counts, not_ours, refused), len(received)),
        Line("events in = messages appended", len(received), len(appended)),
        Line("every message has a place of its own", len(board.events(MessageAppended)), len(positions)),
        Line(
            "replies asked = approved + rejected",
            len(asked),
            len(approved | rejected),
            f"{len(approved)} approved, {len(rejected)} rejected",
        ),
        Line(
            "replies approved = sent on + withheld",
            len(approved),
            len(sent_on | withheld),
            f"{len(sent_on)} sent on, {len(withheld)} withheld",
        ),
        Line(
            "sends = accepted + refused + unknown",
            len({event.data.send_id for event in requested}),
            outcomes,
            f"{len(accepted)} accepted, {len(refused_sends)} refused, {len(unknown)} unknown",
        ),
        Line(
            "sends accepted by the channel = sends accepted here, or unknown",
            counts.get("sends.accepted", 0),
            _arrived(counts, accepted, unknown),
        ),
    ]


def _arrived(counts: Mapping[str, int], accepted: set[str], unknown: set[str]) -> int:
    """Return how many sends we know, or cannot rule out, to be with the channel: an unknown one may or may not have arrived."""
    surplus = counts.get("sends.accepted", 0) - len(accepted)
    return len(accepted) + max(0, min(surplus, len(unknown)))


def latency(board: Board) -> Latency:
    """Return the end-to-end latency of automatic answers."""
    found = sorted(board.latencies())
    if not found:
        return Latency(0, 0.0, 0.0)
    return Latency(len(found), _quantile(found, 0.5) * 1000, _quantile(found, 0.99) * 1000)


def _quantile(ordered: list[float], share: float) -> float:
    """Return the value below which `share` of `ordered` lies (nearest rank)."""
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]
