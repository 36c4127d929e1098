"""/v1/chat/completions: one answer to messages, which each member reads in its own template."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse

from coolfusion.serve.answers import about, authors, finish_reason, head, usage
from coolfusion.serve.errors import ApiError
from coolfusion.serve.events import EventStream
from coolfusion.serve.protocol import ChatRequest
from coolfusion.serve.segments import chat_entry
from coolfusion.serve.service import Plan, Service
from coolfusion.serve.writing import Writing, written

__all__ = ["chat"]

DEFAULT_BUDGET = 256
PREFIX = "chatcmpl"


async def chat(service: Service, body: ChatRequest) -> Response:
    """Answers a request.

    Args:
        service: the service.
        body: the request.

    Raises:
        ApiError: fields that do not go together, or no place.
        CoolFusionError: a value that cannot be used.
    """
    raise ApiError(501, "not yet")
