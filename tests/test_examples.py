"""The programs in examples/ run as a new user would run them, and print what they promise."""

from __future__ import annotations

import asyncio
import io
import json
import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
PROGRAMS = ("chat", "gsm8k", "own_ensemble", "streaming_detokenizer", "transfer_logprobs", "web_service")


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


def test_web_service():
    needs("torch", "transformers", "fastapi", "uvicorn", "httpx")
    import httpx

    from coolfusion.embedded import fusion

    async def ask(app: object, **body: object) -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.post("/generate", json=body)

    async def main(app: object) -> list[httpx.Response]:
        return await asyncio.gather(
            ask(app, prompt="Once upon a time", max_new_tokens=8),
            ask(app, prompt="One day, a boy", max_new_tokens=8),
            ask(app, prompt=""),
            ask(app, prompt="Once", max_new_tokens=0),
        )

    with fusion(device="cpu", dtype="float32") as loaded:
        app = runpy.run_path(str(FOLDER / "web_service.py"))["create_app"](loaded)
        *answers, empty, small = asyncio.run(main(app))
        for answer, prompt in zip(answers, ("Once upon a time", "One day, a boy"), strict=True):
            assert answer.headers["content-type"].startswith("text/event-stream")
            events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line]
            alone = loaded.generate(prompt, max_new_tokens=8)
            assert "".join(event.get("text", "") for event in events) == alone.text
            assert events[-1] == {"finish_reason": alone.finish_reason}
        assert small.status_code == 422
        assert empty.status_code == 422 and "empty" in empty.json()["detail"]
        assert loaded.engine.n_running == loaded.engine.n_waiting == 0
