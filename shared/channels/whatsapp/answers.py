"""What the Graph API's answer to a send means. An accepted message is not yet a delivered one: the statuses tell.

There is no idempotency key, so an answer that leaves open whether the message was taken is never a reason to send it again
("Error codes", 2025-12-12; reading of 2026-05-15).
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from shared.channels.contract import Accepted, Refused
from shared.channels.whatsapp.errors import failure_of, rule_of
from shared.channels.whatsapp.reading import Json, UnreadableItemError, as_object, decode, list_in, text_in
from shared.events.shapes import Failure, FailureClass

RETRY_AFTER_SECONDS_MAX = 24 * 60 * 60.0

_CLASS_OF_STATUS = {
    HTTPStatus.UNAUTHORIZED: FailureClass.STOP_ACCOUNT,
    HTTPStatus.FORBIDDEN: FailureClass.STOP_ACCOUNT,
    HTTPStatus.REQUEST_TIMEOUT: FailureClass.RETRY,
    HTTPStatus.TOO_MANY_REQUESTS: FailureClass.SLOW_LANE,
}
"""The class of an HTTP status whose error names no known code; any other 5xx is tried again, any other is final."""


def interpret_answer(status: int, headers: Mapping[str, str], body: bytes) -> Accepted | Refused:
    """Return what the answer to `POST /{version}/{phone_number_id}/messages` means; never raises."""
    answer = _answer_in(body)
    if status < HTTPStatus.MULTIPLE_CHOICES:
        message_id = _message_id(answer)
        return Accepted(message_id) if message_id else _uncertain(status, "took the message but named no id")
    error = answer.get("error")
    if not isinstance(error, dict):
        if status == HTTPStatus.GATEWAY_TIMEOUT:
            return _uncertain(status, "did not answer its own gateway in time")
        error = {}
    return _refused(status, headers, error)


def _refused(status: int, headers: Mapping[str, str], error: Json) -> Refused:
    """Return the refusal that `error` (empty: none could be read) and the HTTP status stand for."""
    rule = rule_of(error)
    transient = error.get("is_transient") is True
    otherwise = FailureClass.RETRY if transient else _class_of(status)
    try:
        failure = failure_of(error, otherwise)
    except UnreadableItemError:
        failure = failure_of({}, otherwise)
    if not error:
        failure = failure.model_copy(update={"code": f"http_{status}", "explanation": _without_error(status)})
    return Refused(failure, _retry_after(headers) or (rule.retry_after_seconds if rule else None))


def _class_of(status: int) -> FailureClass:
    """Return what an HTTP status means by itself."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return FailureClass.RETRY
    return next((found for known, found in _CLASS_OF_STATUS.items() if known == status), FailureClass.DEAD_LETTER)


def _without_error(status: int) -> str:
    """Return the explanation of a refusal that carries no error of the vendor."""
    return f"WhatsApp answered with HTTP {status} and gave no reason."


def _uncertain(status: int, what: str) -> Refused:
    """Return an answer that does not say whether the message goes out."""
    explanation = f"WhatsApp {what} (HTTP {status}). Whether the message goes out shows when its status arrives."
    failure = Failure(code=f"http_{status}", class_=FailureClass.DEAD_LETTER, explanation=explanation)
    return Refused(failure, maybe_sent=True)


def _answer_in(body: bytes) -> Json:
    """Return the JSON object in `body`; empty where there is none (a gateway's page, a cut answer)."""
    try:
        return as_object(decode(body), "the answer")
    except UnreadableItemError:
        return {}


def _message_id(answer: Json) -> str | None:
    """Return what the vendor calls the message."""
    try:
        messages = list_in(answer, "messages")
        return text_in(as_object(messages[0], "messages[]"), "id") if messages else None
    except UnreadableItemError:
        return None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of `Retry-After`, bounded; a date in it is not read: that would need a clock."""
    value = next((text for name, text in headers.items() if name.lower() == "retry-after"), "").strip()
    if not (value.isascii() and value.isdigit()):
        return None
    return min(float(value), RETRY_AFTER_SECONDS_MAX) or None
