"""Checks of the text generator: `python -m pytest training/test_grammar.py`."""

import re
import sys
from itertools import islice
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import corpus

MIX = {"story": 1.0, "sums": 1.0, "puzzle": 1.0}


def draw(kind, split="train", count=3000, seed=7):
    return list(islice(corpus.documents(seed, {kind: 1.0}, split), count))


def test_equal_seeds_give_equal_text():
    first, again, other = (list(islice(corpus.documents(s, MIX), 200)) for s in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("kind", corpus.KINDS)
def test_a_text_starts_with_its_prompt_and_answer(kind):
    for document in draw(kind):
        assert document.text.startswith(document.prompt + document.answer)
        assert document.text.isascii()
        assert "{" not in document.text


@pytest.mark.parametrize("kind", corpus.KINDS)
def test_held_out_texts_never_occur_in_training(kind):
    seen = {d.text for d in draw(kind, count=20000)}
    assert not seen & {d.text for d in draw(kind, "heldout", 500)}


def test_the_sums_are_right():
    for split in ("train", "heldout", "unseen"):
        for document in draw("sums", split, 1000):
            steps = re.findall(r"(\d+) ([-+*]) (\d+) = (\d+)\.", document.answer)
            assert steps
            for a, sign, b, result in steps:
                assert corpus.RESULT[sign](int(a), int(b)) == int(result)


def test_unseen_pairs_of_numbers_never_occur_in_training():
    def pairs(document):
        found = re.findall(r"(\d+) ([-+*]) (\d+) =", document.answer)
        return {(s, *(sorted((int(a), int(b))) if s in "+*" else (int(a), int(b))))
                for a, s, b in found}

    seen = set().union(*map(pairs, draw("sums", "train", 20000)))
    assert all(pairs(d) - seen for d in draw("sums", "unseen", 300))


def test_no_word_of_the_kind_odd_one_out_is_ambiguous():
    for document in draw("puzzle"):
        if "does not belong" in document.prompt:
            options = re.findall(r"\w+", document.prompt.split(":")[2].split("?")[0])
            assert sum(o == document.answer.strip(" .") for o in options) == 1
