"""Reading and answering control requests: every vendor's control interface speaks alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)
CONTROL_PREFIX = "/control/"


class ControlError(Exception):
    """A control request that cannot be done; the message says why and `status` is the HTTP status."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def json_answer(value: Any, *, status: int = 200) -> web.Response:
    """Return a JSON response."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


async def read_json(request: web.Request) -> Any:
    """Return the body's JSON value; an empty body is an empty object."""
    body = await request.read()
    try:
        return orjson.loads(body) if body else {}
    except orjson.JSONDecodeError as error:
        raise ControlError(f"The body is not JSON: {error}.") from error


async def read_model(request: web.Request, model: type[Model]) -> Model:
    """Return the body as `model`."""
    return _validate(await read_json(request), model)


async def read_list(request: web.Request, model: type[Model]) -> tuple[list[Model], bool]:
    """Return the body's one `model` or list of them, and whether it was a list."""
    value = await read_json(request)
    if isinstance(value, list):
        return [_validate(element, model) for element in value], True
    return [_validate(value, model)], False


def _validate(value: Any, model: type[Model]) -> Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        reasons = "; ".join(f"{'.'.join(str(part) for part in reason['loc']) or 'body'}: {reason['msg']}" for reason in error.errors())
        raise ControlError(f"The body does not fit: {reasons}.") from error


def number_query(request: web.Request, name: str, default: float) -> float:
    """Return a number from the query string."""
    try:
        return float(request.query.get(name, default))
    except ValueError as error:
        raise ControlError(f"The query parameter {name} must be a number.") from error


@web.middleware
async def control_errors(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    """Answer a ControlError as JSON."""
    try:
        return await handler(request)
    except ControlError as error:
        return json_answer({"error": str(error)}, status=error.status)
