"""Options of `coolfusion generate` for conversations, sampling, votes and reasoning."""

from __future__ import annotations

import json

import pytest

from cli_parts import Loaded, call
from coolfusion.cli.sampling import reranking
from coolfusion.errors import ArgumentError
from coolfusion.fusion import Fusion, Rerank
from coolfusion.traces import read_traces
from fusion_parts import gambler, toy

TALK = [{"role": "user", "content": "the cat"}]


def gamblers():
    return [gambler(toy(" the", " cat"), 1, name="a"), gambler(toy(), 2, name="b")]


@pytest.fixture
def loaded(monkeypatch):
    return Loaded(monkeypatch, lambda options: Fusion(gamblers()))


def test_a_conversation_is_read_from_a_file(loaded, tmp_path, capsys):
    expected = Fusion(gamblers()).generate(messages=TALK, max_new_tokens=8)
    for value in (TALK, {"messages": TALK}, {"messages": TALK, "tools": []}):
        file = tmp_path / "talk.json"
        file.write_text(json.dumps(value))
        call(["generate", "x", "y", "--messages", file, "--max-new-tokens", 8])
        out, err = capsys.readouterr()
        assert out.rstrip("\n") == expected.text.rstrip("\n")
        assert "no chat template" in " ".join(err.split())
    call(["generate", "x", "--messages", tmp_path / "talk.json", "--prompt", "a"], 2)
    assert "--messages excludes --prompt" in capsys.readouterr().err
    for text, said in (("{", "no JSON"), ('{"a": 1}', "expected `messages`"), ("[]", "at least one message")):
        (tmp_path / "talk.json").write_text(text)
        call(["generate", "x", "--messages", tmp_path / "talk.json"], 2)
        assert said in capsys.readouterr().err
    call(["generate", "x", "--messages", tmp_path / "none.json"], 2)


def test_sampling_is_that_of_the_library(loaded, capsys):
    options = ["--temperature", 0.9, "--top-p", 0.9, "--min-p", 0.01, "--seed", 4]
    call(["generate", "x", "y", "--prompt", "the", "--max-new-tokens", 9, "--json", *options])
    shown = json.loads(capsys.readouterr().out)
    expected = Fusion(gamblers()).generate("the", 9, temperature=0.9, top_p=0.9, min_p=0.01, seed=4)
    assert (shown["text"], shown["seed"]) == (expected.text, 4)
    call(["generate", "x", "--prompt", "the", "--temperature", -1], 2)
    assert "temperature" in capsys.readouterr().err


def test_votes_samples_and_reasoning(loaded, capsys):
    options = ["--vote", "first_line", "--samples", 1, "--think", "a", "b", "--seed", 4]
    call(["generate", "x", "y", "--prompt", "the", "--max-new-tokens", 5, "--json", *options])
    shown = json.loads(capsys.readouterr().out)
    rule = Rerank(vote=True, answer="first_line", scores="others", length="byte", samples=1)
    expected = Fusion(gamblers()).generate("the", 5, rerank=rule, think=("a", "b"), seed=4)
    assert [each["text"] for each in shown["continuations"]] == [each.text for each in expected.continuations]
    assert tuple(shown["reasoning"]) == expected.reasoning
    with pytest.raises(ArgumentError, match="--samples"):
        reranking(False, None, 2)
    assert reranking(True, None, 0) is True and reranking(True, None, 2) == Rerank(samples=2)
    with pytest.raises(ArgumentError, match="answer"):
        reranking(False, "nothing", 0)


SAMPLED = ["--max-new-tokens", 6, "--temperature", 1.0, "--seed", 4, "--n", 3]


def drawn(prompt):
    return Fusion(gamblers()).generate(prompt, 6, temperature=1.0, seed=4, n=3).choices


def test_several_texts_of_a_prompt_are_printed_in_a_row(loaded, tmp_path, capsys):
    expected = drawn("the")
    assert len({each.text for each in expected}) > 1
    trace = tmp_path / "run.jsonl"
    call(["generate", "x", "y", "--prompt", "the", *SAMPLED, "--trace", trace])
    out, err = capsys.readouterr()
    assert out == "".join(f"{each.text}\n" for each in expected)
    assert ["text 1 of 3, seed 4" in err, "text 3 of 3, seed 6" in err] == [True, True]
    [written] = read_traces(trace)
    assert [each.output.text for each in written.choices] == [each.text for each in expected]
    call(["generate", "x", "y", "--prompt", "the", *SAMPLED, "--json"])
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["text"], each["seed"], each["others"]) for each in shown] == [
        (each.text, each.seed, []) for each in expected
    ]


@pytest.mark.parametrize("as_json", [False, True])
def test_several_texts_of_many_prompts_are_lines_and_records(loaded, tmp_path, capsys, as_json):
    prompts, out = tmp_path / "prompts.jsonl", tmp_path / "out.jsonl"
    prompts.write_text('"the"\n"a"\n')
    expected = [(prompt, at, each.seed, each.text) for prompt in ("the", "a") for at, each in enumerate(drawn(prompt))]
    arguments = ["generate", "x", "y", "--prompts-file", prompts, *SAMPLED, *(["--json"] if as_json else [])]
    call(arguments)
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    if as_json:
        assert [(each["seed"], each["text"]) for each in shown] == [each[2:] for each in expected]
    else:
        assert [tuple(each[name] for name in ("prompt", "choice", "seed", "text")) for each in shown] == expected
    call([*arguments, "--out", out])
    _, *rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted((row["number"], row["choice"]) for row in rows) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert {(row["prompt"], row["choice"], row["seed"], row["text"]) for row in rows} == set(expected)
    assert all((row["output"] is not None) == as_json for row in rows)


def test_a_prompt_whose_texts_are_not_all_there_is_written_again(loaded, tmp_path, capsys):
    prompts, out = tmp_path / "prompts.jsonl", tmp_path / "out.jsonl"
    prompts.write_text('"the"\n')
    arguments = ["generate", "x", "y", "--prompts-file", prompts, *SAMPLED, "--out", out]
    call(arguments)
    head, *rows = out.read_text().splitlines()
    out.write_text("\n".join([head, *rows[:2], ""]))
    call(arguments)
    assert out.read_text().splitlines() == [head, *rows[:2], *rows]
    capsys.readouterr()
    call(arguments)
    assert "all 1 texts were written before" in capsys.readouterr().err
    call([*arguments[:-3], 2, *arguments[-2:]], 2)
    assert "n was 3 and is 2" in capsys.readouterr().err


def test_several_texts_need_a_temperature(loaded, capsys):
    call(["generate", "x", "--prompt", "the", "--n", 3], 2)
    assert "--n 3 at temperature 0 would be 3 equal texts" in capsys.readouterr().err
    call(["generate", "x", "--prompt", "the", "--n", 0], 2)
    assert "n must be" in capsys.readouterr().err
    assert not loaded.calls
