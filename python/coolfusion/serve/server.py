"""Runs the application in uvicorn, and lets running requests finish when the process ends."""

from __future__ import annotations

import asyncio
import functools
import logging
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from coolfusion.fusion import Fusion
from coolfusion.serve.app import create_app
from coolfusion.serve.connections import KEEP_ALIVE_SECONDS, Connection
from coolfusion.serve.errors import ApiError
from coolfusion.serve.service import Service
from coolfusion.serve.settings import ServerSettings

__all__ = ["FusionServer", "serve"]

ANSWER_SECONDS = 1.0  # for the answers of texts that do not end in time
_log = logging.getLogger("coolfusion")


class FusionServer(uvicorn.Server):
    """A uvicorn server that ends in two steps, because running requests are to finish.

    First it refuses new requests with the status 503 while the running ones finish. Then it closes. A second signal
    closes it at once.

    Args:
        fusion: the fusion.
        settings: address, key and limits.
        listening: called with the address when the server takes requests, or None.

    Raises:
        OSError: the server cannot listen on the address.

    Attributes:
        service: the service.
        interrupted: whether Ctrl-C ended it.
    """

    def __init__(
        self, fusion: Fusion, settings: ServerSettings, listening: Callable[[str], None] | None = None
    ) -> None:
        app = create_app(fusion, settings)
        config = uvicorn.Config(
            app,
            http=functools.partial(Connection, settings),  # type: ignore[arg-type]  # called as a class is
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self.service: Service = app.state.service
        self._socket = _listening(settings.host, settings.port)
        self._listening = listening
        self.interrupted = False
        self._draining: asyncio.Task[None] | None = None
        self._event_loop: asyncio.AbstractEventLoop | None = None

    @property
    def address(self) -> str:
        """The address, for example http://127.0.0.1:8000."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serves until it is told to stop."""
        super().run([self._socket] if sockets is None else sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to listen, and reports the address."""
        self._event_loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self._listening is not None:
            self._listening(self.address)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to end at the first signal, and ends at once at a second.

        Args:
            sig: the signal.
            frame: the frame in which it arrived.
        """
        self.interrupted = self.interrupted or sig == signal.SIGINT
        if self.service.places.draining:
            self.should_exit = self.force_exit = True
            return
        self.stop()

    def stop(self) -> None:
        """Refuses new requests, and ends when the running ones have finished or their time is over."""
        self.service.places.draining = True
        if self._event_loop is None:
            self.should_exit = True
        else:
            self._event_loop.call_soon_threadsafe(self._begin_draining)

    def _begin_draining(self) -> None:
        self._draining = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        places, limit = self.service.places, self.service.settings.shutdown_timeout
        await _until(lambda: not places.taken, limit)
        if places.taken:
            _log.warning("stops with %d unfinished texts, after %g s", places.taken, limit)
            self.service.runner.abort(ApiError(503, "the server stops; the text is not finished", code="stopping"))
            await _until(lambda: not places.taken, ANSWER_SECONDS)
        self.should_exit = True


async def _until(done: Callable[[], bool], seconds: float) -> None:
    """Waits until a condition holds, or the time is over."""
    end = asyncio.get_running_loop().time() + seconds
    while not done() and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(0.02)


def _listening(host: str, port: int) -> socket.socket:
    """Returns a socket that is bound to an address, because uvicorn would end the process where binding fails."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    found = socket.socket(family, kind)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except OSError:
        found.close()
        raise
    return found


def serve(
    fusion: Fusion, settings: ServerSettings | None = None, listening: Callable[[str], None] | None = None
) -> bool:
    """Serves a fusion until the process is told to stop, and returns whether Ctrl-C told it.

    Args:
        fusion: the fusion, which the caller closes.
        settings: address, key and limits.
        listening: called with the address when the server takes requests, or None.

    Raises:
        OSError: the server cannot listen on the address.

    Example:
        ``serve(Fusion.from_pretrained(["dir/a", "dir/b"]), ServerSettings(port=8000))``
    """
    server = FusionServer(fusion, ServerSettings() if settings is None else settings, listening)
    server.run()
    return server.interrupted
