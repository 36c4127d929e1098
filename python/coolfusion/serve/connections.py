"""Limits the number of connections, the time of a request's head, and the time that an answer lies unread.

The limits are needed because uvicorn waits without end for a first byte and for the rest of a head. It also waits
without end until a client has read an answer. The gate limits the times of bodies, and of answers that are being made.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from coolfusion.serve.errors import ApiError
from coolfusion.serve.gate import ABORT
from coolfusion.serve.settings import ServerSettings

__all__ = ["KEEP_ALIVE_SECONDS", "Connection"]

HEAD_SECONDS = 30.0
KEEP_ALIVE_SECONDS = 75  # longer than clients keep connections, so that none sends into one that just closes
GRACE = 5.0  # seconds for a client to read why its connection is closed


class Connection(H11Protocol):
    """An HTTP connection that is closed when it passes a limit, for example after 30 seconds without a head.

    Args:
        settings: the limits.
        options: the arguments that uvicorn gives to its own connections.
    """

    def __init__(self, settings: ServerSettings, **options: Any) -> None:
        super().__init__(**options)
        self._settings = settings
        self._head: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._begun = False
        self._application, self.app = self.app, self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[ABORT] = self.transport.abort
        await self._application(scope, receive, send)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for the first head, or refuses the connection if there are too many.

        Args:
            transport: the transport of the socket.
        """
        super().connection_made(transport)
        most = self._settings.max_connections
        if len(self.connections) > most:
            message = f"the server has {most} connections, its most; try again later"
            self._refuse(ApiError(503, message, code="too_many_connections", headers={"Retry-After": "1"}))
        else:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends all waiting, because the socket is gone.

        Args:
            exc: the reason of the loss, or None.
        """
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes bytes of a head, of a body, or of a body whose request was answered already.

        Args:
            data: the bytes.
        """
        self._begun = True
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        else:
            self._wait_for_head()

    def on_response_complete(self) -> None:
        """Gives the client `timeout` seconds to read the rest of the answer."""
        self._stop_waiting()
        self._begun = False
        super().on_response_complete()
        if self.transport.get_write_buffer_size() and self.cycle.response_complete:
            self._unread = self.loop.call_later(self._settings.timeout, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        """Refuses bytes that are no HTTP.

        Args:
            msg: uvicorn's message, which the answer leaves out.
        """
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.abort()  # because a refusal would stand inside the answer that has begun
        else:
            self._refuse(ApiError(400, "the request is no HTTP/1.1", code="invalid_http"))

    def _wait_for_head(self) -> None:
        if self._head is None and not self.transport.is_closing():
            self._head = self.loop.call_later(min(HEAD_SECONDS, self._settings.timeout), self._too_slow)

    def _stop_waiting(self) -> None:
        for handle in (self._head, self._unread):
            if handle is not None:
                handle.cancel()
        self._head = self._unread = None

    def _too_slow(self) -> None:
        # The rest of a refused body may stand between two requests, and it gets no second answer.
        if self._begun and (self.cycle is None or not self.cycle.more_body):
            self._refuse(ApiError(408, "the head of the request did not come in time", code="head_too_slow"))
        else:
            self._close()

    def _refuse(self, error: ApiError) -> None:
        body = json.dumps(error.body()).encode()
        lines = [
            f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *(f"{name}: {value}" for name, value in error.headers.items()),
        ]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        self._close()

    def _close(self) -> None:
        self.transport.close()
        if self._unread is None:
            self._unread = self.loop.call_later(GRACE, self.transport.abort)
