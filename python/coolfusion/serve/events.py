"""Sends answers as server-sent events, one for each segment, and `[DONE]` at the end."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from coolfusion.errors import CoolFusionError
from coolfusion.serve.errors import ApiError, as_api_error

__all__ = ["EventStream"]

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventStream(Response):
    """A response that sends events as they are made.

    The response starts and closes the generator, so nothing is left if the client goes before the end. The first event
    is None and says that the request was accepted. An error before it has its own status, because none was sent yet.

    Args:
        events: a generator of None, and then of objects for JSON.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[dict[str, Any] | None, None]) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the events."""
        async with aclosing(self._events) as events:
            await anext(events)
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            try:
                async for event in events:
                    if event is not None:
                        await send(_part(json.dumps(event, ensure_ascii=False)))
                await send(_part("[DONE]"))
            except (ApiError, CoolFusionError) as err:
                await send(_part(json.dumps(as_api_error(err).body())))
        await send({"type": "http.response.body", "body": b""})


def _part(data: str) -> dict[str, Any]:
    # Text is UTF-8 by construction. A lone surrogate that a template left becomes "?", because UTF-8 has none.
    return {"type": "http.response.body", "body": f"data: {data}\n\n".encode(errors="replace"), "more_body": True}
