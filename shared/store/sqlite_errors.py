"""What SQLite's errors mean to Parley: try again, or call somebody.

Result codes: https://www.sqlite.org/rescode.html (2026-11). A message names the file and what to do, never a value.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from shared.store.port import StoreError, StoreUnavailableError

_TRY_AGAIN = {
    sqlite3.SQLITE_BUSY: "is locked by another process for longer than the busy time-out; look for a frozen process that holds it",
    sqlite3.SQLITE_LOCKED: "is locked by another process for longer than the busy time-out; look for a frozen process that holds it",
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full; free some space",
    sqlite3.SQLITE_IOERR: "cannot be read or written; look at the disk and the system's log",
    sqlite3.SQLITE_NOMEM: "cannot be used: memory is short",
    sqlite3.SQLITE_PROTOCOL: "could not be locked in time; look for a frozen process that holds it",
}
"""Conditions that end without a change of ours, and where nothing was saved."""

_CALL_SOMEBODY = {
    sqlite3.SQLITE_READONLY: "cannot be written: it is read only; give the process the right to write the file and its directory",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; look whether its directory exists and the process may write there",
    sqlite3.SQLITE_PERM: "cannot be opened: the process lacks the right",
    sqlite3.SQLITE_CORRUPT: "is damaged; stop the service, keep a copy of the file and put the last backup in its place",
    sqlite3.SQLITE_NOTADB: "is no SQLite database; move it away or name another path",
}
"""Conditions that stay until somebody acts."""


def translated(error: sqlite3.Error, path: Path) -> StoreError:
    """Return the error of the port that says what `error` of the database at `path` means."""
    code = getattr(error, "sqlite_errorcode", None)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    primary = None if code is None else code & 0xFF
    if primary in _TRY_AGAIN:
        return StoreUnavailableError(f"{path} {_TRY_AGAIN[primary]}; nothing was saved ({name})")
    if primary in _CALL_SOMEBODY:
        return StoreError(f"{path} {_CALL_SOMEBODY[primary]} ({name})")
    return StoreError(f"{path}: SQLite refused ({name}): {error}")
