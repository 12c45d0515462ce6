"""JSON that is kept for a while, as small as it is."""

from __future__ import annotations

from typing import Any

import orjson


def json_bytes(value: Any) -> bytes:
    """Return `value` as JSON. A copy, of its own size: what orjson returns keeps the memory that it set aside, four kilobytes at least.

    Raises TypeError (orjson.JSONEncodeError) for what is no JSON, or nested too deep.
    """
    return b"%b" % orjson.dumps(value)
