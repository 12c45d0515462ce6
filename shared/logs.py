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
from datetime import date, timedelta
from enum import Enum
from pathlib import PurePath
from types import TracebackType
from typing import Any
from uuid import UUID

import orjson
import structlog

from shared.errors import ParleyError

SENSITIVE_FIELDS = frozenset(
    {
        "text", "body", "content", "caption", "message", "vcard", "payload", "parameters", "values", "value", "answer", "question",
        "named_parameters", "phone", "phones", "to", "email", "username", "display_name", "customer", "name",
        "token", "access_token", "secret", "app_secret", "verify_token", "authorization", "password", "signature", "uri",
    }
)  # fmt: skip
"""Fields that are never written, whatever they hold."""
REDACTED = "[redacted]"
NUMERIC_FIELDS = frozenset({"account", "offset", "offsets", "port", "pid", "timestamp", "cluster", "instance"})
"""Fields whose long digits are no phone numbers."""
SENSITIVE_WORDS = ("token", "secret", "password", "signature", "authorization", "api_key", "cookie")
"""A field whose name holds one of these is never written either (headers, vendors' names)."""
PHONE_DIGITS_MIN = 8
"""A whole number with at least so many digits may be somebody's telephone."""
FRAMES_MAX = 12

_PHONE = re.compile(r"\+?\d[\d\s()./\u2010-\u2015-]{5,26}\d(?!\d)")
_DIGEST = (
    r"(?<![0-9A-Za-z])(?=[0-9-]*[a-f])"
    r"(?:[0-9a-f]{16}|[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})(?![0-9A-Za-z])"
)
_QUAD = r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_BETWEEN = r"[\s()./\u2010-\u2015-]"
_ADDRESS = (
    rf"(?<![\d.+]){_QUAD}:\d{{1,5}}(?![\d.])"
    rf"|(?<![\d.+])(?<!\d{_BETWEEN})(?<!\d{_BETWEEN}{_BETWEEN})(?!(?:\d\d\.){{3}}\d\d(?!\d)){_QUAD}(?!\d|{_BETWEEN}{{1,2}}\d)"
)
"""An IP address with a port; or alone, unless it stands beside other digits or has four pairs of them, as some telephone numbers do."""
_NO_PHONE = re.compile(rf"{_DIGEST}|{_ADDRESS}")
"""What stands for an event, a trace or a commit (hexadecimal of a usual length), and where a server is."""
_PLAIN = (date, timedelta, PurePath, UUID)
"""Other values whose text holds nobody's words."""


def mask_phones(value: str) -> str:
    """Return `value` with everything that could be a phone number replaced by its last two digits.

    Digests and IP addresses are left alone.
    """
    parts: list[str] = []
    end = 0
    for known in _NO_PHONE.finditer(value):
        parts += (_masked(value[end : known.start()]), known.group())
        end = known.end()
    return "".join((*parts, _masked(value[end:])))


def _masked(value: str) -> str:
    return _PHONE.sub(lambda match: f"***{match.group()[-2:]}", value)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop sensitive fields and mask phone numbers: a structlog processor."""
    for name in list(event):
        if _is_sensitive(name):
            event[name] = REDACTED
        elif name not in NUMERIC_FIELDS:
            event[name] = _redacted(event[name])
    return event


def _is_sensitive(name: Any) -> bool:
    """Return whether a field of this name is never written; names of headers come in every spelling."""
    folded = str(name).lower().replace("-", "_")
    return folded in SENSITIVE_FIELDS or any(word in folded for word in SENSITIVE_WORDS)


def _redacted(value: Any) -> Any:
    """Return `value` fit for a log, in depth. Of what is not plain data only the type is told: its text may be a customer's."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        return mask_phones(value)
    if isinstance(value, Mapping):
        return {mask_phones(str(key)): REDACTED if _is_sensitive(key) else _redacted(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(entry) for entry in value]
    if isinstance(value, int) and abs(value) >= 10 ** (PHONE_DIGITS_MIN - 1):
        return mask_phones(str(value))
    if value is None or isinstance(value, int | float):
        return value
    return mask_phones(str(value)) if isinstance(value, _PLAIN) else type(value).__name__


def without_foreign_words(record: logging.LogRecord) -> bool:
    """Keep of a library's record what the library says: its first line, and of an exception in it the type.

    asyncio, for one, writes the exception that nobody awaited below its first line, with the words in it.
    """
    if isinstance(record.args, tuple):
        record.args = tuple(type(one).__name__ if isinstance(one, BaseException) else one for one in record.args)
    try:
        text = record.getMessage()
    except (TypeError, ValueError, KeyError):  # the library's arguments do not fit its template: the template says enough
        text = str(record.msg)
    record.msg, record.args = text.partition("\n")[0], ()
    return True


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


def configure_logs(*, level: str, style: str, service: str, for_good: bool = True) -> None:
    """Set up structlog and the standard library's logging for this process; lines go to standard error.

    With `for_good` every logger keeps this set-up from its first line on, which makes lines cheap; a short command need not.
    """
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
        cache_logger_on_first_use=for_good,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(without_foreign_words)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=chain, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))
