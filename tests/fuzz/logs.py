"""Every line that the code under test writes to its log, as an operator would see it: the real set-up, into memory."""

from __future__ import annotations

import io
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from shared.logs import configure_logs


class Captured:
    """What was written since the last look."""

    def __init__(self) -> None:
        self._stream = io.StringIO()

    @property
    def stream(self) -> io.StringIO:
        """Return what stands in the place of standard error."""
        return self._stream

    def take(self) -> list[str]:
        """Return the lines written since the last look."""
        if not self._stream.tell():
            return []
        text = self._stream.getvalue()
        self._stream.seek(0)
        self._stream.truncate()
        return text.splitlines()


@contextmanager
def captured_logs() -> Iterator[Captured]:
    """Log as a service does (JSON, down to debug; libraries from warnings on), into memory; give the process its own logging back."""
    captured = Captured()
    root = logging.getLogger()
    before = structlog.get_config()
    bound = structlog.contextvars.get_contextvars()
    handlers, level, stderr = root.handlers[:], root.level, sys.stderr
    sys.stderr = captured.stream
    try:
        configure_logs(level="debug", style="json", service="fuzz", for_good=False)
        with warnings.catch_warnings():
            yield captured
    finally:
        sys.stderr = stderr
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(**bound)
        structlog.configure(**before)
