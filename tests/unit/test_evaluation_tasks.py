"""Tasks: records in the forms of their data sets, prompts, answers and scores."""

from __future__ import annotations

import gzip
import json

import pytest

from coolfusion.errors import ArgumentError, TextError
from coolfusion.evaluation.data import digest_of, read_records
from coolfusion.evaluation.tasks import TASKS, items_of, task_named

SUM = {"question": "What is 3 + 4?", "answer": "3 + 4 = 7\n#### 7"}
STORY = {
    "story": "Ann has a dog.",
    "questions": [{"input_text": "Who has it?"}, {"input_text": "What is it?"}],
    "answers": [{"input_text": "Ann"}, {"input_text": "a dog"}],
    "additional_answers": {"0": [{"input_text": "Ann does"}, {"input_text": "dog"}]},
}
FOUR = [{"spans": ["four"]}]
ABOUT_C, ABOUT_P = (f"Passage: {name}\nQuestion: q\nAnswer:" for name in "cp")
DATE = {"number": "", "date": {"day": "3", "month": "May", "year": "1850"}, "spans": []}


@pytest.mark.parametrize(
    ("name", "record", "prompt", "golds"),
    [
        ("gsm8k", SUM, "Question: What is 3 + 4?\nAnswer:", ("7",)),
        ("mgsm", {"question": "3 + 4?", "answer": None, "answer_number": 7}, "Question: 3 + 4?\nAnswer:", ("7",)),
        ("mgsm", {"question": "3 + 4?", "answer": "7"}, "Question: 3 + 4?\nAnswer:", ("7",)),
        ("squad", {"context": "c", "question": "q", "answers": {"text": ["x", "y"]}}, ABOUT_C, ("x", "y")),
        ("squad", {"context": "c", "question": "q", "answers": [{"text": "x"}]}, ABOUT_C, ("x",)),
        ("drop", {"passage": "p", "question": "q", "answers": [["x", "y"], "z"]}, ABOUT_P, (("x", "y"), "z")),
        ("drop", {"passage": "p", "question": "q", "answer": DATE}, ABOUT_P, (("3 May 1850",),)),
        (
            "drop",
            {"passage": "p", "question": "q", "answer": {"number": "4"}, "validated_answers": FOUR},
            ABOUT_P,
            (("4",), ("four",)),
        ),
        (
            "triviaqa",
            {"question": "q", "answer": {"value": "x", "aliases": ["X", "ex"]}},
            "Question: q\nAnswer:",
            ("x", "X", "ex"),
        ),
        ("triviaqa", {"question": "q", "answers": ["x"]}, "Question: q\nAnswer:", ("x",)),
        ("unscramble", {"context": "\ncta =", "completion": " cat"}, "cta =", ("cat",)),
        ("lambada", {"text": "the cat sat on the mat"}, "the cat sat on the", ("mat",)),
        ("bits_per_byte", {"text": "a text"}, "", ("a text",)),
    ],
)
def test_records_become_prompts_and_answers(name, record, prompt, golds):
    [item] = items_of(task_named(name), [record])
    assert (item.sample.prompt, item.sample.golds) == (prompt, golds)


def test_a_conversation_has_an_item_for_each_turn():
    first, second = items_of(task_named("coqa"), [STORY])
    assert first.sample.prompt == "Ann has a dog.\n\nQ: Who has it?\nA:"
    assert second.sample.prompt == "Ann has a dog.\n\nQ: Who has it?\nA: Ann\n\nQ: What is it?\nA:"
    assert (first.sample.golds, second.sample.golds) == (("Ann", "Ann does"), ("a dog", "dog"))


def test_next_words_are_spread_over_a_document():
    text = " ".join(f"w{n}" for n in range(100))
    items = items_of(task_named("next_word"), [{"text": text}])
    assert len(items) == 8
    for item in items:
        assert text.startswith(f"{item.sample.prompt} {item.sample.golds[0]}")
    assert items_of(task_named("next_word"), [{"text": "too short"}]) == []


def test_ids_are_fixed_by_prompt_and_answer_and_the_same_again_gets_a_number():
    task = task_named("gsm8k")
    one, two, three = items_of(task, [SUM, {**SUM, "question": "other"}, SUM])
    assert one.id != two.id and three.id == f"{one.id}-2"
    assert [item.id for item in items_of(task, [SUM], shots=[SUM])] == [one.id]
    assert len(items_of(task, [SUM, SUM], limit=1)) == 1


def test_shown_examples_stand_before_every_prompt():
    [item] = items_of(task_named("gsm8k"), [{"question": "5 + 5?", "answer": "#### 10"}], shots=[SUM])
    expected = "Question: What is 3 + 4?\nAnswer: 3 + 4 = 7\n#### 7\n\nQuestion: 5 + 5?\nAnswer:"
    assert item.sample.prompt == expected


@pytest.mark.parametrize(
    ("name", "text", "golds", "scores", "answer"),
    [
        ("gsm8k", " It is 7, so\n#### 7", ["7"], {"flexible": 1.0, "strict": 1.0}, "7"),
        ("gsm8k", " It is 7.", ["7"], {"flexible": 1.0, "strict": 0.0}, "7"),
        ("drop", " 7 yards\nmore", [("7 yards",)], {"em": 1.0, "f1": 1.0}, "7.0 yards"),
        ("triviaqa", " The Cat.", ["cat"], {"em": 1.0, "f1": 1.0}, "cat"),
        ("lambada", " mat, and", ["mat"], {"accuracy": 1.0}, "mat"),
        ("lambada", "", ["mat"], {"accuracy": 0.0}, ""),
        ("unscramble", " cat\nmat =", ["cat"], {"accuracy": 1.0}, "cat"),
        ("unscramble", " cats", ["cat"], {"accuracy": 0.0}, "cats"),
    ],
)
def test_answers_are_scored(name, text, golds, scores, answer):
    task = task_named(name)
    assert task.scores(text, golds) == scores and set(task.metrics) == set(scores)
    assert task.answer(text) == answer


def test_what_cannot_be_used_is_named():
    with pytest.raises(ArgumentError, match=r"task 'sums' is unknown; expected one of bits_per_byte, coqa"):
        task_named("sums")
    with pytest.raises(ArgumentError, match=r"task gsm8k, record 2: a record has None as 'question'.*\['answer'\]"):
        items_of(TASKS["gsm8k"], [SUM, {"answer": "7"}])
    with pytest.raises(ArgumentError, match="task triviaqa, record 1: a record has the answers"):
        items_of(TASKS["triviaqa"], [{"question": "q", "answers": []}])
    with pytest.raises(ArgumentError, match="task coqa, record 1: a record has 1 questions and 2 answers"):
        items_of(TASKS["coqa"], [{"story": "s", "questions": ["q"], "answers": ["a", "b"]}])
    with pytest.raises(ArgumentError, match="task lambada, record 1: cannot be read"):
        items_of(TASKS["lambada"], [{"text": "word"}])


def test_files_are_read_by_their_ending(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "x\\u2028"}\n\n"a text"\n', encoding="utf-8")
    assert read_records(tmp_path / "a.jsonl") == [{"text": "x\u2028"}, {"text": "a text"}]
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text": "x"}\n'))
    assert read_records(tmp_path / "a.jsonl.gz") == [{"text": "x"}]
    (tmp_path / "a.tsv").write_text("3 + 4?\t7\n", encoding="utf-8")
    assert read_records(tmp_path / "a.tsv") == [{"question": "3 + 4?", "answer": "7"}]
    (tmp_path / "a.txt").write_text("One.\nTwo.\n\n\nThree.\n", encoding="utf-8")
    assert read_records(tmp_path / "a.txt") == [{"text": "One.\nTwo."}, {"text": "Three."}]
    assert digest_of(tmp_path / "a.txt") == digest_of(tmp_path / "a.txt") != digest_of(tmp_path / "a.tsv")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b'{"a": 1}\n{oops\n', "line 2: no JSON"),
        ("a.jsonl", b"[1]\n", r"line 1: \[1\]; expected a JSON object"),
        ("a.jsonl", b"\n\n", "holds no records"),
        ("a.tsv", b"no tab\n", "line 1: no tab; expected a question, a tab and an answer"),
        ("a.gz", b"no gzip", "cannot be read"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ArgumentError, match=message):
        read_records(tmp_path / name)


def test_a_missing_file_and_other_bytes_are_named(tmp_path):
    for read in (read_records, digest_of):
        with pytest.raises(ArgumentError, match=r"none\.jsonl: cannot be read"):
            read(tmp_path / "none.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(json.dumps("é", ensure_ascii=False).encode("latin-1"))
    with pytest.raises(TextError, match=r"latin\.jsonl: byte 1 begins no character"):
        read_records(tmp_path / "latin.jsonl")
