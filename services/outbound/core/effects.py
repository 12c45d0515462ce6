"""What the answer to one send says about its account."""

from __future__ import annotations

from typing import assert_never

from services.outbound.core.answers import Answer, Lost, NotSent, NotTaken, Taken
from services.outbound.core.gate import Effect, Report
from services.outbound.core.send import failure
from shared.events.shapes import FailureClass


def report_of(answer: Answer, *, slow_seconds: float) -> Report:
    """Return what the account's gate should know; `slow_seconds` is the pause where the channel asks for one without a length."""
    match answer:
        case Taken() | NotSent(permanent=True):
            # A request that cannot even be made says nothing about the channel.
            return Report(Effect.WORKED if isinstance(answer, Taken) else Effect.NONE)
        case NotSent(explanation):
            return Report(Effect.FAILED, failure("not_sent", FailureClass.RETRY, explanation))
        case Lost(explanation):
            return Report(Effect.FAILED, failure("answer_lost", FailureClass.RETRY, explanation))
        case NotTaken():
            return _report_of_refusal(answer, slow_seconds)
        case _:  # pragma: no cover # mypy proves that nothing is left
            assert_never(answer)


def _report_of_refusal(answer: NotTaken, slow_seconds: float) -> Report:
    """Return what a refusal says: of most classes, that the channel works."""
    match answer.failure.class_:
        case FailureClass.RETRY:
            return Report(Effect.FAILED, answer.failure)
        case FailureClass.STOP_ACCOUNT:
            return Report(Effect.STOPPED, answer.failure)
        case FailureClass.SLOW_LANE:
            return Report(Effect.SLOWED, answer.failure, answer.retry_after_seconds or slow_seconds)
        case _:
            return Report(Effect.WORKED)
