"""Added tokens of which some are normalized and others are not (DeepSeek V4): the library's ids, and a certificate."""

from __future__ import annotations

import json
import random

import pytest
import tokenizers

import coolfusion as cf
import fixtures


def mixed(*, normalized: tuple[str, ...], others: tuple[str, ...]) -> str:
    definition = fixtures.deepseek()
    definition["normalizer"] = {"type": "Sequence", "normalizers": []}
    first = max(*definition["model"]["vocab"].values(), *(token["id"] for token in definition["added_tokens"])) + 1
    for number, content in enumerate((*normalized, *others), first):
        token = {"id": number, "content": content, "special": False, "normalized": content in normalized}
        definition["added_tokens"].append(token | dict.fromkeys(("single_word", "lstrip", "rstrip"), False))
    return json.dumps(definition)


APART = {"normalized": ("<think>", "<think>x", "((", "((("), "others": ("[tool]", "[to", "\n\n")}
MEETING = {"normalized": ("<a>", "ab"), "others": ("a><", "b")}


def texts() -> list[str]:
    dice = random.Random(5)
    parts = [
        "<think>",
        "x",
        "((",
        "[tool]",
        "[to",
        "ol]",
        "\n",
        "\n\n",
        "<a>",
        "a><",
        "ab",
        "b",
        " the",
        " cat",
        "é",
        "<th",
        "[t",
    ]
    return ["".join(dice.choices(parts, k=dice.randint(1, 9))) for _ in range(400)]


@pytest.mark.parametrize("contents", [APART, MEETING], ids=["apart", "meeting"])
def test_ids_are_those_of_the_library(contents: dict[str, tuple[str, ...]]) -> None:
    source = mixed(**contents)
    original = tokenizers.Tokenizer.from_str(source)
    original.encode_special_tokens = True
    tokenizer = cf.Tokenizer._from_json(source, "mixed")
    for text in texts():
        assert tokenizer.encode(text) == original.encode(text, add_special_tokens=False).ids, text


def test_there_is_a_certificate_that_holds() -> None:
    tokenizer = cf.Tokenizer._from_json(mixed(**APART), "mixed")
    assert not tokenizer.describe()["window"]["certificate"].startswith("none")
    found = 0
    several = texts()
    for text, more in zip(several, reversed(several), strict=True):
        ids, longer = tokenizer.encode(text), tokenizer.encode(text + more)
        for cut in tokenizer.settled_cuts(text):
            rest, rest_of_longer = (tokenizer.encode(tail, continues=True) for tail in (text[cut:], text[cut:] + more))
            before = ids[: len(ids) - len(rest)]
            assert before + rest == ids, (text, cut)
            assert before + rest_of_longer == longer, (text, more, cut)
            found += 1
    assert found > 300
