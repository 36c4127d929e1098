"""`coolfusion generate`: traces, files that are resumed, interruptions, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="the command line's models need torch: pip install 'coolfusion[hf]'")

from cli_parts import Loaded, call
from coolfusion.errors import ArgumentError
from coolfusion.fusion import Fusion
from coolfusion.fusion.many import write_each
from coolfusion.traces import read_trace, read_traces
from fusion_parts import toy, writer
from trace_parts import fusion

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.usefixtures("one_thread")]


class Member:
    """A scripted member that appends " cat"; Ctrl-C comes while it reads a text of `interrupts`."""

    def __init__(self):
        self.interrupts = set()
        self.read = []

    def __call__(self, text):
        self.read.append(text)
        if text in self.interrupts:
            self.interrupts.discard(text)
            raise KeyboardInterrupt
        return "" if text.endswith("cat") else " cat"


@pytest.fixture
def member():
    return Member()


@pytest.fixture
def loaded(monkeypatch, member):
    return Loaded(
        monkeypatch, lambda options: Fusion([writer(toy(" cat"), member)], drafts=0, max_concurrent_requests=1)
    )


@pytest.fixture
def prompts(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(f'"{letter}"\n' for letter in "abcd"), encoding="utf-8")
    return file


def records(path):
    head, *rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert set(head) == {"setup", "digest"}
    return rows


def test_a_trace_is_written_with_a_text(loaded, tmp_path, capsys):
    file = tmp_path / "run.jsonl"
    call(["generate", "m", "--prompt", "a", "--trace", file])
    assert capsys.readouterr().out == " cat\n"
    trace = read_trace(file)
    assert (trace.output.text, trace.output.origin.prompt, trace.problem) == (" cat", "a", None)
    assert trace.seconds > 0
    call(["generate", "m", "--prompt", "b", "--trace", file, "--json"])
    whole = json.loads(capsys.readouterr().out)
    trace = read_trace(file)
    assert trace.output.origin.prompt == "b", "an old trace is replaced"
    assert len(whole["steps"]) == len(trace.output.steps)


def test_an_old_trace_stays_where_nothing_is_written(loaded, tmp_path, capsys, monkeypatch):
    file = tmp_path / "run.jsonl"
    file.write_text("old", encoding="utf-8")
    monkeypatch.setattr(Fusion, "from_pretrained", fails)
    call(["generate", "m", "--prompt", "a", "--trace", file], code=2)
    assert file.read_text(encoding="utf-8") == "old"


def fails(names, **options):
    raise ArgumentError("no such model")


def test_an_interrupted_text_leaves_its_trace(loaded, member, tmp_path, capsys):
    for number, more in enumerate(([], ["--json"])):
        file = tmp_path / f"{number}.jsonl"
        member.interrupts = {"a cat"}
        call(["generate", "m", "--prompt", "a", "--trace", file, *more], code=130)
        trace = read_trace(file)
        assert trace.problem is None and trace.output.finish_reason is None
        assert trace.output.text in capsys.readouterr().out


def test_many_texts_make_one_trace(loaded, prompts, tmp_path, capsys):
    file = tmp_path / "run.jsonl"
    call(["generate", "m", "--prompts-file", prompts, "--trace", file])
    assert [trace.output.origin.prompt for trace in read_traces(file)] == list("abcd")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["prompt"] for line in lines] == list("abcd")


def test_a_run_is_resumed_from_its_file(loaded, member, prompts, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    member.interrupts = {"c"}
    arguments = ["generate", "m", "--prompts-file", prompts, "--out", out]
    call(arguments, code=130)
    assert "interrupted" in capsys.readouterr().err
    assert [row["prompt"] for row in records(out)] == ["a", "b"]
    with open(out, "a", encoding="utf-8") as file:
        file.write('{"number": 2, "pro')  # a run that was killed has left half a line
    member.read.clear()
    call(arguments)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "2 texts, 2 were written before" in shown.err
    assert [(row["number"], row["prompt"], row["text"]) for row in records(out)] == [
        (number, letter, " cat") for number, letter in enumerate("abcd")
    ]
    assert not [text for text in member.read if text[:1] in "ab"], "what is written is not written again"
    n_loaded = len(loaded.calls)
    call(arguments)
    assert "all 4 texts were written before" in capsys.readouterr().err
    assert len(loaded.calls) == n_loaded, "models are not loaded for nothing"


def test_texts_that_failed_are_tried_again(loaded, prompts, tmp_path, capsys):
    prompts.write_text('"a"\n"\\ud800"\n', encoding="utf-8")
    out = tmp_path / "out.jsonl"
    arguments = ["generate", "m", "--prompts-file", prompts, "--out", out]
    for times in (1, 2):
        call(arguments, code=3)
        assert "error: prompt 1: character 0 of the text is a lone surrogate" in capsys.readouterr().err
        rows = records(out)
        assert sorted(row["number"] for row in rows) == [0, *[1] * times]
        assert sum(row["error"] is None for row in rows) == 1


def test_everything_that_is_known_is_in_the_file_with_json(loaded, prompts, tmp_path):
    out = tmp_path / "out.jsonl"
    call(["generate", "m", "--prompts-file", prompts, "--out", out, "--json"])
    assert all(row["output"]["steps"] and row["output"]["text"] == row["text"] for row in records(out))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--max-new-tokens", "9"], "another set-up: max_new_tokens was 64 and is 9"),
        (["--rule", "paper"], "another set-up: rule was None and is 'paper'"),
        (["--json"], "another set-up: json was False and is True"),
    ],
)
def test_a_file_of_another_setup_is_refused_before_anything_is_loaded(
    loaded, prompts, tmp_path, capsys, change, message
):
    out = tmp_path / "out.jsonl"
    arguments = ["generate", "m", "--prompts-file", prompts, "--out", out]
    call(arguments)
    call([*arguments, *change], code=2)
    assert message in capsys.readouterr().err
    assert len(loaded.calls) == 1


def test_a_file_of_other_prompts_is_refused(loaded, prompts, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    arguments = ["generate", "m", "--prompts-file", prompts, "--out", out]
    call(arguments)
    prompts.write_text('"a"\n"x"\n', encoding="utf-8")
    call(arguments, code=2)
    assert "line 3: prompt 1 is 'b'; expected 'x', as in this run" in capsys.readouterr().err
    prompts.write_text('"a"\n', encoding="utf-8")
    call(arguments, code=2)
    assert "line 3: prompt 1 is 'b'; expected one of 1 prompts, as in this run" in capsys.readouterr().err
    prompts.write_text("".join(f'"{letter}"\n' for letter in "abcde"), encoding="utf-8")
    call(arguments)
    assert len(records(out)) == 5, "further prompts may follow"


def test_out_is_for_many_texts(loaded, tmp_path, capsys):
    call(["generate", "m", "--prompt", "a", "--out", tmp_path / "x"], code=2)
    assert "--out is for many texts; expected --prompts-file FILE too" in capsys.readouterr().err
    call(["generate", "m", "--prompt", "a", "--trace", tmp_path / "none" / "x"], code=2)
    assert "cannot be written" in capsys.readouterr().err
    assert loaded.calls == []


def test_ctrl_c_prints_what_many_texts_hold(loaded, member, prompts, capsys):
    member.interrupts = {"c"}
    call(["generate", "m", "--prompts-file", prompts], code=130)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["prompt"], line["finish_reason"]) for line in lines] == [
        ("a", "end"),
        ("b", "end"),
        ("c", None),
        ("d", None),
    ]


def test_a_reader_that_goes_away_is_no_traceback(tmp_path):
    code = (
        "import sys, coolfusion.cli.app as app\n"
        "@app.app.command()\n"
        "def endless():\n"
        "    while True: print('x' * 1000)\n"
        "app.run(['endless'])"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1


# The texts of many prompts as they end.


def test_texts_come_as_those_of_a_list():
    both, prompts = fusion(), ["a", "a cat", "a cat sat on", "x"]
    expected = fusion().generate(prompts, 60)
    for ahead in (1, 2, 64):
        found = {each.number: each.output for each in write_each(both, iter(prompts), ahead=ahead, max_new_tokens=60)}
        assert [found[number].text for number in range(4)] == [output.text for output in expected]
    skipped = [each.number for each in write_each(both, prompts, skip={0, 2}, max_new_tokens=60)]
    assert sorted(skipped) == [1, 3]
    assert list(write_each(both, [])) == []


def test_prompts_are_taken_as_there_is_room():
    taken = []

    def prompts():
        for number in range(100):
            taken.append(number)
            yield "a"

    both = fusion()
    texts = write_each(both, prompts(), ahead=3, max_new_tokens=60)
    next(texts)
    assert len(taken) <= 6
    texts.close()
    assert not both.engine.has_unfinished, "what was being written is given up"


def test_an_error_of_one_ends_no_other_and_wrong_options_end_all():
    found = {each.number: each for each in write_each(fusion(), ["a", "\ud800", "a"], max_new_tokens=60)}
    assert [found[number].error is None for number in range(3)] == [True, False, True]
    assert found[1].output.error == str(found[1].error)
    with pytest.raises(ArgumentError, match="max_new_tokens"):
        list(write_each(fusion(), ["a"], max_new_tokens=0))
    with pytest.raises(ArgumentError, match="ahead"):
        list(write_each(fusion(), ["a"], ahead=0))
