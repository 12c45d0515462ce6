"""Meta's error codes as the API answers them and as a failed status carries them.

Titles and HTTP statuses: WA/support/error-codes of 2025-12-12 and 2026-05-15; 131062: WA/business-scoped-user-ids of 2026-05-28.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

ERROR_PAGE = "https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes"
RATE_LIMIT_CODES = frozenset({4, 80007, 130429, 131048, 131056})


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One row of the vendor's table."""

    title: str
    http_status: int
    details: str


@dataclass(frozen=True, slots=True)
class MetaError:
    """An error to answer. `subcode` and `type` matter for Graph's own errors only."""

    code: int
    details: str | None = None
    title: str | None = None
    http_status: int | None = None
    subcode: int | None = None
    type: str = "OAuthException"


class RefusedError(Exception):
    """A request that the vendor refuses; carries the answer's error."""

    def __init__(self, code: int, details: str) -> None:
        super().__init__(f"{code}: {details}")
        self.error = MetaError(code, details)


KINDS: Mapping[int, ErrorKind] = MappingProxyType(
    {
        0: ErrorKind("AuthException", 401, "We were unable to authenticate the app user."),
        1: ErrorKind("API Unknown", 400, "Invalid request or possible server error."),
        2: ErrorKind("API Service", 503, "Temporary due to downtime or due to being overloaded."),
        4: ErrorKind("API Too Many Calls", 400, "The app has reached its API call rate limit."),
        10: ErrorKind("Permission Denied", 403, "Permission is either not granted or has been removed."),
        33: ErrorKind("Parameter value is not valid", 400, "The business phone number has been deleted."),
        100: ErrorKind("Invalid parameter", 400, "The request included one or more unsupported or misspelled parameters."),
        190: ErrorKind("Invalid OAuth access token - Cannot parse access token", 401, "Your access token has expired."),
        368: ErrorKind("Temporarily blocked for policies violations", 403, "The account has been restricted or disabled."),
        80007: ErrorKind("Rate limit issues", 400, "The WhatsApp Business Account has reached its rate limit."),
        130429: ErrorKind("Rate limit hit", 400, "Cloud API message throughput has been reached."),
        130472: ErrorKind("User's number is part of an experiment", 400, "Message was not sent as part of an experiment."),
        130497: ErrorKind("Business account is restricted from messaging users in this country.", 403, "Country restriction."),
        131000: ErrorKind("Something went wrong", 500, "Message failed to send due to an unknown error."),
        131005: ErrorKind("Access denied", 403, "Permission is either not granted or has been removed."),
        131008: ErrorKind("Required parameter is missing", 400, "The request is missing a required parameter."),
        131009: ErrorKind("Parameter value is not valid", 400, "One or more parameter values are invalid."),
        131016: ErrorKind("Service unavailable", 500, "A service is temporarily unavailable."),
        131021: ErrorKind("Recipient cannot be sender", 400, "Sender and recipient phone number is the same."),
        131026: ErrorKind("Message undeliverable", 400, "Message Undeliverable."),
        131031: ErrorKind("Account has been locked", 403, "The account has been restricted or disabled."),
        131037: ErrorKind("Display name approval is needed", 400, "The sending number has no approved display name."),
        131042: ErrorKind("Business eligibility payment issue", 400, "There was an error related to your payment method."),
        131045: ErrorKind("Incorrect certificate", 500, "Message failed to send due to a phone number registration error."),
        131047: ErrorKind(
            "Re-engagement message", 400, "More than 24 hours have passed since the recipient last replied to the sender number."
        ),
        131048: ErrorKind("Spam rate limit hit", 400, "Restrictions on how many messages can be sent from this phone number."),
        131049: ErrorKind(
            "This message was not delivered to maintain healthy ecosystem engagement.",
            400,
            "In order to maintain a healthy ecosystem engagement, the message failed to be delivered.",
        ),
        131050: ErrorKind("User has stopped marketing messages", 400, "The recipient chose to stop receiving marketing messages."),
        131051: ErrorKind("Unsupported message type", 400, "Unsupported message type."),
        131052: ErrorKind("Media download error", 400, "Unable to download the media sent by the user."),
        131053: ErrorKind("Media upload error", 400, "Unable to upload the media used in the message."),
        131056: ErrorKind(
            "(Business Account, Consumer Account) pair rate limit hit",
            400,
            "Too many messages sent from the sender phone number to the same recipient phone number in a short period of time.",
        ),
        131057: ErrorKind("Account in maintenance mode", 500, "Business Account is in maintenance mode."),
        131062: ErrorKind(
            "Business-scoped User ID recipients are not supported",
            400,
            "Business-scoped User ID (BSUID) recipients are not supported for this message.",
        ),
        132000: ErrorKind("Number of parameters does not match the expected number of params", 400, "Template parameter count mismatch."),
        132001: ErrorKind("Template name does not exist in the translation", 404, "The template does not exist or is not approved."),
        132005: ErrorKind("Translated text too long", 400, "Template hydrated text is too long."),
        132007: ErrorKind("Template format character policy violated", 400, "Template content violates a WhatsApp policy."),
        132012: ErrorKind("Parameter format does not match format in the created template", 400, "Template parameter format mismatch."),
        132015: ErrorKind("Template is paused", 400, "Template is paused due to low quality."),
        132018: ErrorKind("Template parameter issue", 400, "There was an issue with one of the parameters of the template."),
        132016: ErrorKind("Template is disabled", 400, "Template has been paused too many times and is now permanently disabled."),
        132068: ErrorKind("Flow is blocked", 400, "Flow is in blocked state."),
        132069: ErrorKind("Flow is throttled", 400, "Flow is in throttled state."),
        133004: ErrorKind("Server temporarily unavailable", 503, "Server is temporarily unavailable."),
        133010: ErrorKind("Phone number not registered", 400, "Phone number is not registered on the WhatsApp Business Platform."),
        133016: ErrorKind("Account register deregister rate limit exceeded", 400, "Too many attempts for this phone number."),
    }
)
_UNLISTED = ErrorKind("An error occurred", 400, "An error occurred.")


def http_status(error: MetaError, rate_limit_http_status: int = 400) -> int:
    """Return the HTTP status of `error`: its own, the setting for rate limits, else the table's."""
    if error.http_status is not None:
        return error.http_status
    if error.code in RATE_LIMIT_CODES:
        return rate_limit_http_status
    return KINDS.get(error.code, _UNLISTED).http_status


def answer_body(error: MetaError, trace_id: str) -> dict[str, Any]:
    """Return the body of the API's answer. Graph's own errors (190, unknown object) carry no `error_data`."""
    kind = KINDS.get(error.code, _UNLISTED)
    title = error.title or kind.title
    graph = error.code in {0, 190} or error.subcode is not None
    body: dict[str, Any] = {"message": title if graph else f"(#{error.code}) {title}", "type": error.type, "code": error.code}
    if error.subcode is not None:
        body["error_subcode"] = error.subcode
    if not graph:
        body["error_data"] = {"messaging_product": "whatsapp", "details": error.details or kind.details}
    body["fbtrace_id"] = trace_id
    return {"error": body}


def status_error(code: int, details: str | None = None) -> dict[str, Any]:
    """Return one element of a failed status's `errors`."""
    kind = KINDS.get(code, _UNLISTED)
    error_data = {"details": details or kind.details}
    return {"code": code, "title": kind.title, "message": kind.title, "error_data": error_data, "href": ERROR_PAGE}


def unknown_object(object_id: str) -> MetaError:
    """Return Graph's error for an id that this token cannot see (code 100, subcode 33)."""
    title = (
        f"Unsupported post request. Object with ID '{object_id}' does not exist, cannot be loaded due to missing permissions, "
        "or does not support this operation"
    )
    return MetaError(100, title=title, subcode=33, type="GraphMethodException")
