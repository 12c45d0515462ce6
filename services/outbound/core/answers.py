"""What can come of one request to a channel."""

from __future__ import annotations

from dataclasses import dataclass

from shared.events.shapes import Failure


@dataclass(frozen=True, slots=True)
class Taken:
    """The channel accepted the send and calls it `message_id`."""

    message_id: str


@dataclass(frozen=True, slots=True)
class NotTaken:
    """The channel refused, in so many words; `retry_after_seconds` where it said when to come back."""

    failure: Failure
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing left this process (no connection, no such name): to try again is safe. `permanent`: and useless."""

    explanation: str
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """The request may have left and no answer came: nobody knows whether the channel acted on it."""

    explanation: str


Answer = Taken | NotTaken | NotSent | Lost
