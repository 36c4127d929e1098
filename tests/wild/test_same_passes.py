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


def run(*arguments: object) -> dict:
    """What a process of its own decides."""
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_two_processes_with_other_delays_decide_and_read_the_same(dtype):
    with ThreadPoolExecutor() as pool:
        one, other = pool.map(lambda seed: run(dtype, seed), (0, 1))
    assert len(one) == 12, [name for name, value in one.items() if isinstance(value, str)]
    for name, expected in one.items():
        assert other[name] == expected, name
    assert one.keys() == other.keys()


def test_two_thread_counts_decide_the_same_in_half_precision():
    with ThreadPoolExecutor() as pool:
        one, other = pool.map(lambda threads: run("bfloat16", 0, threads), (1, 2))
    assert one == other
