"""The server beside the same fusion without one: time of one text, time to the first segment, and eight texts at once.

    python -m benches.serve [--models DIR ...] [--budget 32] [--rounds 7]

Texts are compared before any time is told. The server is a process of its own, and both ways take turns. A ratio is
time with the server / time without it, the median of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benches.engine import PROMPTS
from benches.machine import machine
from coolfusion.embedded import folders
from coolfusion.fusion import Fusion


@contextmanager
def server(models: list[Path]) -> Iterator[str]:
    """The address of a server in a process of its own."""
    arguments = [*map(str, models), "--port", "0", "--device", "cpu", "--dtype", "float32"]
    process = subprocess.Popen(
        [sys.executable, "-m", "coolfusion", "serve", *arguments], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        line = next(line for line in process.stderr if "listens on" in line)
        yield line.split("listens on ")[1].split("/v1")[0]
    finally:
        process.terminate()
        process.wait(60)
        process.stderr.close()


def body(prompt: str, budget: int, **more: Any) -> dict[str, Any]:
    return {"model": "coolfusion", "prompt": prompt, "max_tokens": budget, **more}


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def first_of(stream: Iterator[Any]) -> Any:
    return next(stream)


async def eight(address: str, budget: int) -> list[str]:
    async with httpx.AsyncClient(timeout=300) as client:

        async def one(prompt: str) -> str:
            answer = await client.post(f"{address}/v1/completions", json=body(prompt, budget))
            text: str = answer.json()["choices"][0]["text"]
            return text

        return await asyncio.gather(*map(one, PROMPTS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", nargs="+", default=folders(), type=Path)
    parser.add_argument("--budget", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    budget, prompt = options.budget, PROMPTS[0]
    fusion = Fusion.from_pretrained(options.models, device="cpu", dtype="float32", threads=1)
    with server(options.models) as address, httpx.Client(timeout=300) as client:

        def first_event() -> str:
            with client.stream("POST", f"{address}/v1/completions", json=body(prompt, budget, stream=True)) as answer:
                line = next(line for line in answer.iter_lines() if line.startswith("data: "))
                text: str = json.loads(line[6:])["choices"][0]["text"]
                return text

        def whole() -> str:
            answer = client.post(f"{address}/v1/completions", json=body(prompt, budget))
            text: str = answer.json()["choices"][0]["text"]
            return text

        def first_step() -> str:
            with fusion.stream(prompt, budget) as stream:
                return next(stream).text

        ways: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            "first segment": (first_step, first_event),
            "one text": (lambda: fusion.generate(prompt, budget).text, whole),
            "eight texts at once": (
                lambda: [output.text for output in fusion.generate(list(PROMPTS), budget)],
                lambda: asyncio.run(eight(address, budget)),
            ),
        }
        print(json.dumps(machine()))
        for name, (without, with_server) in ways.items():
            assert without() == with_server(), name
            rounds = []
            for at in range(options.rounds):
                pair = [timed(way)[0] for way in ((without, with_server) if at % 2 else (with_server, without))]
                rounds.append(pair if at % 2 else pair[::-1])
            ratio = statistics.median(served / plain for plain, served in rounds)
            plain, served = (statistics.median(column) * 1e3 for column in zip(*rounds, strict=True))
            row = {"ms without": round(plain, 2), "ms with": round(served, 2), "ratio": round(ratio, 3)}
            print(json.dumps({name: row}), flush=True)


if __name__ == "__main__":
    main()
