"""Parts of the tests of the server: a live one on a free port, and scripted members that can be held."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from coolfusion.fusion import Fusion, Member
from coolfusion.models import ScriptedModel
from coolfusion.serve import ServerSettings
from coolfusion.serve.server import FusionServer
from fusion_parts import BOS, END, toy, writer

TEXT = " cat sat on the mat"
WORDS, LETTERS = toy(" cat", " sat", " on", " the", " mat"), toy()


def pair(wish="a cat sat on the mat"):
    """Two members of different tokenizers that wish the same."""
    return [writer(WORDS, wish, name="words"), writer(LETTERS, wish, name="letters")]


class Held:
    """A member that computes nothing while it is held; `waiting` is set when a pass has come to it."""

    def __init__(self, member):
        self.free, self.waiting = threading.Event(), threading.Event()
        rows = member.runner._logits

        def row(ids):
            self.waiting.set()
            assert self.free.wait(60)
            return rows(ids)

        model = ScriptedModel(row, member.runner.logits_size, eos_token_ids=(END,), name=member.name)
        self.member = Member(model, member.tokenizer, (BOS,))


@contextmanager
def served(members, *, running=32, settings=None, **options) -> Iterator[FusionServer]:
    """A live server in a thread; at its end nothing must be left in it or in the engine."""
    fusion = Fusion(members, drafts=0, max_concurrent_requests=running, **options)
    server = FusionServer(fusion, ServerSettings(port=0) if settings is None else settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        yield server
    finally:
        server.stop()
        thread.join(60)
        assert not thread.is_alive()
    assert server.service.places.taken == server.service.runner.n_batches == 0
    empty(fusion)
    fusion.close()


def empty(fusion: Fusion) -> None:
    """Asserts that an engine holds no request and its workers no session."""
    engine = fusion.engine
    assert engine.n_running == engine.n_waiting == engine.n_cached_tokens == 0
    assert not any((engine._running, engine._entries, engine._sessions, engine._watched, engine._queue))
    assert [each.worker.n_sessions for each in engine._executor._workers] == [0] * len(fusion.members)


def until(done, seconds=30.0):
    """Waits until something is so."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.005)


def raw(server, method, path, body=b"", headers=(), *, received=None):
    """A socket on which a request was written, headers and body; `received` is the size of its buffer."""
    host, port = server._socket.getsockname()[:2]
    sock = socket.socket()
    sock.settimeout(30)
    if received is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, received)
    sock.connect((host, port))
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{port}", *headers]
    if body and not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers):
        lines += [f"Content-Length: {len(body)}", "Content-Type: application/json"]
    sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
    return sock


def read_all(sock) -> bytes:
    """Everything that comes until the other side closes."""
    found = b""
    while part := sock.recv(65536):
        found += part
    return found
