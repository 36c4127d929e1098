"""Definitions on which the tokenizers crate panics: our error tells it, and nothing else is written."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_UNIGRAM = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.0], ["b", -2.0]], "byte_fallback": False}
_PREFIXED = {
    "type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]], "unk_token": None, "dropout": None,
    "continuing_subword_prefix": "####", "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
}  # fmt: skip
_OUTSIDE = base64.b64encode(b"\x04\0\0\0\xff\xff\xff\x7f").decode()
_PANICS: dict[str, dict[str, Any]] = {
    "parts without length": {"model": _UNIGRAM, "pre_tokenizer": {"type": "FixedLength", "length": 0}},
    "a prefix longer than the piece": {"model": _PREFIXED},
    "a charsmap that points outside": {
        "model": _UNIGRAM, "normalizer": {"type": "Precompiled", "precompiled_charsmap": _OUTSIDE},
    },
}  # fmt: skip
_PROGRAM = """
import sys
import coolfusion as cf
try:
    cf.Tokenizer.from_file(sys.argv[1]).encode("ab")
except cf.CoolFusionError as error:
    print(error)
"""
_BARE = """
import sys
import tokenizers
tokenizers.Tokenizer.from_file(sys.argv[1]).encode("ab")
"""


@pytest.mark.parametrize("name", _PANICS)
def test_a_panic_of_the_crate_writes_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / "tokenizer.json"
    parts = ("added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "truncation", "padding")
    path.write_text(json.dumps({"version": "1.0"} | dict.fromkeys(parts) | {"added_tokens": []} | _PANICS[name]))

    def run(program: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=120)

    judge = run(_BARE)
    assert judge.returncode and "panicked" in judge.stderr, "the library no longer panics: find another definition"
    found = run(_PROGRAM)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.strip()
