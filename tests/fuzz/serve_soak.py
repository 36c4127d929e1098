"""A live server under many clients, slow and rude ones among them: every text is right, and nothing grows.

    python tests/fuzz/serve_soak.py [--requests 10000] [--clients 24] [--embedded] [--seed 0]

Clients ask plainly, stream, read slowly, close half of their socket, hang up, reset, send half a body or nonsense.
Each whole text is compared with that of `Fusion.generate`. After each tenth of the requests the server is left to rest.
Then the engine, the workers' sessions, the places, the tasks and the connections must be empty, and memory is told.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import random
import resource
import socket
import struct
import sys
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from coolfusion.fusion import Fusion
from coolfusion.serve import ServerSettings
from coolfusion.serve.server import FusionServer
from fusion_parts import toy, writer
from serve_parts import empty, until

PROMPTS = ("a", "a cat", "a cat sat", "a cat sat on", "a cat sat on the", "a cat sat on the mat. a")
WISH = "a cat sat on the mat. a cat sat on the dog. the end"
ENDLESS = "z"  # for clients that leave: a text that would not end without them
EMBEDDED = ("Once upon a time", "One day, a boy", "Tom has 3 apples.", "The cat")
WAYS = ("whole", "stream", "slow", "half", "hang up", "reset", "half body", "nonsense", "echo")


def wish(text: str) -> str:
    """The text that members wish to follow another; after ENDLESS there is no end."""
    if text.startswith(ENDLESS):
        return " cat"
    return WISH[len(text) :] if WISH.startswith(text) else ""


def scripted() -> Fusion:
    tokenizers = toy(" cat", " sat", " on", " the", " mat"), toy()
    members = [writer(tokenizer, wish, name=f"m{at}") for at, tokenizer in enumerate(tokenizers)]
    return Fusion(members, drafts=0, max_concurrent_requests=8)


def embedded() -> Fusion:
    from coolfusion.embedded import fusion

    # float64, because texts of other neighbours must be the same to the last near-tie.
    found: Fusion = fusion(device="cpu", dtype="float64", threads=1, max_concurrent_requests=8)
    return found


class Client:
    """One client after the other, each in its own way."""

    def __init__(self, address: tuple[str, int], expected: dict[tuple[str, int], str], dice: random.Random) -> None:
        self.address, self.expected, self.dice = address, expected, dice
        self.counts: Counter[str] = Counter()

    async def ask(self) -> None:
        way = self.dice.choice(WAYS)
        prompt, budget = self.dice.choice(sorted(self.expected))
        body: dict[str, object] = {"model": "coolfusion", "prompt": prompt, "max_tokens": budget}
        if way in ("stream", "slow") or (way in ("half", "hang up", "reset") and self.dice.random() < 0.5):
            body["stream"] = True
        if way in ("half", "hang up", "reset") and self.dice.random() < 0.5:
            body |= {"prompt": ENDLESS, "max_tokens": 1_000_000}
        if way == "echo":
            body |= {"echo": True, "logprobs": 0}
        data = json.dumps(body).encode() if way != "nonsense" else self.dice.randbytes(40)
        length = len(data) + (50 if way == "half body" else 0)
        head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {length}\r\nConnection: close\r\n\r\n"
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            writer.write(head.encode() + data)
            await writer.drain()
            if way in ("hang up", "reset", "half body"):
                await asyncio.sleep(self.dice.random() * 0.05)
                if way == "reset":
                    sock = writer.get_extra_info("socket")
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.counts[way] += 1
                return
            if way == "half":
                writer.write_eof()
            answer = await self._read(reader, slow=way == "slow")
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        self._check(way, prompt, budget, body, answer)

    async def _read(self, reader: asyncio.StreamReader, *, slow: bool) -> bytes:
        found = b""
        with contextlib.suppress(ConnectionError):
            while part := await reader.read(64 if slow else 1 << 16):
                found += part
                if slow:
                    await asyncio.sleep(0.002)
        return found

    def _check(self, way: str, prompt: str, budget: int, body: dict[str, object], answer: bytes) -> None:
        status = int(answer[9:12]) if answer else 0
        if way == "nonsense":
            assert status in (400, 429), (way, answer)
        elif status == 429:
            way = "full"
        elif way != "half":  # half a socket counts as gone; the answer may come or not
            assert status == 200, (way, answer)
        if status == 200:
            want = self.expected[prompt, budget] if body["prompt"] == prompt else " cat" * 1_000_000
            if b"text/event-stream" in answer:
                found, done = self._streamed(answer)
                assert found == want if done else (way == "half" and want.startswith(found)), (way, found, want)
            elif way != "half" or answer.endswith(b"}"):
                text = json.loads(answer.partition(b"\r\n\r\n")[2])["choices"][0]["text"]
                assert text == (prompt + want if way == "echo" else want), (way, text, want)
        self.counts[way if status else f"{way}, no answer"] += 1

    def _streamed(self, answer: bytes) -> tuple[str, bool]:
        # Chunked: each event is one chunk.
        lines = [line for line in answer.decode().split("\r\n") if line.startswith("data: ")]
        events = [line.strip()[6:] for line in lines]
        done = events[-1:] == ["[DONE]"]
        return "".join(json.loads(event)["choices"][0]["text"] for event in events if event != "[DONE]"), done


async def crowd(client: Client, requests: int, clients: int) -> None:
    left = iter(range(requests))

    async def one() -> None:
        for _ in left:
            await client.ask()

    await asyncio.gather(*(one() for _ in range(clients)))


def rested(server: FusionServer, fusion: Fusion) -> dict[str, int]:
    """What is left in a server that has nothing to do."""
    service, state = server.service, server.server_state
    until(lambda: not fusion.engine.has_unfinished and not state.tasks and not state.connections, 60)
    assert service.places.taken == service.runner.n_batches == 0
    empty(fusion)
    gc.collect()
    loop = service.runner._loop
    tasks = asyncio.run_coroutine_threadsafe(count_tasks(), loop).result(30)
    # A prompt may still be read for a client that has gone.
    objects = min(count_objects() for _ in range(10))
    blocks = sys.getallocatedblocks()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    inner = [getattr(member.runner, "runner", None) for member in fusion.members]
    caches = sum(each.cache.n_bytes for each in inner if each is not None and hasattr(each.cache, "n_bytes"))
    return {"tasks": tasks, "objects": objects, "blocks": blocks, "resident": resident, "cache bytes": caches}


def count_objects() -> int:
    """How many objects of the package there are."""
    time.sleep(0.02)
    gc.collect()
    return sum(str(type(each).__module__).startswith("coolfusion") for each in gc.get_objects())


async def count_tasks() -> int:
    return len(asyncio.all_tasks()) - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--embedded", action="store_true", help="the models of the package in place of scripted ones")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    fusion = embedded() if options.embedded else scripted()
    prompts = EMBEDDED if options.embedded else PROMPTS
    budgets = (4, 12) if options.embedded else (8, 64)
    expected = {(prompt, n): fusion.generate(prompt, n).text for prompt in prompts for n in budgets}
    server = FusionServer(fusion, ServerSettings(port=0, max_waiting=2 * options.clients, timeout=300.0))
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    client = Client(server._socket.getsockname()[:2], expected, random.Random(options.seed))
    rows, began = [], time.monotonic()
    try:
        for _ in range(10):
            asyncio.run(crowd(client, max(1, options.requests // 10), options.clients))
            rows.append(rested(server, fusion))
            print(json.dumps({"seconds": round(time.monotonic() - began, 1), **rows[-1]}), flush=True)
    finally:
        server.stop()
        thread.join(60)
    print(json.dumps(dict(sorted(client.counts.items()))))
    # The first tenths fill caches of Python, of torch and of the tokenizers.
    for name in ("tasks", "objects", "cache bytes"):
        assert rows[-1][name] <= rows[2][name], (name, rows[2][name], rows[-1][name])
    grown = rows[-1]["blocks"] - rows[2]["blocks"]
    assert grown < max(1000, options.requests // 20), f"{grown} more blocks of memory than after three tenths"
    print(f"{sum(client.counts.values())} requests; no growth; every text is that of Fusion.generate")
    fusion.close()


if __name__ == "__main__":
    main()
