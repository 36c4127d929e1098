"""Options of `coolfusion generate` for conversations, sampling, votes and reasoning."""

from __future__ import annotations

import json

import pytest

from cli_parts import Loaded, call
from coolfusion.cli.sampling import reranking
from coolfusion.errors import ArgumentError
from coolfusion.fusion import Fusion, Rerank
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
