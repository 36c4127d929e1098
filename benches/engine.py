"""The engine under many requests: streams beside a list and beside one text after the other, and memory over time.

    python -m benches.engine [--models DIR ...] [--budget 48] [--requests 1000]

Texts are compared before any time is told. Passes are those of the models, so they do not depend on the machine.
"""

from __future__ import annotations

import argparse
import ast
import gc
import json
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benches.machine import machine
from coolfusion.embedded import folders
from coolfusion.fusion import Fusion, Member
from coolfusion.models.transformers.model import HuggingFaceModel

PACKAGE = Path(__file__).parents[1] / "python" / "coolfusion"
PROMPTS = (
    "Once upon a time",
    "One day, a boy named Tim found a",
    "Question: Ann has 9 pens. She buys 8 more. How many pens does Ann have? Answer:",
    "The cat sat on the",
    "A long time ago there was a king who",
    "She said that the",
    "In the morning they went to",
    "Puzzle: What is tiger spelled backwards? Answer:",
)


def again(members: Sequence[Member]) -> list[Member]:
    """The same weights under new runners, whose passes are counted from 0."""
    found = []
    for member in members:
        old: Any = member.runner
        runner = HuggingFaceModel(old.module, name=old.name, eos_token_ids=old.eos_token_ids, strategy=old.strategy)
        found.append(Member(runner, member.tokenizer, member.prefix_ids))
    return found


def in_turn(fusion: Fusion, budget: int) -> list[str]:
    return [fusion.generate(prompt, budget).text for prompt in PROMPTS]


def one_list(fusion: Fusion, budget: int) -> list[str]:
    return [output.text for output in fusion.generate(list(PROMPTS), budget)]


def streams(fusion: Fusion, budget: int) -> list[str]:
    """Eight streams, one more opened after every step of those that are open."""
    texts, open_streams = [""] * len(PROMPTS), []
    for number, prompt in enumerate(PROMPTS):
        open_streams.append((number, fusion.stream(prompt, budget)))
        advance(open_streams, texts)
    while open_streams:
        advance(open_streams, texts)
    return texts


def advance(open_streams: list[Any], texts: list[str]) -> None:
    for number, stream in tuple(open_streams):
        step = next(stream, None)
        if step is None:
            open_streams.remove((number, stream))
        else:
            texts[number] += step.text


WAYS: dict[str, Callable[[Fusion, int], list[str]]] = {"in turn": in_turn, "one list": one_list, "streams": streams}


def compare(members: Sequence[Member], budget: int, rounds: int) -> dict[str, Any]:
    """Seconds and passes of eight texts: in turn, as one list, and as streams opened at different times."""
    found: dict[str, Any] = {}
    expected: list[str] | None = None
    for name, write in WAYS.items():
        seconds = []
        for _ in range(rounds):
            fusion = Fusion(again(members), rule="paper", drafts=0)
            began = time.perf_counter()
            texts = write(fusion, budget)
            seconds.append(time.perf_counter() - began)
            expected = expected or texts
            assert texts == expected, name
        words = sum(len(text.split()) for text in texts)
        passes = [member.runner.forward_passes for member in fusion.members]
        found[name] = {"ms per word": round(min(seconds) * 1e3 / max(words, 1), 2), "passes": passes}
    return found


def memory(members: Sequence[Member], requests: int) -> list[dict[str, float]]:
    """Resident memory and bytes of caches after every tenth of so many consecutive requests, four at a time."""
    fusion, found = Fusion(again(members), rule="paper"), []
    for number in range(0, requests, 4):
        fusion.generate([PROMPTS[(number + n) % len(PROMPTS)] for n in range(4)], 8)
        if (number + 4) % max(4, requests // 10) < 4:
            gc.collect()
            caches = sum(getattr(member.runner.runner.cache, "n_bytes", 0) for member in fusion.members)
            found.append({"requests": number + 4, "MB": round(resident(), 1), "cache bytes": caches})
    return found


def resident() -> float:
    """Resident memory in MB; where the system does not tell, the most there ever was."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def size() -> dict[str, Any]:
    """Lines of the package, and its longest function."""
    lines, longest = 0, (0, "")
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        lines += len(text.splitlines())
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
                longest = max(longest, (length, f"{path.relative_to(PACKAGE)}: {node.name}"))
    return {"lines": lines, "longest function, docstring apart": longest}


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", nargs="+", default=folders(), type=Path)
    parser.add_argument("--budget", type=int, default=48)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    members = Fusion.from_pretrained(options.models, device="cpu", dtype="float32").members
    print(json.dumps(machine()))
    print(json.dumps({"eight texts": compare(members, options.budget, options.rounds)}))
    print(json.dumps({"memory": memory(members, options.requests)}))
    print(json.dumps(size()))


if __name__ == "__main__":
    main()
