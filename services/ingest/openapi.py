"""What ingest answers, as an OpenAPI document: two addresses, whose bodies are the channels' own and not described here."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

_ANSWERS: dict[str, dict[int, str]] = {
    "post": {
        HTTPStatus.OK: "Every item is stored: as an event, put aside, or known and not needed.",
        HTTPStatus.BAD_REQUEST: "The body did not come whole, or its compression is broken.",
        HTTPStatus.UNAUTHORIZED: "The signature does not match.",
        HTTPStatus.NOT_FOUND: "There is no such channel.",
        HTTPStatus.REQUEST_TIMEOUT: "The body did not arrive in time.",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large, as it came or inflated.",
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body's encoding is not known.",
        HTTPStatus.SERVICE_UNAVAILABLE: "Nothing is stored: come again.",
    },
    "get": {
        HTTPStatus.OK: "The address is ours: the channel's challenge.",
        HTTPStatus.FORBIDDEN: "The token is not ours, or this is no handshake.",
        HTTPStatus.NOT_FOUND: "There is no such channel.",
    },
}
_SUMMARIES = {"post": "Take a webhook in", "get": "Prove to a channel that the address is ours"}
_PARAMETERS = {
    "channel": "The channel's name, for example whatsapp.",
    "account": "The account, for channels whose webhooks do not name it.",
}


def openapi_document(version: str) -> dict[str, Any]:
    """Return the document for ingest in `version`."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Parley ingest", "version": version, "description": "Where the channels post their webhooks."},
        "paths": {path: _path(path) for path in ("/channels/{channel}", "/channels/{channel}/{account}")},
    }


def _path(path: str) -> dict[str, Any]:
    """Return both methods of an address."""
    parameters = [_parameter(name, about) for name, about in _PARAMETERS.items() if f"{{{name}}}" in path]
    return {"parameters": parameters, **{method: _operation(method) for method in _ANSWERS}}


def _parameter(name: str, about: str) -> dict[str, Any]:
    # No slash and no dot segment: what is split at slashes, and what clients take out of an address.
    schema = {"type": "string", "minLength": 1, "pattern": r"^[A-Za-z0-9_+:@-]+$"}
    return {"name": name, "in": "path", "required": True, "description": about, "schema": schema}


def _operation(method: str) -> dict[str, Any]:
    """Return one method: any body is taken, every answer is plain text."""
    answers = {
        str(int(status)): {"description": about, "content": {"text/plain": {"schema": {"type": "string"}}}}
        for status, about in _ANSWERS[method].items()
    }
    operation: dict[str, Any] = {"summary": _SUMMARIES[method], "responses": answers}
    if method == "post":
        binary = {"schema": {"type": "string", "format": "binary"}}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": {}}, "application/octet-stream": binary}}
    return operation
