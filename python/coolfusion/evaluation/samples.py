"""Records of data sets in their own forms become samples: a prompt, the right answers, and an answer to show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from coolfusion.errors import ArgumentError

__all__ = [
    "Sample",
    "of_completion",
    "of_conversation",
    "of_last_word",
    "of_next_words",
    "of_open_question",
    "of_passage",
    "of_question",
    "of_text",
]

Record = dict[str, Any]
NEXT_WORDS = 8  # places of one document whose next word is asked for
FEWEST_WORDS = 8  # before the first of them


class Sample(NamedTuple):
    """One item of a task.

    Attributes:
        prompt: the text before the answer.
        golds: the right answers; a list of lists where an answer has several spans.
        shown: the answer as it stands in a shown example.
    """

    prompt: str
    golds: tuple[Any, ...]
    shown: str


def of_question(record: Record) -> list[Sample]:
    """Returns a sum in words: `question` and `answer` (GSM8K), or `answer_number` (MGSM)."""
    question, answer = _text(record, "question"), record.get("answer")
    shown = str(record["answer_number"]) if answer is None and "answer_number" in record else _text(record, "answer")
    gold = shown.rsplit("####", 1)[-1].strip()
    return [Sample(f"Question: {question}\nAnswer:", (gold,), f" {shown}")]


def of_open_question(record: Record) -> list[Sample]:
    """Returns a question without a text: `question` and `answers`, or TriviaQA's own `answer` with its aliases."""
    golds = _answers(record)
    return [Sample(f"Question: {_text(record, 'question')}\nAnswer:", golds, f" {golds[0]}")]


def of_passage(record: Record) -> list[Sample]:
    """Returns a question about a `context` or `passage`: SQuAD and DROP, with `answers`, or `answer` in their forms."""
    passage = _text(record, "context" if "context" in record else "passage")
    golds = _answers(record)
    shown = golds[0] if isinstance(golds[0], str) else ", ".join(golds[0])
    prompt = f"Passage: {passage.strip()}\nQuestion: {_text(record, 'question').strip()}\nAnswer:"
    return [Sample(prompt, golds, f" {shown}")]


def of_conversation(record: Record) -> list[Sample]:
    """Returns a question for each turn of CoQA after its `story` and the turns before it, with their right answers.

    `questions` and `answers` are lists of texts or of objects with `input_text`; `additional_answers` may follow.
    """
    told = _text(record, "story" if "story" in record else "context").strip()
    questions, answers = _turns(record, "questions"), _turns(record, "answers")
    if len(questions) != len(answers):
        raise ArgumentError(f"a record has {len(questions)} questions and {len(answers)} answers; expected as many")
    more = [_turns({"of": turns}, "of") for turns in dict(record.get("additional_answers") or {}).values()]
    samples = []
    for at, (question, answer) in enumerate(zip(questions, answers, strict=True)):
        told += f"\n\nQ: {question.strip()}\nA:"
        golds = (answer, *(turns[at] for turns in more if at < len(turns)))
        samples.append(Sample(told, golds, f" {answer}"))
        told += f" {answer.strip()}"
    return samples


def of_completion(record: Record) -> list[Sample]:
    """Returns a line of the synthetic tasks of GPT-3: `context` and `completion`."""
    completion = _text(record, "completion")
    return [Sample(_text(record, "context").lstrip("\n"), (completion.strip(),), f" {completion.strip()}")]


def of_last_word(record: Record) -> list[Sample]:
    """Returns a passage of LAMBADA without its last word: `text`."""
    before, word = _text(record, "text").rstrip().rsplit(maxsplit=1)
    return [Sample(before, (word,), f" {word}")]


def of_next_words(record: Record) -> list[Sample]:
    """Returns up to `NEXT_WORDS` beginnings of a document, spread evenly, each with the word that follows."""
    text = _text(record, "text")
    words = [(match.start(), match[0]) for match in re.finditer(r"\S+", text)][FEWEST_WORDS:]
    chosen = words[:: max(1, -(-len(words) // NEXT_WORDS))]
    return [Sample(text[:start].rstrip(), (word,), f" {word}") for start, word in chosen]


def of_text(record: Record) -> list[Sample]:
    """Returns a whole document, whose likelihood is measured: `text`."""
    text = _text(record, "text")
    return [Sample("", (text,), text)]


def _text(record: Record, name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ArgumentError(f"a record has {value!r:.60} as {name!r}; expected a text. Its fields: {sorted(record)}")
    return value


def _answers(record: Record) -> tuple[Any, ...]:
    """Returns the right answers in any of the forms of the data sets."""
    given = record.get("answers", record.get("answer"))
    if isinstance(given, dict) and "text" in given:  # SQuAD
        found = list(given["text"])
    elif isinstance(given, dict) and ("aliases" in given or "value" in given):  # TriviaQA
        found = [each for each in (given.get("value"), *given.get("aliases", ())) if each]
    elif isinstance(given, dict):  # DROP
        validated = record.get("validated_answers") or ()
        found = [spans for spans in (_drop_spans(each) for each in (given, *validated)) if spans]
    elif isinstance(given, str | int | float):
        found = [str(given)]
    else:
        found = [each["text"] if isinstance(each, dict) else each for each in given or ()]
    if not found:
        raise ArgumentError(f"a record has the answers {given!r:.60}; expected a text or a list of texts")
    return tuple(tuple(each) if isinstance(each, list | tuple) else str(each) for each in found)


def _drop_spans(answer: Record) -> list[str]:
    if answer.get("number") not in (None, ""):
        return [str(answer["number"])]
    if answer.get("spans"):
        return [str(span) for span in answer["spans"]]
    date = dict(answer.get("date") or {})
    written = " ".join(str(date[part]) for part in ("day", "month", "year") if date.get(part))
    return [written] if written else []


def _turns(record: Record, name: str) -> Sequence[str]:
    given = record.get(name)
    if not isinstance(given, list) or not given:
        raise ArgumentError(f"a record has {given!r:.60} as {name!r}; expected a list of texts")
    return [str(each["input_text"]) if isinstance(each, dict) else str(each) for each in given]
