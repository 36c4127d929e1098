"""Converts errors to OpenAI's shape: a status, and a body with message, type, param and code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from coolfusion.errors import (
    ArgumentError,
    CoolFusionError,
    EmptyPromptError,
    NoCandidateError,
    PromptTooLongError,
    RequestTimeoutError,
    TextError,
    UnknownTokenError,
    UnrepresentableTextError,
)

__all__ = ["ApiError", "as_api_error", "on_api_error", "on_http_error", "on_validation_error"]

INVALID = "invalid_request_error"
# Errors that a caller can mend, with the parameter that is to blame where the class tells it.
_OF_CALLERS: tuple[tuple[type[CoolFusionError], int, str | None, str], ...] = (
    (EmptyPromptError, 400, "prompt", "empty_prompt"),
    (PromptTooLongError, 400, "prompt", "context_length_exceeded"),
    (UnrepresentableTextError, 400, "prompt", "unrepresentable_text"),
    (TextError, 400, "prompt", "invalid_text"),
    (UnknownTokenError, 400, "prompt", "unknown_token"),
    (NoCandidateError, 422, "prompt", "no_candidate"),
    (ArgumentError, 400, None, "invalid_value"),
)
_TYPES = {401: "authentication_error", 429: "rate_limit_error"}
_CODES = {404: "not_found", 405: "method_not_allowed", 415: "unsupported_media_type"}


class ApiError(Exception):
    """An error with the answer that reports it, for example the status 404 for an unknown model.

    Attributes:
        status: the HTTP status.
        message: one sentence with the given value and the expected ones.
        param: the parameter that is to blame, or None.
        code: a word for programs, for example "model_not_found".
        headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Returns the body of the answer."""
        kind = _TYPES.get(self.status, INVALID if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """Returns the answer."""
        return JSONResponse(self.body(), self.status, headers=self.headers)


def as_api_error(error: BaseException) -> ApiError:
    """Returns the answer to an error of the library. An error that no caller can mend has the status 500.

    Args:
        error: the error.

    Example:
        >>> as_api_error(ArgumentError("rule 'x' is unknown")).status
        400
    """
    if isinstance(error, ApiError):
        return error
    for kind, status, param, code in _OF_CALLERS:
        if isinstance(error, kind):
            return ApiError(status, str(error), param=param or _named_in(str(error)), code=code)
    if isinstance(error, RequestTimeoutError):
        return ApiError(504, str(error), code="timeout")
    if isinstance(error, CoolFusionError):
        return ApiError(500, str(error), code="failed")
    return ApiError(500, f"the server failed: {type(error).__name__}", code="internal_error")


_PARAMETERS = (
    "rule",
    "granularity",
    "alignment",
    "rerank",
    "members",
    "prefix",
    "think",
    "stop",
    "prompt",
    "messages",
    "tools",
    "continue_final",
    "template_options",
)


def _named_in(message: str) -> str | None:
    """Returns the parameter with which a message begins, or that a template refuses."""
    if message.startswith("the chat template of member"):
        return "messages"
    found = re.match(r"\w+", message)
    first = found[0] if found else ""
    return first if first in _PARAMETERS else None


async def on_api_error(_: Request, error: Exception) -> JSONResponse:
    """Answers an `ApiError`, or an error of the library.

    Args:
        error: the error.
    """
    return as_api_error(error).response()


async def on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Answers an error of the framework: an unknown path, a wrong method, a body that is no JSON.

    Args:
        request: the request.
        error: the error.
    """
    assert isinstance(error, HTTPException)
    status, message = error.status_code, str(error.detail)
    if status == 404:
        message = (
            f"path {request.url.path!r:.80} is unknown; expected one of /openapi.json, such as /v1/chat/completions"
        )
    elif status == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        message = f"method {request.method!r:.20} is wrong for {request.url.path!r:.80}; expected {allowed}"
    return ApiError(status, message, code=_CODES.get(status, "bad_request"), headers=error.headers).response()


async def on_validation_error(_: Request, error: Exception) -> JSONResponse:
    """Answers a body that does not fit the description, and names the wrong field.

    Args:
        error: the error.
    """
    assert isinstance(error, RequestValidationError)
    return invalid(error.errors()).response()


def invalid(found: Sequence[Any]) -> ApiError:
    """Returns the answer to the errors that pydantic found, of which it reports one.

    A union has an error for each of its forms. Errors of a value count before errors of a type, and deep places before
    shallow ones, because the form that the client meant fits furthest.

    Args:
        found: the errors of pydantic.
    """
    worst = max(found, key=lambda each: (not str(each["type"]).endswith("_type"), len(each["loc"])))
    # The names that are left out are forms of a union, which pydantic puts into the place. Numbers are places in lists.
    place = [each for each in worst["loc"] if isinstance(each, int) or str(each).isidentifier()]
    place = [each for each in place if each not in ("body", "str", "int", "float", "bool")]
    param = str(place[0]) if place else None
    kind = str(worst["type"])
    if kind == "json_invalid":
        return ApiError(400, "the body is no JSON; expected an object", code="invalid_json")
    if kind == "extra_forbidden":
        message = f"parameter {place[-1]!r:.80} is unknown; expected those of /openapi.json"
        return ApiError(400, message, param=param, code="unknown_parameter")
    if kind == "missing":
        where = ".".join(map(str, place)) or "the body"
        return ApiError(400, f"{where} is missing", param=param, code="missing_parameter")
    given = repr(worst.get("input"))
    shown = given if len(given) <= 60 else f"{given[:57]}..."
    where = ".".join(str(each) for each in place) or "the body"
    return ApiError(400, f"{where} is {shown}: {worst['msg']}", param=param, code="invalid_value")
