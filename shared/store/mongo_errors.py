"""What PyMongo's errors mean to Parley: try again, or call somebody.

Codes: https://www.mongodb.com/docs/manual/reference/error-codes/ (2026-11). A message names the servers, never the credentials of
the address and never a server's own words about a document: they quote its key, which may be a phone number.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bson.errors import BSONError
from pymongo.errors import ConnectionFailure, ExecutionTimeout, OperationFailure, PyMongoError, WriteConcernError

from shared.store.port import StoreError, StoreUnavailableError

REASON_CHARACTERS_MAX = 200
"""So much of a connection's error is told; the rest is the driver's view of the whole cluster."""
_NOT_ALLOWED = frozenset({13, 18, 8000})
"""Unauthorized, AuthenticationFailed, AtlasError."""


@contextmanager
def translating(servers: str) -> Iterator[None]:
    """Turn errors of PyMongo into those of the port; `servers` are host names and ports, without credentials."""
    try:
        yield
    except (PyMongoError, BSONError) as error:
        raise translated(error, servers) from error


def translated(error: Exception, servers: str) -> StoreError:
    """Return the error of the port that says what `error` means."""
    name = type(error).__name__
    if isinstance(error, OperationFailure) and not isinstance(error, ExecutionTimeout):
        return _refused(error, servers)
    if isinstance(error, PyMongoError) and (error.timeout or isinstance(error, (ConnectionFailure, ExecutionTimeout))):
        reason = str(error).partition(", Timeout:")[0][:REASON_CHARACTERS_MAX]
        return StoreUnavailableError(f"MongoDB at {servers} does not answer ({name}: {reason}); what was being saved may or may not be")
    return StoreError(f"MongoDB at {servers}: the driver refused ({name}); look at the cause of this error")


def _refused(error: OperationFailure, servers: str) -> StoreError:
    """Return what the server's refusal means."""
    if error.code in _NOT_ALLOWED:
        return StoreError(
            f"MongoDB at {servers} refuses this user (code {error.code}); check name and password, and give it readWrite on the database"
        )
    if isinstance(error, WriteConcernError) or error.timeout or error.has_error_label("RetryableWriteError"):
        return StoreUnavailableError(
            f"MongoDB at {servers} could not do it now (code {error.code}); what was being saved may or may not be"
        )
    return StoreError(f"MongoDB at {servers} refused (code {error.code}); look at the cause of this error")
