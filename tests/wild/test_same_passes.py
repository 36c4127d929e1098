"""The same call makes the same passes and writes the same text, however long the passes take: docs/design.md, I28."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the loop on real models needs torch: pip install 'coolfusion[hf]'")
pytest.importorskip("transformers", reason="the loop on real models needs transformers")

SCRIPT = Path(__file__).with_name("same_passes.py")


DTYPES = ("bfloat16", "float16", "float32")


def run(*arguments: object) -> dict:
    """What a process of its own decides, by dtype."""
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def decided() -> dict:
    """By seed of the delays and number of threads, three processes that run at the same time."""
    runs = {(0, 1): DTYPES, (1, 1): DTYPES, (0, 2): ["bfloat16"]}
    with ThreadPoolExecutor(len(runs)) as pool:
        found = pool.map(lambda key: run(*key, *runs[key]), runs)
        return dict(zip(runs, found, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
def test_two_processes_with_other_delays_decide_and_read_the_same(decided, dtype):
    one, other = decided[0, 1][dtype], decided[1, 1][dtype]
    assert len(one) == 12, [name for name, value in one.items() if isinstance(value, str)]
    for name, expected in one.items():
        assert other[name] == expected, name
    assert one.keys() == other.keys()


def test_two_thread_counts_decide_the_same_in_half_precision(decided):
    assert decided[0, 1]["bfloat16"] == decided[0, 2]["bfloat16"]
