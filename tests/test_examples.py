"""The programs in examples/ run as a new user would run them, and print what they promise."""

from __future__ import annotations

import io
import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
PROGRAMS = ("chat", "gsm8k", "own_ensemble", "streaming_detokenizer", "transfer_logprobs")


@pytest.fixture
def program(monkeypatch, capsys):
    """Runs a program with arguments and standard input; returns what it prints."""

    def run(name: str, *arguments: str, stdin: str = "") -> str:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return run


def needs(*packages: str) -> None:
    for package in packages:
        pytest.importorskip(package, reason=f"the example needs {package}")


def test_every_program_is_tested():
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == sorted(PROGRAMS)


def test_streaming_detokenizer(program):
    printed = program("streaming_detokenizer")
    assert printed.startswith("100 streams, ") and printed.endswith("all equal to their wholes\n")


def test_transfer_of_log_probabilities(program):
    needs("torch", "transformers", "numpy")
    *rows, last = program("transfer_logprobs", "Once upon a time").splitlines()
    assert len(rows) >= 4
    values = [float(row.split()[0]) for row in rows]
    assert sum(values) == pytest.approx(float(last.split("student ")[1].split()[0]), abs=0.001 * len(rows))


def test_own_ensemble(program):
    needs("torch", "transformers")
    printed = program("own_ensemble", "Once upon a time")
    assert printed.startswith("Once upon a time ") and len(printed.split()) > 8


def test_chat(program):
    needs("torch", "transformers")
    question = "Tom has 3 apples. He buys 4 more. How many apples does Tom have?"
    first, second = program("chat", stdin=f"{question}\n{question}\n").splitlines()
    assert "7" in first and second


def test_gsm8k(program):
    needs("torch", "transformers")
    printed = program("gsm8k", str(FOLDER / "gsm8k_sample.jsonl")).splitlines()
    assert [line.split()[0] for line in printed] == ["fused", "ash", "birch", "cedar"]
    assert printed[0].endswith("% of 4")
    number_of = runpy.run_path(str(FOLDER / "gsm8k.py"))["number_of"]
    assert [number_of(text) for text in ("3 + 4 = 7. Tom has 7.", "1,234 pens", "none")] == ["7", "1234", None]
