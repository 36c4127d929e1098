"""Added tokens of which some are normalized and others are not (DeepSeek V4): the library's ids, and a certificate."""

from __future__ import annotations

import json
import random
from typing import Any

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


def with_added(definition: dict[str, Any], *contents: str, normalizer: Any = None) -> str:
    definition["normalizer"] = normalizer or definition["normalizer"]
    vocab = definition["model"]["vocab"]
    first = max(*vocab.values(), *(token["id"] for token in definition["added_tokens"])) + 1
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "special"), False)
    definition["added_tokens"] += [
        {"id": vocab.get(content, number), "content": content, "normalized": True, **flags}
        for number, content in enumerate(contents, first)
    ]
    return json.dumps(definition)


NFC = with_added(fixtures.gpt2(), "<K>", "<K", "t", "((", normalizer={"type": "NFC"})
MARKED = with_added(fixtures.llama2(), "[gMASK]", "sop", "so", "a b")
NFC_PARTS = ("<K>", "<\u212a>", "<", "K", ">", "t", "((", "\u0338", "\u0301", "\u0327", "\u0307", "x", " ", "é")
MARKED_PARTS = ("[gMASK]", "sop", "so", "p", " ", "▁", "a b", "a▁b", "[gM", "x", "é")


@pytest.mark.parametrize(("source", "parts"), [(NFC, NFC_PARTS), (MARKED, MARKED_PARTS)], ids=["nfc", "marked"])
def test_tokens_of_the_normal_form_are_those_of_the_library(source: str, parts: tuple[str, ...]) -> None:
    original = tokenizers.Tokenizer.from_str(source)
    original.encode_special_tokens = True
    tokenizer = cf.Tokenizer._from_json(source, "late")
    assert tokenizer.describe()["engine"].startswith("coolfusion's own")
    dice = random.Random(7)
    for _ in range(2000):
        text = "".join(dice.choices(parts, k=dice.randint(1, 8)))
        ids = tokenizer.encode(text)
        assert ids == original.encode(text, add_special_tokens=False).ids, text
        assert tokenizer.decode(ids) == original.decode(ids, skip_special_tokens=False), text
        stream = cf.StreamEncoder(tokenizer)
        held: list[int] = []
        for c in text:
            edit = stream.push(c)
            held[len(held) - edit.drop :] = edit.ids
        assert held == ids, text


def test_a_piece_that_is_added_again_is_shown_in_its_normal_form() -> None:
    source = with_added(fixtures.llama2(), "the")
    original = tokenizers.Tokenizer.from_str(source)
    tokenizer = cf.Tokenizer._from_json(source, "again")
    ids = original.encode("a the", add_special_tokens=False).ids
    assert tokenizer.encode("a the") == ids
    assert tokenizer.decode(ids) == original.decode(ids) == "a the"


def test_two_tokens_with_one_normal_form_are_refused() -> None:
    """The library finds either of them, by the order of a hash map."""
    source = with_added(fixtures.gpt2(), "\u00e9", "e\u0301", normalizer={"type": "NFC"})
    with pytest.raises(cf.TokenizerError, match="are both"):
        cf.Tokenizer._from_json(source, "equal")


def test_an_added_token_does_not_begin_inside_a_control_token() -> None:
    definition = fixtures.gpt2()
    definition["added_tokens"].append(fixtures._added(90_000, "<s>", special=True))
    source = json.dumps(fixtures._with_added(definition, ">x", "x>"))
    original = tokenizers.Tokenizer.from_str(source)
    original.encode_special_tokens = True
    tokenizer = cf.Tokenizer._from_json(source, "inside")
    for text in ("a<s>x>", "a>x>", "<s>x", "x<s>>x", "<s>x>x"):
        assert tokenizer.encode(text) == original.encode(text, add_special_tokens=False).ids, text
        for cut in tokenizer.settled_cuts(text):
            parts = (tokenizer.encode(text[:cut]), tokenizer.encode(text[cut:], continues=True))
            assert parts[0] + parts[1] == tokenizer.encode(text), (text, cut)
