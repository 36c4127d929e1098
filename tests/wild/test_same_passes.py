"""The same call makes the same passes and writes the same text, however long passes take: docs/invariants.md, I28."""

from __future__ import annotations

import json
import os
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
    # Threads of torch that wait sleep. Else two of them cost three times the work of one where cores are few.
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=900, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_other_delays_and_another_number_of_threads_decide_and_read_the_same():
    """By seed of the delays and number of threads; one test, so that the processes are started once."""
    runs = {(0, 1): DTYPES, (1, 1): DTYPES, (0, 2): ["bfloat16"]}
    with ThreadPoolExecutor(len(runs)) as pool:
        one, delayed, threaded = pool.map(lambda key: run(*key, *runs[key]), runs)
    for dtype in DTYPES:
        found = one[dtype]
        assert len(found) == 12, (dtype, [name for name, value in found.items() if isinstance(value, str)])
        for name, expected in found.items():
            assert delayed[dtype][name] == expected, (dtype, name)
        assert found.keys() == delayed[dtype].keys(), dtype
    assert threaded["bfloat16"] == one["bfloat16"]
