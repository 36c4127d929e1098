"""Limits of the server: keys, hosts, sizes, places, times, clients that are slow or rude, and its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extras serve and test")
pytest.importorskip("uvicorn", reason="needs the extras serve and test")
pytest.importorskip("prometheus_client", reason="needs the extras serve and test")
pytest.importorskip("httpx", reason="needs the extras serve and test")

import httpx

from coolfusion.errors import ArgumentError
from coolfusion.serve import ServerSettings
from coolfusion.serve.admission import Places
from coolfusion.serve.errors import ApiError
from fusion_parts import writer
from serve_parts import TEXT, WORDS, Held, empty, pair, raw, read_all, served, until

BODY = {"model": "coolfusion", "prompt": "a", "max_tokens": 64}


def post(server, body=BODY, **options):
    return httpx.post(f"{server.address}/v1/completions", json=body, timeout=60, **options)


def code(answer):
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["message"]
    return error["code"]


def test_a_key_is_needed_everywhere_but_for_health():
    with served(pair(), settings=ServerSettings(port=0, api_key="secret-1")) as server:
        right = {"Authorization": "Bearer secret-1"}
        assert post(server, headers=right).json()["choices"][0]["text"] == TEXT
        for wrong in ({}, {"Authorization": "Bearer secret-2"}, {"Authorization": "Basic secret-1"}):
            answer = post(server, headers=wrong)
            assert answer.status_code == 401 and code(answer) == "invalid_api_key"
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "secret-1" not in answer.text
        for path in ("/metrics", "/v1/models", "/tokenizer_info", "/openapi.json", "/nothing"):
            assert httpx.get(server.address + path).status_code == 401
        assert httpx.get(f"{server.address}/health").status_code == 200
        assert httpx.get(f"{server.address}/metrics", headers=right).status_code == 200
        with raw(server, "GET", "/v1/models", headers=["Authorization: Bearer \xff\xfe", "Connection: close"]) as bad:
            assert b" 401 " in read_all(bad)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_open_addresses_need_a_key_or_a_flag(host):
    with pytest.raises(ArgumentError, match="open to other machines and no API key is set"):
        ServerSettings(host=host)
    assert ServerSettings(host=host, api_key="k").host == ServerSettings(host=host, without_key=True).host == host


@pytest.mark.parametrize(
    "options",
    [
        {"port": 65536},
        {"port": True},
        {"max_waiting": -1},
        {"max_body_bytes": 0},
        {"max_connections": 0},
        {"timeout": 0.0},
        {"timeout": None},
        {"api_key": ""},
        {"api_key": "two words"},
        {"name": ""},
        {"host": ""},
    ],
)
def test_settings_outside_their_range(options):
    with pytest.raises(ArgumentError):
        ServerSettings(**options)


def test_other_hosts_are_refused_on_loopback_without_a_key():
    with served(pair()) as server:
        port = server.address.rpartition(":")[2]
        for host in (f"localhost:{port}", f"127.0.0.1:{port}", "[::1]", "127.0.0.1"):
            assert httpx.get(f"{server.address}/health", headers={"Host": host}).status_code == 200
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example"):
            answer = httpx.get(f"{server.address}/health", headers={"Host": host})
            assert answer.status_code == 403 and code(answer) == "host"


def test_bodies_have_a_limit_announced_or_not():
    with served(pair(), settings=ServerSettings(port=0, max_body_bytes=1000)) as server:
        assert post(server).status_code == 200
        answer = post(server, {**BODY, "prompt": "a" * 1000})
        assert answer.status_code == 413 and code(answer) == "body_too_large"
        with raw(server, "POST", "/v1/completions", headers=["Transfer-Encoding: chunked"]) as sock:
            for _ in range(3):
                sock.sendall(b"200\r\n" + b" " * 512 + b"\r\n")
            assert b" 413 " in read_all(sock), "and the connection is closed"
        until(lambda: server.service.places.taken == 0)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"a"', b"\xff\xfe", b"[" * 100_000, b'{"model": NaN}', b'{"prompt": "\\ud800"}'],
)
def test_bodies_that_are_no_request(body):
    with served(pair()) as server:
        headers = {"Content-Type": "application/json"}
        answer = httpx.post(f"{server.address}/v1/completions", content=body, headers=headers)
        assert answer.status_code == 400 and code(answer)


def test_unknown_paths_and_methods_have_the_shape_of_errors():
    with served(pair()) as server:
        for method, path, status in (("GET", "/v2", 404), ("GET", "/v1/completions", 405), ("PUT", "/metrics", 405)):
            answer = httpx.request(method, server.address + path)
            assert answer.status_code == status and code(answer)
            assert path in answer.json()["error"]["message"] and "expected" in answer.json()["error"]["message"]


def test_lone_surrogates_are_refused():
    with served(pair()) as server:
        for field in ("prompt", "stop", "model"):
            content = json.dumps({**BODY, field: "\ud800"})
            headers = {"Content-Type": "application/json"}
            answer = httpx.post(f"{server.address}/v1/completions", content=content, headers=headers)
            assert answer.status_code in (400, 404) and code(answer)


def test_places_are_counted():
    places = Places(3)
    with places.take(), places.take(2):
        assert places.taken == 3
        with pytest.raises(ApiError) as caught, places.take():
            pass
        assert caught.value.status == 429 and caught.value.headers == {"Retry-After": "1"}
    assert places.taken == 0
    with pytest.raises(ApiError) as caught, places.take(4):
        pass
    assert caught.value.status == 400


def test_a_full_queue_is_429_and_is_free_again():
    held = Held(writer(WORDS, "a cat", name="held"))
    with served([held.member], running=1, settings=ServerSettings(port=0, max_waiting=1)) as server:
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(post(server).status_code)) for _ in range(2)]
        for thread in threads:
            thread.start()
        until(lambda: server.service.places.taken == 2)
        answer = post(server)
        assert answer.status_code == 429 and code(answer) == "queue_full" and answer.headers["retry-after"] == "1"
        assert httpx.get(f"{server.address}/health").status_code == 200, "health needs no place"
        held.free.set()
        for thread in threads:
            thread.join()
        assert answers == [200, 200]
        assert post(server).status_code == 200
        answer = post(server, {**BODY, "prompt": ["a"] * 4})
        assert answer.status_code == 400, "more texts than there are places"
        assert "the request asks for" in answer.json()["error"]["message"]


def test_a_request_that_takes_too_long_is_504_and_leaves():
    with served([writer(WORDS, lambda text: " cat")], settings=ServerSettings(port=0, timeout=0.3)) as server:
        answer = post(server, {**BODY, "max_tokens": 1_000_000})
        assert answer.status_code == 504 and code(answer) == "timeout"
        stream = post(server, {**BODY, "max_tokens": 1_000_000, "stream": True})
        *parts, last = [line for line in stream.text.split("\n\n") if line]
        assert stream.status_code == 200 and parts
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "timeout"
        until(lambda: not server.service.fusion.engine.has_unfinished)
        empty(server.service.fusion)


def test_a_slow_body_does_not_keep_its_place(monkeypatch):
    import coolfusion.serve.gate as gate

    monkeypatch.setattr(gate, "BODY_SECONDS", 0.2)
    with served(pair()) as server:
        with raw(server, "POST", "/v1/completions", headers=["Content-Length: 100"]) as sock:
            until(lambda: server.service.places.taken == 1)
            assert b" 408 " in read_all(sock)
        until(lambda: server.service.places.taken == 0)


def test_a_reader_that_stops_reading_is_cut_off(monkeypatch):
    import coolfusion.serve.gate as gate

    monkeypatch.setattr(gate, "GRACE", 0.2)
    with served([writer(WORDS, lambda text: " cat")], settings=ServerSettings(port=0, timeout=1.0)) as server:
        server._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # of the connections too
        body = json.dumps({**BODY, "max_tokens": 1_000_000, "stream": True}).encode()
        with raw(server, "POST", "/v1/completions", body, received=4096):
            until(lambda: [each for each in server.server_state.connections if each.transport.get_write_buffer_size()])
            until(lambda: not server.server_state.connections)
            until(lambda: server.service.places.taken == 0)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("how", ["closed", "half closed", "reset"])
def test_clients_that_go_away_leave_nothing(how, stream):
    with served([writer(WORDS, lambda text: " cat")]) as server:
        body = json.dumps({**BODY, "max_tokens": 1_000_000, "stream": stream}).encode()
        sock = raw(server, "POST", "/v1/completions", body)
        until(lambda: server.service.fusion.engine.n_running == 1)
        if how == "half closed":
            sock.shutdown(socket.SHUT_WR)
        else:
            if how == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()
        until(lambda: not server.service.fusion.engine.has_unfinished)
        until(lambda: not server.server_state.connections and not server.server_state.tasks)
        assert server.service.places.taken == server.service.runner.n_batches == 0
        empty(server.service.fusion)
        assert post(server).status_code == 200
        sock.close()


def test_connections_are_kept_or_closed_as_the_client_asks():
    with served(pair()) as server:
        with httpx.Client() as kept:
            for _ in range(3):
                assert kept.post(f"{server.address}/v1/completions", json=BODY).json()["choices"][0]["text"] == TEXT
        body = json.dumps(BODY).encode()
        with raw(server, "POST", "/v1/completions", body, ["Connection: close"]) as sock:
            assert b"cat sat on the mat" in read_all(sock)


def test_the_end_lets_running_requests_finish_and_refuses_new_ones():
    held = Held(writer(WORDS, "a cat sat", name="held"))
    with served([held.member]) as server:
        with httpx.Client() as kept:  # a connection that is there before the listener closes
            assert kept.get(f"{server.address}/health").status_code == 200
            answers = []
            thread = threading.Thread(target=lambda: answers.append(post(server).json()))
            thread.start()
            assert held.waiting.wait(30)
            server.stop()
            until(lambda: server.service.places.draining)
            answer = kept.post(f"{server.address}/v1/completions", json=BODY)
            assert answer.status_code == 503 and code(answer) == "stopping"
            assert kept.get(f"{server.address}/health").status_code == 503
            held.free.set()
            thread.join(30)
        assert answers[0]["choices"][0]["text"] == " cat sat"


@pytest.mark.parametrize("stream", [False, True])
def test_the_end_has_a_limit(stream):
    members = [writer(WORDS, lambda text: " cat")]
    with served(members, settings=ServerSettings(port=0, shutdown_timeout=0.2)) as server:
        answers = []
        body = {**BODY, "max_tokens": 9**9, "stream": stream}
        thread = threading.Thread(target=lambda: answers.append(post(server, body)))
        thread.start()
        until(lambda: server.service.fusion.engine.n_running == 1)
        server.stop()
        thread.join(30)
        [answer] = answers
        last = answer.text.split("data: ")[-1]
        assert answer.status_code == (200 if stream else 503)
        assert json.loads(last)["error"]["code"] == "stopping"


SCRIPT = """
import sys
from coolfusion.fusion import Fusion
from coolfusion.serve import ServerSettings, serve
from fusion_parts import toy, writer
words = toy(" cat")
fusion = Fusion([writer(words, lambda text: " cat")])
tell = lambda address: print(address, flush=True)
with fusion:
    sys.exit(5 if serve(fusion, ServerSettings(port=0), tell) else 4)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 4), (signal.SIGINT, 5)])
def test_a_signal_lets_a_process_finish_its_answers(number, code):
    command = [sys.executable, "-c", SCRIPT]
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}
    ) as process:
        address = process.stdout.readline().strip()
        answers = []
        body = {**BODY, "max_tokens": 2000}

        def ask():
            answers.append(httpx.post(f"{address}/v1/completions", json=body, timeout=60).json())

        thread = threading.Thread(target=ask)
        thread.start()
        until(lambda: httpx.get(f"{address}/health").json()["running"] == 1)
        process.send_signal(number)
        thread.join(60)
        assert process.wait(60) == code
        assert answers[0]["choices"][0]["text"] == " cat" * 2000


def test_batches_end_with_the_runner():
    """A batch that no client closes ends with the server, and a runner starts again in another loop."""
    from coolfusion.errors import FusionError
    from coolfusion.fusion import Fusion, Request
    from coolfusion.serve.runner import Runner

    fusion = Fusion([writer(WORDS, lambda text: " cat")], drafts=0)
    runner = Runner(fusion.engine)

    async def main():
        runner.start()
        with runner.submit([fusion.engine.open(Request(prompt="a", max_new_tokens=9**9))]) as batch:
            until_started = asyncio.get_running_loop().time() + 30
            while not batch.entries[0].running.steps:
                assert asyncio.get_running_loop().time() < until_started
                await asyncio.sleep(0.01)
            await runner.stop()
            with pytest.raises(FusionError, match="the server stops"):
                await batch.finished()
        assert runner.n_batches == 0

    for _ in range(2):
        asyncio.run(main())
        until(lambda: not fusion.engine.has_unfinished or time.sleep(0))
        empty(fusion)


def test_an_application_without_its_lifespan_says_so():
    from coolfusion.fusion import Fusion
    from coolfusion.serve import create_app

    fusion = Fusion(pair(), drafts=0)

    async def main():
        transport = httpx.ASGITransport(app=create_app(fusion))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return [
                await client.post("/v1/completions", json=body)
                for body in (BODY, {**BODY, "echo": True, "logprobs": 1, "max_tokens": 0})
            ]

    for answer in asyncio.run(main()):
        assert answer.status_code == 500 and "lifespan" in answer.json()["error"]["message"]
    empty(fusion)


def test_a_client_that_leaves_just_as_a_step_comes_is_let_go():
    from coolfusion.fusion import Fusion, Request
    from coolfusion.serve.runner import Runner

    fusion = Fusion([writer(WORDS, lambda text: " cat")], drafts=0)
    runner = Runner(fusion.engine)

    async def main():
        runner.start()
        try:
            with runner.submit([fusion.engine.open(Request(prompt="a", max_new_tokens=9**9))], timeout=60.0) as batch:
                for work in (batch.finished(), anext(batch.steps())):
                    waiting = asyncio.ensure_future(work)
                    for _ in range(3):  # it waits now, unless a step is there
                        await asyncio.sleep(0)
                    if not waiting.done():
                        batch.changed.set()
                        waiting.cancel()
                        await asyncio.wait({waiting}, timeout=10)
                        assert waiting.cancelled()
        finally:
            await runner.stop()

    asyncio.run(main())
