"""Rude connections, written byte by byte on sockets: what is not finished in time ends, and leaves nothing."""

from __future__ import annotations

import json
import socket
import time

import pytest

pytest.importorskip("fastapi", reason="needs the extras serve and test")
pytest.importorskip("uvicorn", reason="needs the extras serve and test")
pytest.importorskip("prometheus_client", reason="needs the extras serve and test")
pytest.importorskip("httpx", reason="needs the extras serve and test")

import httpx

from coolfusion.serve import ServerSettings, connections, gate
from serve_parts import TEXT, pair, raw, read_all, served, until

ASKED = {"model": "coolfusion", "prompt": "a", "max_tokens": 64}
BODY = json.dumps(ASKED).encode()
HEAD = (
    b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)
WHOLE = HEAD % len(BODY) + BODY


@pytest.fixture
def hasty(monkeypatch):
    """Short times for heads, bodies and last words."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(connections, "GRACE", 0.3)
    monkeypatch.setattr(gate, "BODY_SECONDS", 0.3)


def connected(server) -> socket.socket:
    sock = socket.create_connection(server._socket.getsockname()[:2])
    sock.settimeout(30)
    return sock


def error_of(answer: bytes) -> tuple[int, str]:
    """The status and the code of the one answer in these bytes."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower() and head.count(b"HTTP/1.1") == 1
    return int(head.split()[1]), json.loads(body)["error"]["code"]


def trickle(sock, data: bytes, pause: float = 0.02) -> None:
    """Sends bytes one by one until the other side has had enough."""
    for at in range(len(data)):
        try:
            sock.sendall(data[at : at + 1])
        except OSError:
            return
        time.sleep(pause)


def nothing_left(server) -> None:
    until(lambda: not server.server_state.connections and not server.server_state.tasks)
    assert server.service.places.taken == server.service.runner.n_batches == 0
    assert httpx.post(f"{server.address}/v1/completions", json=ASKED).json()["choices"][0]["text"] == TEXT


def test_a_connection_without_a_byte_is_closed(hasty):
    with served(pair()) as server:
        with connected(server) as sock:
            assert read_all(sock) == b"", "nothing was asked, so nothing is answered"
        nothing_left(server)


def test_a_head_that_never_ends_is_408(hasty):
    with served(pair()) as server:
        with connected(server) as sock:
            sock.sendall(WHOLE[:40])
            assert error_of(read_all(sock)) == (408, "head_too_slow")
        with connected(server) as sock:  # each byte comes in time, and the head does not
            trickle(sock, HEAD)
        nothing_left(server)


def test_the_time_of_a_head_begins_again_with_each_request(hasty):
    with served(pair()) as server:
        with connected(server) as sock:
            for _ in range(3):
                sock.sendall(WHOLE[:40])
                time.sleep(0.2)
                sock.sendall(WHOLE[40:])
                while TEXT.encode() not in (part := sock.recv(65536)):
                    assert part
            time.sleep(0.5)  # between two requests there may be a pause
            sock.sendall(b"POST")
            assert error_of(read_all(sock)) == (408, "head_too_slow")
        nothing_left(server)


@pytest.mark.parametrize("slow", [False, True])
def test_a_body_that_is_shorter_than_announced_is_408(hasty, slow):
    with served(pair()) as server:
        with connected(server) as sock:
            sock.sendall(HEAD % (len(BODY) + 100))
            until(lambda: server.service.places.taken == 1)
            trickle(sock, BODY) if slow else sock.sendall(BODY)
            if not slow:
                assert error_of(read_all(sock)) == (408, "body_too_slow")
        nothing_left(server)


def test_a_half_closed_socket_counts_as_gone(hasty):
    with served(pair()) as server:
        for sent in (b"", WHOLE[:40], HEAD % len(BODY), WHOLE[:-1]):
            with connected(server) as sock:
                sock.sendall(sent)
                sock.shutdown(socket.SHUT_WR)
                assert read_all(sock) == b""
        nothing_left(server)


def test_the_body_of_a_refused_request_has_an_end_too(hasty):
    """A client that goes on with a body after the answer keeps its connection no longer than a head may take."""
    with served(pair()) as server:
        with connected(server) as sock:
            sock.sendall((HEAD % 1_000_000).replace(b"localhost", b"elsewhere"))
            assert b" 403 " in sock.recv(65536)
            trickle(sock, b" " * 500)
            until(lambda: not server.server_state.connections)
        nothing_left(server)


def test_an_answer_that_is_not_read_has_an_end():
    settings = ServerSettings(port=0, timeout=1.0, max_body_bytes=1 << 24)
    with served(pair(), settings=settings) as server:
        body = json.dumps({"prompt": "a" * (1 << 22)}).encode()  # the answer is larger than all buffers between the two
        with raw(server, "POST", "/tokenize", body, received=4096):
            until(lambda: [each for each in server.server_state.connections if each.transport.get_write_buffer_size()])
            until(lambda: not server.server_state.connections)
        nothing_left(server)


def test_an_answer_that_is_read_slowly_comes_whole():
    settings = ServerSettings(port=0, timeout=5.0, max_body_bytes=1 << 24)
    with served(pair(), settings=settings) as server:
        body = json.dumps({"prompt": "a" * (1 << 20)}).encode()
        with raw(server, "POST", "/tokenize", body, ["Connection: close"], received=1 << 16) as sock:
            found = b""
            while part := sock.recv(1 << 16):
                found += part
                time.sleep(0.005)
        assert json.loads(found.partition(b"\r\n\r\n")[2])["count"] == 1 << 20


def test_connections_have_a_limit():
    with served(pair(), settings=ServerSettings(port=0, max_connections=2)) as server:
        with connected(server) as first, connected(server):
            until(lambda: len(server.server_state.connections) == 2)
            with connected(server) as third:
                assert error_of(read_all(third)) == (503, "too_many_connections")
            first.sendall(WHOLE)
            assert b" 200 " in first.recv(65536)
        nothing_left(server)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # TLS
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # no host
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000,
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
)
def test_bytes_that_are_no_http_are_400_in_the_shape_of_errors(sent):
    with served(pair()) as server:
        with connected(server) as sock:
            sock.sendall(sent)
            assert error_of(read_all(sock)) == (400, "invalid_http")
        nothing_left(server)


def test_a_body_that_is_no_http_ends_its_request():
    with served(pair()) as server:
        with raw(server, "POST", "/v1/completions", headers=["Transfer-Encoding: chunked"]) as sock:
            until(lambda: server.service.places.taken == 1)
            sock.sendall(b"no number\r\n")
            assert error_of(read_all(sock)) == (400, "invalid_http")
        nothing_left(server)


def test_upgrades_are_not_made():
    with served(pair()) as server:
        headers = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: YQ=="]
        with raw(server, "GET", "/health", headers=headers) as sock:
            assert b" 200 " in sock.recv(65536), "the header may be ignored"


def test_many_slow_clients_do_not_keep_others_out(hasty):
    with served(pair(), settings=ServerSettings(port=0, max_waiting=0), running=4) as server:
        socks = [connected(server) for _ in range(60)]
        for sock in socks:
            sock.sendall(WHOLE[:40])
        assert httpx.post(f"{server.address}/v1/completions", json=ASKED).status_code == 200
        for sock in socks:
            assert error_of(read_all(sock)) == (408, "head_too_slow")
            sock.close()
        nothing_left(server)
