"""Log lines: JSON, one per event, `noun.past_tense` with fields; never a message text, a phone number or a secret.

Redaction is central and does not trust the caller: fields whose name says that they hold content or a secret are dropped, and what
looks like a phone number is masked in every other string. Exceptions are written as types and places, without their messages, for
these may repeat a customer's words.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any

import orjson
import structlog

from shared.errors import ParleyError

SENSITIVE_FIELDS = frozenset(
    {
        "text", "body", "content", "caption", "message", "vcard", "payload", "parameters", "values", "value", "answer", "question",
        "phone", "phones", "to", "email", "username", "display_name", "customer", "name",
        "token", "access_token", "secret", "app_secret", "verify_token", "authorization", "password", "signature", "uri",
    }
)  # fmt: skip
"""Fields that are never written, whatever they hold."""
NUMERIC_FIELDS = frozenset({"account", "offset", "offsets", "port", "pid", "timestamp", "cluster", "instance"})
"""Fields whose long digits are no phone numbers."""
FRAMES_MAX = 12

_PHONE = re.compile(r"(?<![0-9a-f])\+?\d[\d ()./-]{5,17}\d(?![0-9a-f])")


def mask_phones(value: str) -> str:
    """Return `value` with everything that could be a phone number replaced by its last two digits."""
    return _PHONE.sub(lambda match: f"***{match.group()[-2:]}", value)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop sensitive fields and mask phone numbers: a structlog processor."""
    for name in list(event):
        if name in SENSITIVE_FIELDS:
            event[name] = "[redacted]"
        elif name not in NUMERIC_FIELDS:
            event[name] = _redacted(event[name])
    return event


def _redacted(value: Any) -> Any:
    """Return `value` fit for a log, in depth."""
    if isinstance(value, str):
        return mask_phones(value)
    if isinstance(value, Mapping):
        return {key: "[redacted]" if key in SENSITIVE_FIELDS else _redacted(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(entry) for entry in value]
    if value is None or isinstance(value, int | float):
        return value
    return mask_phones(str(value))


def describe_exception(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace `exc_info` by the exception's type and the places it came through; our own errors keep their message."""
    raised = event.pop("exc_info", None)
    if raised is True:
        raised = sys.exc_info()[1]
    elif isinstance(raised, tuple):
        raised = raised[1]
    if isinstance(raised, BaseException):
        event["exception"] = type(raised).__name__
        event["raised_at"] = _places(raised.__traceback__)
        if isinstance(raised, ParleyError):
            event["detail"] = str(raised)
    return event


def _places(traceback: TracebackType | None) -> list[str]:
    """Return `file:line function` of the innermost frames."""
    places: list[str] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        places.append(f"{'/'.join(code.co_filename.split('/')[-3:])}:{traceback.tb_lineno} {code.co_name}")
        traceback = traceback.tb_next
    return places[-FRAMES_MAX:]


def _to_json(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()


def configure_logs(*, level: str, style: str, service: str) -> None:
    """Set up structlog and the standard library's logging for this process; lines go to standard error."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(service=service)
    renderer: Any = structlog.processors.JSONRenderer(_to_json) if style == "json" else structlog.dev.ConsoleRenderer()
    chain: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        describe_exception,
        redact,
    ]
    number = getattr(logging, level.upper())
    structlog.configure(
        processors=[*chain, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=chain, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))
