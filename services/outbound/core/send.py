"""What to do with one send: the whole life of it as a state machine.

The rule that everything else follows from: an entry is `in_flight` in the ledger *before* the request leaves, so a request is made
by one process and at most once between two definite refusals. Whoever finds such an entry without knowing its answer calls it
unknown; it is never tried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from services.outbound.core.answers import Answer, Lost, NotSent, NotTaken, Taken
from services.outbound.core.retry import RetryPolicy, wait_seconds
from services.outbound.state import LedgerEntry, Phase
from shared.events.sends import Permission, SendRequested
from shared.events.shapes import Failure, FailureClass

EXPLANATION_LENGTH_MAX = 1_000
"""Characters of an explanation: an outcome must fit into a record whatever a channel's answer was."""
PROCESS_ENDED = "The process ended while the request was under way; whether the message went out is not known."


@dataclass(frozen=True, slots=True)
class Proceed:
    """Wait for its turn, claim it, make the request. `attempts`: the requests made so far."""

    attempts: int


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing to do before `moment`. `look_again`: somebody else may have written the entry by then, load it again."""

    moment: datetime
    look_again: bool = False


@dataclass(frozen=True, slots=True)
class Save:
    """Write `entry` into the ledger, then ask again."""

    entry: LedgerEntry


@dataclass(frozen=True, slots=True)
class Tell:
    """The send was settled before: tell its outcome again, under the same event id, in case nobody heard it."""

    entry: LedgerEntry


Step = Proceed | WaitUntil | Save | Tell


@dataclass(frozen=True, slots=True)
class Memory:
    """What this process knows of a send beside the ledger.

    `result`: what its answer led to, where that could not be saved yet. `claim`: a claim whose saving failed, so that it may stand in
    the ledger though no request was made. `under_way`: a request of this process is still waiting for its answer.
    """

    result: LedgerEntry | None = None
    claim: LedgerEntry | None = None
    under_way: bool = False


NO_MEMORY = Memory()


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who asks, and how long another process's request can be under way before it is given up."""

    owner: str
    claim_seconds: float
    look_again_seconds: float = 2.0


def next_step(entry: LedgerEntry | None, send: SendRequested, now: datetime, *, claimant: Claimant, memory: Memory = NO_MEMORY) -> Step:
    """Return what to do with `send`, of which the ledger holds `entry`."""
    if entry is not None and entry.settled:
        return _after_outcome(entry, memory)
    if entry is not None and entry.phase is Phase.IN_FLIGHT and entry != memory.claim:
        return _after_claim(entry, now, claimant=claimant, memory=memory)
    if _expired(send, now):
        return Save(expired(send, entry, now, owner=claimant.owner))
    return _when(entry, now)


def _when(entry: LedgerEntry | None, now: datetime) -> Step:
    """Return when to make the next request of a send that may be made. An entry in flight is a claim of ours that nothing followed."""
    if entry is None:
        return Proceed(0)
    if entry.phase is Phase.IN_FLIGHT:
        return Proceed(entry.attempts - 1)
    if entry.next_attempt_at is not None and now < entry.next_attempt_at:
        return WaitUntil(entry.next_attempt_at)
    return Proceed(entry.attempts)


def _after_outcome(entry: LedgerEntry, memory: Memory) -> Step:
    """Return what to do with a settled send: say so, unless this process knows better than "unknown"."""
    if entry.phase is Phase.UNKNOWN and memory.result is not None and memory.result.settled:
        return Save(memory.result)
    return Tell(entry)


def _after_claim(entry: LedgerEntry, now: datetime, *, claimant: Claimant, memory: Memory) -> Step:
    """Return what to do with a send that somebody claimed and whose answer is not in the ledger."""
    if memory.result is not None:
        return Save(memory.result)
    alive = memory.under_way or entry.owner != claimant.owner
    given_up_at = entry.since + timedelta(seconds=claimant.claim_seconds)
    if alive and now < given_up_at:
        return WaitUntil(min(given_up_at, now + timedelta(seconds=claimant.look_again_seconds)), look_again=True)
    return Save(_settled(entry, Phase.UNKNOWN, now, explanation=PROCESS_ENDED))


def claim(send: SendRequested, attempts: int, now: datetime, *, owner: str) -> LedgerEntry:
    """Return the entry that stands in the ledger while request number `attempts` + 1 is under way."""
    return LedgerEntry(send_id=send.send_id, phase=Phase.IN_FLIGHT, attempts=attempts + 1, owner=owner, since=now)


def after(claimed: LedgerEntry, answer: Answer, send: SendRequested, now: datetime, *, policy: RetryPolicy) -> LedgerEntry:
    """Return the entry after `answer` came to the request of `claimed`: waiting, or settled."""
    match answer:
        case Taken(message_id):
            return _settled(claimed, Phase.ACCEPTED, now, message_id=message_id)
        case Lost(explanation):
            return _settled(claimed, Phase.UNKNOWN, now, explanation=_cut(explanation))
        case NotSent(explanation, permanent):
            class_ = FailureClass.DEAD_LETTER if permanent else FailureClass.RETRY
            return _after_refusal(claimed, NotTaken(failure("not_sent", class_, explanation)), send, now, policy=policy)
        case NotTaken():
            return _after_refusal(claimed, answer, send, now, policy=policy)
        case _:  # pragma: no cover # mypy proves that nothing is left
            assert_never(answer)


def _after_refusal(claimed: LedgerEntry, answer: NotTaken, send: SendRequested, now: datetime, *, policy: RetryPolicy) -> LedgerEntry:
    """Return the entry after a definite refusal: waiting for another attempt where there is to be one, refused where not."""
    seconds = wait_seconds(
        answer.failure.class_,
        claimed.send_id,
        attempts=claimed.attempts,
        retry_after_seconds=answer.retry_after_seconds,
        policy=policy,
    )
    if seconds is None:
        return refused(claimed, answer.failure, now, note=_tried(claimed.attempts))
    again_at = now + timedelta(seconds=seconds)
    if _expired(send, again_at):
        return refused(claimed, answer.failure, now, note="It could not be tried again before it was too late to send.")
    return _settled(claimed, Phase.WAITING, now, failure=answer.failure, next_attempt_at=again_at)


def refused(entry: LedgerEntry, why: Failure, now: datetime, *, note: str = "") -> LedgerEntry:
    """Return `entry` settled as refused for good; `note` is added to the explanation."""
    explanation = _cut(f"{why.explanation} {note}".strip())
    return _settled(entry, Phase.REFUSED, now, failure=why.model_copy(update={"explanation": explanation}))


def refused_before(send: SendRequested, entry: LedgerEntry | None, why: Failure, now: datetime, *, owner: str) -> LedgerEntry:
    """Return the entry of a send that is refused for good without a (further) request."""
    return refused(entry or LedgerEntry(send_id=send.send_id, phase=Phase.WAITING, attempts=0, owner=owner, since=now), why, now)


def expired(send: SendRequested, entry: LedgerEntry | None, now: datetime, *, owner: str) -> LedgerEntry:
    """Return the entry of a send that may no longer go out; the last refusal of the channel is part of the reason."""
    class_ = FailureClass.DEAD_LETTER if send.permission is Permission.TEMPLATE else FailureClass.TEMPLATE_NEEDED
    explanation = "The time in which this message was allowed has passed before it could be sent."
    if entry is not None and entry.failure is not None:
        explanation = f"{explanation} Last refusal: {entry.failure.explanation}"
    return refused_before(send, entry, failure("expired", class_, explanation), now, owner=owner)


def stopped(send: SendRequested, entry: LedgerEntry | None, cause: Failure | None, now: datetime, *, owner: str) -> LedgerEntry:
    """Return the entry of a send whose account has been in trouble for too long; `cause` is the channel's last word."""
    explanation = "Nothing can be sent from this account at the moment; an operator has to look at it."
    if cause is not None:
        explanation = f"{explanation} Last word of the channel: {cause.explanation}"
    why = failure("account_stopped", FailureClass.STOP_ACCOUNT, explanation)
    return refused_before(send, entry, why, now, owner=owner)


def failure(code: str, class_: FailureClass, explanation: str) -> Failure:
    """Return a failure that outbound itself states; its codes are `not_sent`, `expired`, `unrenderable`, `unknown_channel` …."""
    return Failure.model_validate({"code": code, "class": class_, "explanation": explanation})


def _settled(
    entry: LedgerEntry,
    phase: Phase,
    now: datetime,
    *,
    message_id: str | None = None,
    failure: Failure | None = None,
    explanation: str | None = None,
    next_attempt_at: datetime | None = None,
) -> LedgerEntry:
    """Return `entry` in its next phase."""
    return LedgerEntry(
        send_id=entry.send_id,
        phase=phase,
        attempts=entry.attempts,
        owner=entry.owner,
        since=now,
        next_attempt_at=next_attempt_at,
        message_id=message_id,
        failure=failure,
        explanation=explanation,
    )


def _expired(send: SendRequested, moment: datetime) -> bool:
    """Return whether `send` may no longer go out at `moment`."""
    return send.not_after is not None and moment >= send.not_after


def _tried(attempts: int) -> str:
    """Return what to add to the explanation of a send that was tried more than once."""
    return f"It was tried {attempts} times." if attempts > 1 else ""


def _cut(text: str) -> str:
    """Return `text` within its bound."""
    return text if len(text) <= EXPLANATION_LENGTH_MAX else f"{text[: EXPLANATION_LENGTH_MAX - 1]}…"
