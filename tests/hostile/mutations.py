"""Small definitions of every family, and every way to spoil one node of them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from fixtures import _SENTENCEPIECE_DECODER, GPT2_RULE, _added
from reference import byte_alphabet

Json = Any

# What stands in the place of a node: other types, and values of the right type that cannot be meant.
STAND_INS: tuple[Json, ...] = (
    *(None, True, 0, -1, 1, 7, 2**31, 2**32, 2**53, 2**64, 0.5, -1e308, "", "a", "\ud7ff\u2581", "ByteLevel", [], {}),
    *([[]], [None], ["a"], [["a", "b"]], {"a": 1}, {"type": "Nothing"}, {"type": "Sequence"}),
)


def byte_level() -> dict[str, Json]:
    """Byte-level BPE with every kind of stage that our own engine runs and added tokens of every kind."""
    vocab = dict(sorted(byte_alphabet().items(), key=lambda pair: pair[1]))
    merges = [["t", "h"], ["th", "e"], ["Ġ", "the"]]
    vocab |= {"".join(merge): 256 + n for n, merge in enumerate(merges)}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(259, "<end>", special=True), _added(260, "<tool>"), _added(261, "<l>", lstrip=True)],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": GPT2_RULE}, "behavior": "Isolated", "invert": False},
                {"type": "Digits", "individual_digits": True},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
            ],
        },
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,
            "vocab": vocab,
            "merges": merges,
        },
    }


def metaspace() -> dict[str, Json]:
    """SentencePiece-like BPE with a dummy prefix and byte fallback."""
    pieces = ["<unk>", "<s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"theca", "th", "the", "▁the"]
    return {
        "version": "1.0",
        "added_tokens": [_added(0, "<unk>", special=True), _added(1, "<s>", special=True)],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": copy.deepcopy(_SENTENCEPIECE_DECODER),
        "model": {
            "type": "BPE",
            "unk_token": "<unk>",
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": {piece: n for n, piece in enumerate(dict.fromkeys(pieces))},
            "merges": ["t h", "th e", "▁ the"],
        },
    }


def unigram() -> dict[str, Json]:
    """Unigram after a normalizer."""
    pieces = [["<unk>", 0.0], ["▁", -2.0], ["t", -3.0], ["h", -3.5], ["e", -3.25], ["the", -4.0], ["▁the", -4.5]]
    mark = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0",
        "added_tokens": [_added(0, "<unk>", special=True)],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [{"type": "NFKC"}, {"type": "Precompiled", "precompiled_charsmap": "AAAAAA=="}],
        },
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, mark]},
        "post_processor": None,
        "decoder": mark,
        "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": False, "vocab": pieces},
    }


def wordpiece() -> dict[str, Json]:
    """BERT's kind."""
    return {
        "version": "1.0",
        "added_tokens": [_added(0, "[UNK]", special=True)],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": None,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {"[UNK]": 0, "the": 1, "##the": 2, "t": 3, "##h": 4},
        },
    }


SMALL = {make.__name__: make for make in (byte_level, metaspace, unigram, wordpiece)}


def paths(node: Json, here: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The place of every node; of long lists and objects only some entries."""
    yield here
    entries = list(node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ())
    for key, child in entries if len(entries) < 20 else [*entries[:2], entries[len(entries) // 2], *entries[-3:]]:
        yield from paths(child, (*here, key))


def _at(definition: Json, place: tuple[str | int, ...]) -> Json:
    for key in place:
        definition = definition[key]
    return definition


def spoiled(definition: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    """Every definition that differs in one node, with what was done to it."""
    for place in paths(definition):
        for value in STAND_INS:
            if not place:
                yield f"everything -> {value!r}", value
                continue
            changed = copy.deepcopy(definition)
            _at(changed, place[:-1])[place[-1]] = copy.deepcopy(value)
            yield f"{'/'.join(map(str, place))} -> {value!r}", changed
        if place:
            changed = copy.deepcopy(definition)
            del _at(changed, place[:-1])[place[-1]]
            yield f"{'/'.join(map(str, place))} deleted", changed


def text_of(definition: Json) -> str:
    """The definition as a file's text."""
    return json.dumps(definition, ensure_ascii=False)
