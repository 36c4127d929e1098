"""Checks requests before all routes: their key or host, their size and their time.

The gate checks the key of a request, or the host if the server has no key. Then it takes a place and reads the body up
to the limit. After that the route runs. The gate cancels it when the client has gone or the time is over, because no
client would read the answer. For example, a request without its key gets the status 401, and the route never runs.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from time import perf_counter
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coolfusion.serve.admission import Places
from coolfusion.serve.errors import ApiError
from coolfusion.serve.settings import LOOPBACK_NAMES, ServerSettings, is_loopback

__all__ = ["ABORT", "Gate"]

OPEN_PATHS = frozenset({"/health"})  # for load balancers, which have no key
GRACE = 5.0  # seconds for an answer that says that the time is over
BODY_SECONDS = 30.0
LEFT = 499
ABORT = "coolfusion.abort"  # a function in the scope that closes the connection; servers other than ours have none


class Gate:
    """An ASGI application that checks requests and passes them on to another application.

    Args:
        app: the application with the routes.
        settings: key, host and limits.
        places: the places, of which each POST request takes one here.
        note: called at the end of each answer with its path, its status and its seconds. The status is 499 where the
            client left before there was one.
    """

    def __init__(
        self, app: ASGIApp, settings: ServerSettings, places: Places, note: Callable[[str, int, float], None]
    ) -> None:
        self.app, self.settings, self.places, self._note = app, settings, places, note

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or refuses it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer, began = _Answer(send), perf_counter()
        try:
            with ExitStack() as stack:
                headers = Headers(scope=scope)
                self._check(scope, headers)
                if scope["method"] == "POST":
                    self.places.check_open()
                    stack.enter_context(self.places.take())
                body = await self._body(headers, receive)
                if body is not None:
                    await self._run(scope, body, receive, answer)
        except ApiError as err:
            if answer.status != LEFT:
                # The unread rest is dropped, because a client that never reads would else keep its connection.
                scope.get(ABORT, _nothing)()
            else:
                await err.response()(scope, receive, answer)
        finally:
            self._note(scope["path"], answer.status, perf_counter() - began)

    def _check(self, scope: Scope, headers: Headers) -> None:
        settings = self.settings
        if settings.api_key is None:
            # A page in a browser reaches loopback addresses under a name of its own (DNS rebinding).
            host = headers.get("host", "").rpartition("@")[2]
            name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
            known = name.strip("[]") in LOOPBACK_NAMES or is_loopback(name.strip("[]"))
            if is_loopback(settings.host) and not known:
                raise ApiError(
                    403, f"host {name!r:.80} is none of this server; expected localhost, or a key", code="host"
                )
        elif scope["path"] not in OPEN_PATHS:
            kind, _, key = headers.get("authorization", "").partition(" ")
            given = key.strip().encode()
            if kind.lower() != "bearer" or not hmac.compare_digest(given, settings.api_key.encode()):
                raise ApiError(
                    401,
                    "the API key is wrong or missing; expected the header Authorization: Bearer KEY",
                    code="invalid_api_key",
                    headers={"WWW-Authenticate": "Bearer"},
                )

    async def _body(self, headers: Headers, receive: Receive) -> bytes | None:
        """Returns the body, or None if the client went away."""
        most = self.settings.max_body_bytes
        too_large = ApiError(
            413, f"the body is larger than {most} bytes", code="body_too_large", headers={"Connection": "close"}
        )
        announced = headers.get("content-length", "")
        if announced.isdigit() and int(announced) > most:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(min(BODY_SECONDS, self.settings.timeout)):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise too_large
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError as err:
            raise ApiError(
                408, "the body did not come in time", code="body_too_slow", headers={"Connection": "close"}
            ) from err

    async def _run(self, scope: Scope, body: bytes, receive: Receive, answer: _Answer) -> None:
        """Runs the route until it has answered, the client has gone, or the time is over."""
        async with _task(self.app(scope, _replayed(body), answer)) as route, _task(_gone(receive)) as gone:
            limit = self.settings.timeout + GRACE
            done, _ = await asyncio.wait({route, gone}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if route in done:
                route.result()
            elif not done:
                raise ApiError(504, f"the request did not end within {limit:g} s", code="timeout")


class _Answer:
    """Passes an answer on, and keeps its status for the metrics.

    Args:
        send: the function that sends messages of the server.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = LEFT

    async def __call__(self, message: Message) -> None:
        """Sends a part of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


@asynccontextmanager
async def _task(work: Any) -> AsyncIterator[asyncio.Task[Any]]:
    """Runs a coroutine while the block runs, and cancels it at the end."""
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        while not task.done():  # again, because an awaited call may lose a cancellation
            task.cancel()
            await asyncio.wait({task}, timeout=1.0)
        if not task.cancelled():
            task.exception()  # read, because asyncio reports unread ones; the block had it, or has ended


def _nothing() -> None:
    """Does nothing."""


async def _gone(receive: Receive) -> None:
    """Waits until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _replayed(body: bytes) -> Receive:
    """Returns a `receive` that gives a body once, and then waits without end."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    return receive
