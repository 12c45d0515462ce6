"""One call of a channel: from a send to the request, from the answer to its meaning. The channel's code cannot stop its neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from services.outbound.core.answers import Answer, Lost, NotSent, NotTaken, Taken
from services.outbound.core.send import failure
from services.outbound.sender import AnswerLostError, HttpAnswer, RequestNotSentError, Transport
from shared.channels.contract import Accepted, Channel, Channels, HttpRequest, Limits, Unrenderable
from shared.clock import Clock
from shared.events.sends import SendRequested
from shared.events.shapes import Failure, FailureClass
from shared.ids import digest
from shared.metrics import Metrics

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """A send and the request that makes it; `account` names its channel and account in one."""

    send: SendRequested
    channel: Channel
    request: HttpRequest
    account: str

    @property
    def limits(self) -> Limits:
        """Return what the account may send."""
        return self.channel.limits(self.send.account)


class Calls:
    """Prepares and makes calls."""

    def __init__(self, channels: Channels, transport: Transport, clock: Clock, metrics: Metrics) -> None:
        self._channels = channels
        self._transport = transport
        self._clock = clock
        self._seconds = {name: metrics.send_seconds.labels(name) for name in channels.by_name}

    def label(self, channel: str) -> str:
        """Return the channel's name as a metric's label: a bounded set."""
        return channel if self._channels.get(channel) is not None else "other"

    def prepare(self, send: SendRequested) -> Call | Failure:
        """Return the call of a send, or why there can be none."""
        channel = self._channels.get(send.channel)
        if channel is None:
            return failure("unknown_channel", FailureClass.DEAD_LETTER, f"The channel {send.channel} is not set up here.")
        try:
            request = channel.render(send)
        except Unrenderable as error:
            return failure("unrenderable", FailureClass.DEAD_LETTER, str(error))
        except Exception:
            logger.exception("send.not_rendered", channel=send.channel, send=digest(send.send_id))
            explanation = "The message could not be put into the channel's form (an internal error)."
            return failure("unrenderable", FailureClass.DEAD_LETTER, explanation)
        return Call(send, channel, request, f"{send.channel}:{send.account}")

    async def make(self, call: Call) -> Answer:
        """Make the request, once, and return what came of it."""
        began = self._clock.monotonic_seconds()
        try:
            answer = await self._transport.send(call.request)
        except RequestNotSentError as error:
            return NotSent(str(error), error.permanent)
        except AnswerLostError as error:
            return Lost(str(error))
        except Exception:
            logger.exception("send.not_understood", channel=call.send.channel, send=digest(call.send.send_id))
            return Lost("The request failed in a way that does not tell whether it left.")
        self._seconds[call.send.channel].observe(self._clock.monotonic_seconds() - began)
        return self._meaning(call, answer)

    @staticmethod
    def _meaning(call: Call, answer: HttpAnswer) -> Answer:
        """Return what the channel says its answer means."""
        try:
            meaning = call.channel.interpret(answer.status, answer.headers, answer.body)
        except Exception:
            logger.exception("answer.not_interpreted", channel=call.send.channel, send=digest(call.send.send_id), status=answer.status)
            return Lost(f"The channel's answer (HTTP {answer.status}) could not be understood.")
        if isinstance(meaning, Accepted):
            return Taken(meaning.message_id)
        if meaning.maybe_sent:
            return Lost(meaning.failure.explanation)
        return NotTaken(meaning.failure, meaning.retry_after_seconds)
