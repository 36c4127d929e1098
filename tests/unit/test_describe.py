"""`describe()`: what the load probe found, for families whose answers are known beforehand."""

from __future__ import annotations

import json

import pytest

import coolfusion as cf
from fixtures import Family, every_family, family

KEYS = {
    *("name", "family", "model", "split_rule", "normalizer", "engine", "lossless", "lossless_but_for_space_mark"),
    *("lost", "byte_map", "dummy_prefix", "decode_drops_first_space", "method", "why", "methods", "window"),
    *("vocab_size", "control_tokens", "unused_ids", "added_text_tokens", "notes"),
}


@every_family
def test_describe_is_json(family: Family) -> None:
    """Plain values all the way down, the same at every call, with what the issue asks for."""
    found = family.tok.describe()
    assert set(found) >= KEYS
    assert json.loads(json.dumps(found)) == found == family.tok.describe()
    assert found["vocab_size"] == family.tok.vocab_size
    assert found["control_tokens"] == len(family.tok.control_ids)
    assert found["unused_ids"] + found["byte_map"]["tokens_without_bytes"] == len(family.tok.unused_ids)
    assert found["why"]
    assert found["engine"]
    assert found["method"] in ("bytes", "word_ids", "offsets", "decode")
    assert found["window"]["exact"] is True


@every_family
def test_the_probe_knows_which_families_lose_text(family: Family) -> None:
    """`lost` names nothing but the format's own marks exactly for the families that lose nothing else."""
    found = family.tok.describe()
    space_mark = {"U+2581, the vocabulary's own mark for a space"}
    assert (set(found["lost"]) <= space_mark | {"text that spells a byte piece"}) == family.lossless
    assert found["lossless"] == (not found["lost"])
    assert found["lossless_but_for_space_mark"] == (set(found["lost"]) <= space_mark)


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("gpt2", []),
        ("llama3", []),
        ("o200k", []),
        ("deepseek", []),
        ("qwen", ["text that is not in NFC"]),
        ("neox", ["text that is not in NFC"]),
        ("falcon", ["control bytes 03 04 05 0B"]),
        ("llama2", ["U+2581, the vocabulary's own mark for a space"]),
        ("phi3", ["U+2581, the vocabulary's own mark for a space"]),
        ("gemma", ["U+2581, the vocabulary's own mark for a space"]),
        ("mistral", ["a leading space", "two leading spaces", "U+2581, the vocabulary's own mark for a space"]),
    ],
)
def test_what_is_lost_is_named(name: str, lost: list[str]) -> None:
    assert family(f"made_{name}").tok.describe()["lost"] == lost


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("gpt2", "byte-level BPE"),
        ("llama2", "SentencePiece BPE with byte fallback"),
        ("characters", "SentencePiece BPE"),
        ("unigram", "Unigram with byte fallback"),
        ("t5", "Unigram"),
        ("bert", "WordPiece"),
    ],
)
def test_the_family_is_named(name: str, kind: str) -> None:
    assert family(f"made_{name}").tok.describe()["family"] == kind


@pytest.mark.parametrize(
    ("name", "prefix", "drops"),
    [
        ("gpt2", "none", False),
        ("gemma", "none", False),
        ("llama2", "a space before every text", True),
        ("phi3", "a space before every text", True),
        ("mistral", "a space, unless the text begins with one", True),
        ("roberta", "a space, unless the text begins with one", True),
    ],
)
def test_the_dummy_prefix_is_known(name: str, prefix: str, drops: bool) -> None:
    found = family(f"made_{name}").tok.describe()
    assert found["dummy_prefix"].startswith(prefix)
    assert found["decode_drops_first_space"] is drops


def test_the_byte_map_is_known() -> None:
    """Whether every byte has a token of its own, and how many tokens have no bytes."""
    for name, every_byte in (("gpt2", True), ("llama2", True), ("characters", False), ("falcon", False)):
        found = family(f"made_{name}").tok.describe()["byte_map"]
        assert found == {"complete": True, "tokens_without_bytes": 0, "every_byte": every_byte}


def test_methods_that_find_something_are_listed() -> None:
    """`word_ids` is worth nothing for SentencePiece files, and `methods` says so."""
    assert family("made_gpt2").tok.describe()["methods"] == ["bytes", "word_ids", "offsets", "decode"]
    assert "word_ids" not in family("made_llama2").tok.describe()["methods"]
    assert family("made_multi_word").tok.describe()["methods"] == []


def test_added_tokens_that_are_text_are_listed() -> None:
    assert family("made_qwen").tok.describe()["added_text_tokens"] == ["<tool_call>", "</tool_call>"]
    assert family("made_phi3").tok.describe()["added_text_tokens"] == []


class Letters:
    """A tokenizer of one's own: a letter is a token, and nothing but encode and decode is known of it."""

    def encode(self, text: str) -> list[int]:
        return [ord(c) for c in text if ord(c) < 256]

    def decode(self, ids: list[int]) -> str:
        return "".join(map(chr, ids))

    def __len__(self) -> int:
        return 256


def test_a_wrapped_object_has_no_certificate() -> None:
    """For what only encodes and decodes no window is exact: the whole text is encoded again, and `describe` says it."""
    tok = cf.Tokenizer.wrap(Letters(), name="letters")
    found = tok.describe()
    assert found["name"] == "letters"
    assert found["window"]["whole_text"] is True
    assert found["method"] == "decode"
    assert "whole text" in found["window"]["certificate"]
    assert tok.settled_cuts("some words here") == []
    assert tok.word_boundaries("some words here") == [4, 10]


@pytest.mark.parametrize(
    ("name", "unit", "open_words", "matcher"),
    [
        ("bert", "words", 1, "coolfusion's own word rule"),
        ("t5", "words", 1, "coolfusion's own word rule"),
        ("xlnet", "settled cuts", None, "coolfusion's own word rule"),
        ("clip", "settled cuts", None, "none of coolfusion's own"),
        ("look_behind", "whole text", None, "none of coolfusion's own"),
    ],
)
def test_a_number_is_claimed_only_where_it_holds_for_all_texts(
    name: str, unit: str, open_words: int | None, matcher: str
) -> None:
    window = family(f"made_{name}").tok.describe()["window"]
    assert (window["unit"], window["open"]) == (unit, open_words)
    assert window["matcher"].startswith(matcher)
    assert window["why"]


@pytest.mark.parametrize(("fuse", "unit", "open_words"), [(True, "settled cuts", None), (False, "words", 1)])
def test_no_number_where_a_space_may_be_fused(fuse: bool, unit: str, open_words: int | None) -> None:
    """Without a piece for the space, `"x y z w"` is one unknown token, so no number of words bounds what is open."""
    definition = {
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": None,
        "decoder": {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        "model": {
            "type": "BPE",
            "vocab": {"<unk>": 0, "a": 1, "b": 2, "ab": 3},
            "merges": [["a", "b"]],
            "unk_token": "<unk>",
            "fuse_unk": fuse,
        },
    }
    tok = cf.Tokenizer._from_json(json.dumps(definition), "spaces are unknown")
    window = tok.describe()["window"]
    assert (window["unit"], window["open"]) == (unit, open_words)
    assert (tok.settled_cuts("x y z w") == []) is fuse
