"""Tokenizers of every family for the tests of the primitives: small self-made ones, and those of COOLFUSION_DATA.

The self-made ones are trained here, with the `tokenizers` package, on a page of text in many scripts; they are always
there. The real ones are added where the variable COOLFUSION_DATA is set. Each is loaded once per session.

A :class:`Family` holds the tokenizer under test and, beside it, what the tests compare it with: the definition (the
parsed ``tokenizer.json``) and the same definition in the `tokenizers` library, with control tokens made unmatchable.
"""

from __future__ import annotations

import atexit
import base64
import copy
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import settings
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

import coolfusion as cf
from conftest import data_folder
from reference import Oracle, byte_alphabet, token_bytes

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

CORPUS = [
    "It was late and the dog slept. The cat sat on the mat, and the dog didn't mind.",
    "I don't know; they're late, we've gone, I'm sure she'll say he'd go. O'Reilly's IT'S I'LL",
    "It costs $1,234.50 and 12 boxes; 3.14159265 is pi, 2024-10-31, 1234567890, 1000000",
    "def main(args):\n    return x == y\n\n    if not foo_bar(self.args[0]):\n\t\tprint('ok')\r\n",
    "https://example.org/a_b?c=1&d=2 user@example.com C:\\path\\file.txt \\frac{1}{2}$ so \\alpha",
    "The quick brown fox jumps over the lazy dog. THE QUICK BROWN FOX. HTTPParser camelCase",
    "of the in the to the on the and the in order to the United States of America",
    "日本語の文章には空白がない。私は学生です。東京に行きました。これは何ですか。",
    "我们认为这些真理是不言而喻的，人人生而平等。你好，世界。中华人民共和国万岁",
    "สวัสดีครับผมชื่อสมชาย สวัสดีครับ ผมชื่อสมชาย",
    "नमस्ते दुनिया नमस्ते भारत यह हिन्दी है",
    "Привет, мир! Это русский текст. Она не знает, кто он.",
    "안녕하세요 세계 안녕하세요 한국어 문장입니다",
    "مرحبا بالعالم كيف حالك שלום עולם",
    "naïve café déjà vu über straße señor ångström",
    "😀 👨‍👩‍👧‍👦 🇯🇵🇨🇳 ❤️ 👍🏽 😀😀",
    "a  b   c    d        e\n\n\n\nf\t\tg",
    "--- === ... !!! ??? *** ### // /* */ => -> != <= >= && || ;; {} [] ()",
    "abababababababab 12121212121212 aaaaaaaaaaaaaaa hahahaha",
    "“Quoted” ‘text’ — with dashes – and … dots",
]

GPT2_RULE = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CL100K_RULE = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_RULE = CL100K_RULE.replace(r"\p{N}{1,3}", r"\p{N}")
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K_RULE = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_SHORT}|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_SHORT}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK_RULES = (
    r"\p{N}{1,3}",
    r"[一-龥぀-ゟ゠-ヿ]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
)

# Merges are missing for these words, so only the look-up of whole words finds them.
UNREACHABLE = ("Ġunreachable", "anglicky", "Ġzqxj")

BYTE_PIECES = [f"<0x{byte:02X}>" for byte in range(256)]
CONTROLS = ["<unk>", "<s>", "</s>"]


def _added(token_id: int, content: str, **flags: bool) -> dict[str, Any]:
    """One entry of ``added_tokens``."""
    defaults = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return {"id": token_id, "content": content, **defaults, **flags}


def _trained(tokenizer: tokenizers.Tokenizer, trainer: Any, corpus: Sequence[str]) -> dict[str, Any]:
    """The definition of ``tokenizer`` trained on ``corpus``."""
    tokenizer.train_from_iterator(corpus, trainer)
    return json.loads(tokenizer.to_str())


# Byte-level BPE ------------------------------------------------------------------------------------------------------


def _byte_level(*rules: str, size: int = 700, prefix: bool = False) -> dict[str, Any]:
    """Byte-level BPE after ``rules``; with none, after GPT-2's own rule."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    splits = [pre_tokenizers.Split(tokenizers.Regex(rule), "isolated") for rule in rules]
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=not rules)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splits, byte_level]) if splits else byte_level
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    return _trained(tokenizer, trainer, CORPUS)


def _next_id(definition: dict[str, Any]) -> int:
    vocab = definition["model"]["vocab"]
    ids = range(len(vocab)) if isinstance(vocab, list) else vocab.values()
    return 1 + max([*ids, *(token["id"] for token in definition["added_tokens"])])


def _with_added(definition: dict[str, Any], *contents: str, **flags: bool) -> dict[str, Any]:
    for content in contents:
        definition["added_tokens"].append(_added(_next_id(definition), content, **flags))
    return definition


def gpt2() -> dict[str, Any]:
    """GPT-2's rule inside ``ByteLevel``."""
    return _byte_level()


def roberta() -> dict[str, Any]:
    """The same with a space put before a text that does not begin with one."""
    return _byte_level(prefix=True)


def llama3() -> dict[str, Any]:
    """The cl100k rule, digits in threes, and ``ignore_merges``: whole words that merges never reach are one token."""
    definition = _byte_level(CL100K_RULE)
    definition["model"]["ignore_merges"] = True
    for word in UNREACHABLE:
        definition["model"]["vocab"][word] = _next_id(definition)
    return _with_added(definition, "<|eot_id|>", special=True)


def o200k() -> dict[str, Any]:
    """The o200k rule: contractions belong to the word before, upper and lower case part."""
    return _byte_level(O200K_RULE)


def qwen() -> dict[str, Any]:
    """NFC, single digits, and added tokens that are text."""
    definition = _byte_level(QWEN_RULE)
    definition["normalizer"] = {"type": "NFC"}
    _with_added(definition, "<|im_start|>", "<|im_end|>", special=True)
    return _with_added(definition, "<tool_call>", "</tool_call>")


def neox() -> dict[str, Any]:
    """NFC, GPT-2's rule, and runs of spaces as added tokens that are matched after the normalizer."""
    definition = _byte_level()
    definition["normalizer"] = {"type": "NFC"}
    return _with_added(definition, *(" " * count for count in range(8, 1, -1)), normalized=True)


def deepseek() -> dict[str, Any]:
    """Three splits one after the other, with classes of their own for digits and CJK."""
    return _with_added(_byte_level(*DEEPSEEK_RULES), "<｜User｜>", normalized=True)


def falcon() -> dict[str, Any]:
    """Punctuation before ``ByteLevel``, digits and threes after it (on single bytes); some control bytes missing."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Punctuation("contiguous"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
            pre_tokenizers.Digits(individual_digits=False),
            pre_tokenizers.Split(tokenizers.Regex("[0-9][0-9][0-9]"), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    kept = sorted(set(alphabet) - {chr(0x100 + byte) for byte in (0x03, 0x04, 0x05, 0x0B)})
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=["<|endoftext|>"], initial_alphabet=kept, show_progress=False
    )
    return _trained(tokenizer, trainer, CORPUS)


def bytes_without_rule() -> dict[str, Any]:
    """Byte-level BPE without a pre-token rule: merges cross spaces and lines."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    return _trained(tokenizer, trainer, CORPUS)


# SentencePiece-like BPE ----------------------------------------------------------------------------------------------


@cache
def _metaspace_merges(crossing: bool) -> str:
    """A BPE model over text with U+2581 for spaces, as JSON; ``crossing``: merges may join words."""
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
    if crossing:
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=["<unk>"], show_progress=False)
    # Line ends, tabs and rare characters are left to the bytes.
    corpus = [line for text in CORPUS for line in text.replace("\t", " ").splitlines() if "😀" not in line]
    return json.dumps(_trained(tokenizer, trainer, corpus)["model"])


_SENTENCEPIECE_DECODER = {
    "type": "Sequence",
    "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ],
}


def _metaspace(crossing: bool = False, byte_fallback: bool = True) -> dict[str, Any]:
    """BPE with U+2581 for spaces, the bytes of rare characters, and no dummy prefix yet."""
    trained = json.loads(_metaspace_merges(crossing))
    learned = sorted((piece for piece in trained["vocab"] if piece != "<unk>"), key=trained["vocab"].__getitem__)
    # SentencePiece has all runs of spaces that fit into a piece.
    spaces = ["▁" * count for count in (2, 4, 8)]
    merges = [["▁" * half, "▁" * half] for half in (1, 2, 4)]
    pieces = CONTROLS + (BYTE_PIECES if byte_fallback else []) + learned
    pieces += [run for run in spaces if run not in pieces]
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": "<unk>",
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": byte_fallback,
        "vocab": {piece: token_id for token_id, piece in enumerate(pieces)},
        "merges": [merge for merge in trained["merges"] if merge not in merges] + merges,
    }
    added = [_added(token_id, content, special=True) for token_id, content in enumerate(CONTROLS)]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": copy.deepcopy(_SENTENCEPIECE_DECODER),
        "model": model,
    }


def _prepended(definition: dict[str, Any]) -> dict[str, Any]:
    definition["normalizer"] = {
        "type": "Sequence",
        "normalizers": [{"type": "Prepend", "prepend": "▁"}, definition["normalizer"]],
    }
    return definition


def llama2() -> dict[str, Any]:
    """A dummy prefix before every text, byte fallback, no pre-token rule."""
    return _prepended(_metaspace())


def phi3() -> dict[str, Any]:
    """The same with chat marks that eat the white space after them."""
    definition = _with_added(_prepended(_metaspace()), "<|end|>", "<|user|>", rstrip=True, special=True)
    definition["added_tokens"][2] = _added(2, "</s>", rstrip=True)
    return definition


def mistral() -> dict[str, Any]:
    """The dummy prefix made by the pre-tokenizer: a leading space of the text is lost."""
    definition = _metaspace()
    definition["normalizer"] = None
    definition["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    return definition


def gemma() -> dict[str, Any]:
    """No dummy prefix; runs of line ends and of spaces are added tokens that are text."""
    definition = _metaspace()
    definition["decoder"]["decoders"].pop()
    # As in the file: a split at spaces that are gone by then.
    definition["pre_tokenizer"] = {
        "type": "Split",
        "pattern": {"String": " "},
        "behavior": "MergedWithPrevious",
        "invert": False,
    }
    return _with_added(definition, "\n", "\n\n", "\n\n\n", "▁▁▁", "<table>", "[@BOS@]")


def multi_word() -> dict[str, Any]:
    """BPE whose pieces hold several words."""
    return _prepended(_metaspace(crossing=True))


def characters() -> dict[str, Any]:
    """Characters without byte fallback: what is not in the alphabet is the unknown token."""
    definition = _prepended(_metaspace(byte_fallback=False))
    definition["decoder"]["decoders"].pop(1)
    alphabet = [*CONTROLS, "▁", *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?'"]
    definition["model"]["vocab"] = {piece: token_id for token_id, piece in enumerate(alphabet)}
    definition["model"]["merges"] = []
    return definition


# Unigram, WordPiece, WordLevel ---------------------------------------------------------------------------------------


@cache
def _unigram_pieces(crossing: bool) -> str:
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    if crossing:
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=500, special_tokens=CONTROLS, unk_token="<unk>", show_progress=False, max_piece_length=12
    )
    return json.dumps(_trained(tokenizer, trainer, [line for text in CORPUS for line in text.splitlines()])["model"])


def _unigram(crossing: bool, byte_fallback: bool) -> dict[str, Any]:
    definition = _metaspace()
    model = json.loads(_unigram_pieces(crossing))
    # Few digits: the library's JSON reader rounds a number of seventeen to a neighbour of the one that Python reads.
    model["vocab"] = [[piece, round(score, 6)] for piece, score in model["vocab"]]
    if byte_fallback:
        lowest = min(score for _, score in model["vocab"])
        model["vocab"][3:3] = [[piece, lowest - 10] for piece in BYTE_PIECES]
    model["byte_fallback"] = byte_fallback
    definition["model"] = model
    return definition


def t5() -> dict[str, Any]:
    """Unigram with NFKC, folded white space and an unknown token: lossy by design."""
    definition = _unigram(crossing=False, byte_fallback=False)
    definition["normalizer"] = {
        "type": "Sequence",
        "normalizers": [
            {"type": "NFKC"},
            {"type": "Strip", "strip_left": True, "strip_right": True},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        ],
    }
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    definition["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]}
    definition["decoder"] = metaspace
    return definition


def unigram() -> dict[str, Any]:
    """Unigram with a dummy prefix and byte fallback, without normalisation: lossless."""
    return _prepended(_unigram(crossing=False, byte_fallback=True))


def ai21() -> dict[str, Any]:
    """Unigram whose pieces hold several words, with byte fallback and no dummy prefix."""
    definition = _unigram(crossing=True, byte_fallback=True)
    definition["decoder"]["decoders"].pop()
    return _with_added(definition, "(", ")", ",")


def bert() -> dict[str, Any]:
    """WordPiece after BERT's normalizer and pre-tokenizer: lossy by design."""
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=500, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], show_progress=False
    )
    return _trained(tokenizer, trainer, CORPUS)


def nfkc_words() -> dict[str, Any]:
    """BPE after NFKC and a white-space split (tlm6000's kind): lossy."""
    definition = _prepended(_metaspace(byte_fallback=False))
    definition["normalizer"]["normalizers"].insert(0, {"type": "NFKC"})
    return definition


# Kinds that the test data do not hold --------------------------------------------------------------------------------


def starcoder() -> dict[str, Any]:
    """Single digits before ``ByteLevel`` with its own rule."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    return _trained(tokenizer, trainer, CORPUS)


def bloom() -> dict[str, Any]:
    """BLOOM's rule, which keeps sentence punctuation of many scripts apart."""
    return _byte_level(r" ?[^(\s|[.,!?…。，、।۔،])]+")


def tekken() -> dict[str, Any]:
    """Mistral Nemo's rule: single digits, case parts, no contractions."""
    return _byte_level(
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
        r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


def look_behind() -> dict[str, Any]:
    """A rule with look-behind, which no known tokenizer has: the library runs it, and no cut is proved."""
    return _byte_level(r"(?<=[a-z])'\p{L}+|'(?=\p{L})| ?\p{L}+| ?\p{N}{1,2}|\s+(?!\S)|\s+|[^\s\p{L}\p{N}']+|'")


def clip() -> dict[str, Any]:
    """Lower case, an end-of-word mark in the pieces, words without their spaces: lossy."""
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token="<|unk|>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.BPEDecoder("</w>")
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=["<|unk|>"], end_of_word_suffix="</w>", show_progress=False
    )
    return _trained(tokenizer, trainer, CORPUS)


def quick_tour() -> dict[str, Any]:
    """BPE on words without their spaces and without a decoder, as in the library's first example: lossy."""
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=["[UNK]", "[CLS]", "[SEP]"], show_progress=False)
    return _trained(tokenizer, trainer, CORPUS)


def bert_uncased() -> dict[str, Any]:
    """WordPiece in lower case without accents."""
    definition = bert()
    definition["normalizer"]["lowercase"] = True
    return definition


def old_llama() -> dict[str, Any]:
    """``Metaspace`` as pre-tokenizer, before every word, with a dummy prefix before every text."""
    definition = _metaspace()
    definition["normalizer"] = None
    definition["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return definition


def xlm_roberta() -> dict[str, Any]:
    """Unigram after NFKC without control characters, split at white space, with the mark before every word."""
    definition = t5()
    removed = {"type": "Replace", "pattern": {"Regex": r"[\x01-\x08\x7f\u200b\u200d]"}, "content": ""}
    definition["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFKC"}, removed]}
    return definition


def charsmap(rules: dict[str, str], *, nul_passes: bool = False) -> str:
    """A ``precompiled_charsmap`` of ``rules``: a Darts double array with a block of 256 units for each node.

    Where a unit without a value has no label, SentencePiece reads a NUL in the text as part of every rule.
    """
    units, texts = [0] * 256, b""
    blocks = {b"": 256}  # the beginnings of keys, and where their children stand
    for key in sorted(rules):
        data = key.encode()
        for size in range(len(data)):
            blocks.setdefault(data[: size + 1], 256 * (len(blocks) + 1))
    units += [0] * (256 * len(blocks))
    units[0] = blocks[b""] << 10
    for data, block in blocks.items():
        if data:
            at = blocks[data[:-1]] ^ data[-1]
            units[at] = (at ^ block) << 10 | (data.decode(errors="replace") in rules) << 8 | data[-1]
            if data.decode(errors="replace") in rules:
                units[block] = 1 << 31 | len(texts)
                texts += rules[data.decode()].encode() + b"\0"
    if not nul_passes:
        for block in blocks.values():
            units[block] = units[block] or 1
    trie = b"".join(unit.to_bytes(4, "little") for unit in units)
    return base64.b64encode(len(trie).to_bytes(4, "little") + trie + texts).decode()


# Line breaks and marks to spaces, composition, half-width kana with their marks, what vanishes, what grows.
RULES = {
    **dict.fromkeys("\n\r\t\u3000\u00a0\u2581\u200b", " "),
    **{"\r\n": "  ", "e\u0301": "é", "ﬁ": "fi", "ｶﾞ": "ガ", "ｶ": "カ", "！": "!", "…": "...", "½": "1⁄2"},
    **{"\u200d": "", "\x03": "", "a\u0323\u0302": "ậ", "\u1112\u1161\u11ab": "한", "é": "é", "\u0345": ""},
}


def xlnet() -> dict[str, Any]:
    """Unigram after pairs of quotes, NFKD, no accents and a charsmap: every kind of stage that acts on neighbours."""
    definition = t5()
    definition["normalizer"] = {
        "type": "Sequence",
        "normalizers": [
            {"type": "Replace", "pattern": {"String": "``"}, "content": '"'},
            {"type": "Replace", "pattern": {"String": "aaa"}, "content": "ab"},
            {"type": "NFKD"},
            {"type": "StripAccents"},
            {"type": "Precompiled", "precompiled_charsmap": charsmap(RULES)},
        ],
    }
    return definition


def mbart() -> dict[str, Any]:
    """Unigram after a charsmap and a Metaspace that splits, runs of spaces folded into one mark."""
    definition = _unigram(crossing=False, byte_fallback=False)
    definition["normalizer"] = {
        "type": "Sequence",
        "normalizers": [
            {"type": "Precompiled", "precompiled_charsmap": charsmap(RULES)},
            {"type": "Strip", "strip_left": False, "strip_right": True},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"},
        ],
    }
    definition["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return definition


def split_unigram() -> dict[str, Any]:
    """Unigram on words that begin with a space, with byte fallback and added text, without normalisation."""
    definition = _with_added(_unigram(crossing=False, byte_fallback=True), "<table>", "the", "the cat")
    definition["normalizer"] = None
    definition["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}
    return definition


def nmt_words() -> dict[str, Any]:
    """WordPiece after NMT's rules, lower case, NFC, single digits, runs of punctuation; control tokens hide text."""
    definition = _with_added(bert(), "LS] x", "UNK")
    stages = ("Nmt", "NFD", "StripAccents", "Lowercase", "NFC")
    definition["normalizer"] = {"type": "Sequence", "normalizers": [{"type": name} for name in stages]}
    definition["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Whitespace"},
            {"type": "Digits", "individual_digits": True},
            {"type": "Punctuation", "behavior": "Contiguous"},
        ],
    }
    return definition


def word_level() -> dict[str, Any]:
    """Whole words or unknown."""
    tokenizer = tokenizers.Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordLevelTrainer(special_tokens=["[UNK]"], show_progress=False)
    return _trained(tokenizer, trainer, CORPUS)


def vicuna() -> dict[str, Any]:
    """LLaMA-2's kind with added tokens that are text: the dummy prefix stands after each of them too."""
    return _with_added(_prepended(_metaspace()), "<table>", "<tool_call>")


def chatglm() -> dict[str, Any]:
    """The same, but they are looked for in the normal form: the dummy prefix, or a space, is a part of each."""
    return _with_added(_prepended(_metaspace()), "<table>", "<tool_call>", "the cat", "don", normalized=True)


def nfc_tools() -> dict[str, Any]:
    """NFC, and added tokens that are looked for in the normal form, where a mark may change their last character."""
    definition = _byte_level(QWEN_RULE)
    definition["normalizer"] = {"type": "NFC"}
    return _with_added(definition, "<tool_call>", "<tool", "<K>", "the", "the cat", "▁", normalized=True)


def mistral_tools() -> dict[str, Any]:
    """Mistral's kind with added tokens that are text: the dummy prefix is for the start of the whole text."""
    return _with_added(mistral(), "<table>", "<tool_call>")


def metaspace_tools() -> dict[str, Any]:
    """``Metaspace`` before every stretch, with added tokens that are text."""
    definition = _with_added(mistral(), "<table>", "<tool_call>")
    definition["pre_tokenizer"]["prepend_scheme"] = "always"
    return definition


def roberta_tools() -> dict[str, Any]:
    """``ByteLevel`` with a space before every stretch, and added tokens that are text."""
    return _with_added(roberta(), "<table>", "<tool_call>")


def unigram_tools() -> dict[str, Any]:
    """Unigram with a dummy prefix and added tokens that are text."""
    return _with_added(unigram(), "<table>", "<tool_call>")


def xlm_tools() -> dict[str, Any]:
    """Unigram after a normalizer and a split at white space, with added tokens that are text."""
    return _with_added(xlm_roberta(), "<table>", "<tool_call>")


def llama3_tools() -> dict[str, Any]:
    """cl100k's rule with added tokens that are text, hold spaces and begin alike."""
    return _with_added(llama3(), "<table>", "<table> x", "the cat", "\n\n\n")


def _behaving(rule: str, behaviour: str, invert: bool) -> dict[str, Any]:
    definition = _byte_level(rule)
    definition["pre_tokenizer"]["pretokenizers"][0] |= {"behavior": behaviour, "invert": invert}
    return definition


def xenova() -> dict[str, Any]:
    """cl100k's rule as transformers.js writes it: what is not matched is removed, and everything is matched."""
    return _behaving(CL100K_RULE, "Removed", True)


def inverted() -> dict[str, Any]:
    """White space is looked for, and what is between is isolated."""
    return _behaving(r"\s+", "Isolated", True)


def with_next() -> dict[str, Any]:
    """A space belongs to what follows it."""
    return _behaving(r"[ ,.]", "MergedWithNext", False)


def with_previous() -> dict[str, Any]:
    """A space or a line end belongs to what stands before it."""
    return _behaving(r"[ \n]+", "MergedWithPrevious", False)


def contiguous() -> dict[str, Any]:
    """Runs of punctuation are one word, what is between them another."""
    return _behaving(r"[!-/:-@]", "Contiguous", False)


def removed() -> dict[str, Any]:
    """White space is removed: lossy."""
    return _behaving(r"\s+", "Removed", False)


def sub_words() -> dict[str, Any]:
    """BPE that marks continuing pieces with ``##``."""
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=["[UNK]"], continuing_subword_prefix="##", show_progress=False
    )
    return _trained(tokenizer, trainer, CORPUS)


def command_r() -> dict[str, Any]:
    """NFC, single digits, and added tokens of every kind: text, normalized text, stripping, whole words."""
    definition = starcoder()
    definition["normalizer"] = {"type": "NFC"}
    _with_added(definition, "<|START|>", special=True)
    _with_added(definition, "<lstrip>", lstrip=True)
    _with_added(definition, "<word>", single_word=True)
    return _with_added(definition, "<plain>", "<plain>>", "naïve", "e\u0301")


# What a test sees ----------------------------------------------------------------------------------------------------

SELF_MADE: dict[str, Callable[[], dict[str, Any]]] = {
    f"made_{make.__name__}": make
    for make in (
        gpt2,
        roberta,
        llama3,
        o200k,
        qwen,
        neox,
        deepseek,
        falcon,
        bytes_without_rule,
        llama2,
        phi3,
        mistral,
        gemma,
        multi_word,
        characters,
        t5,
        unigram,
        ai21,
        bert,
        nfkc_words,
        starcoder,
        bloom,
        tekken,
        look_behind,
        clip,
        quick_tour,
        bert_uncased,
        old_llama,
        xlm_roberta,
        xlnet,
        mbart,
        split_unigram,
        nmt_words,
        word_level,
        command_r,
        vicuna,
        chatglm,
        nfc_tools,
        mistral_tools,
        metaspace_tools,
        roberta_tools,
        unigram_tools,
        xlm_tools,
        llama3_tools,
        xenova,
        inverted,
        with_next,
        with_previous,
        contiguous,
        removed,
        sub_words,
    )
}

# Every text comes back byte for byte from the tokens of these, but for what :func:`sayable` takes out.
LOSSLESS = {
    *(f"made_{name}" for name in ("gpt2", "llama3", "o200k", "deepseek", "bytes_without_rule")),
    *(f"made_{name}" for name in ("starcoder", "bloom", "tekken", "look_behind", "llama3_tools")),
    *(f"made_{name}" for name in ("xenova", "inverted", "with_next", "with_previous", "contiguous")),
    *(f"made_{name}" for name in ("llama2", "chatglm", "phi3", "gemma", "multi_word", "unigram", "ai21")),
    *("cl100k", "deepseek_v3", "glm4", "gpt2", "llama3", "o200k", "chatglm3", "gemma2", "llama2", "phi3_mini"),
    *("stories260K", "babyllama361-yarn3", "aidreams260K", "rwkv4-660k", "embedded_ash", "embedded_birch"),
}

REAL = [
    *("ai21_j2", "bert_base_cased", "chatglm3", "cl100k", "deepseek_v3", "falcon", "gemma2", "glm4", "gpt2"),
    *("gpt_neox", "llama2", "llama3", "mistral_v3", "o200k", "phi3_mini", "qwen2_5", "t5_small"),
    "xlnet_base_cased",
]
MODELS = ["stories260K", "babyllama361-yarn3", "babyllama105-yarn3", "tlm6000", "aidreams260K", "rwkv4-660k"]

# The tokenizers of the models that the package brings along.
EMBEDDED = sorted(Path(cf.__file__).parent.joinpath("embedded").glob("*/tokenizer.json"))


@cache
def _folder() -> Path:
    """Where the self-made definitions are written for this session."""
    folder = Path(tempfile.mkdtemp(prefix="coolfusion-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class Family:
    """One tokenizer under test, with what it is compared with; everything is loaded when it is first asked for."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.made = name in SELF_MADE

    def __repr__(self) -> str:
        return self.name

    @cached_property
    def path(self) -> Path:
        """Its ``tokenizer.json``."""
        if self.made:
            path = _folder() / f"{self.name}.json"
            path.write_text(json.dumps(SELF_MADE[self.name](), ensure_ascii=False), encoding="utf-8")
            return path
        if self.name.startswith("embedded_"):
            return next(path for path in EMBEDDED if path.parent.name == self.name.removeprefix("embedded_"))
        folder = "models" if self.name in MODELS else "tokenizers"
        return _data() / folder / self.name / "tokenizer.json"

    @cached_property
    def tok(self) -> cf.Tokenizer:
        """The tokenizer under test."""
        return cf.Tokenizer.from_file(self.path)

    @property
    def definition(self) -> dict[str, Any]:
        """The parsed file; not to be changed."""
        return _definition(self.path)

    @property
    def oracle(self) -> tokenizers.Tokenizer:
        """The same tokenizer in the `tokenizers` library."""
        return _oracle(self.path)

    @property
    def unmatchable(self) -> dict[str, Any]:
        """The definition with control tokens that no text can hold."""
        return unmatchable(self.definition)

    @cached_property
    def kind(self) -> str:
        """The type of its model; the file is parsed only where the type does not begin the model."""
        beginning = re.search(rb'"model":\s*\{\s*"type":\s*"(\w+)"', self.path.read_bytes())
        if beginning is not None:
            return beginning[1].decode()
        model = self.definition["model"]
        return str(model.get("type") or ("BPE" if "merges" in model else ""))

    @property
    def is_word_wise(self) -> bool:
        """Whether its model is Unigram or WordPiece."""
        return self.kind in ("Unigram", "WordPiece")

    @property
    def is_bpe(self) -> bool:
        """Whether its model is byte-pair encoding."""
        return self.kind == "BPE"

    @property
    def table(self) -> dict[int, bytes]:
        """The bytes of every id, as the definition spells them."""
        return _table(self.path)

    @cached_property
    def known(self) -> list[int]:
        """All ids that stand for something, in order."""
        return sorted(set(range(self.tok.vocab_size)) - set(self.tok.unused_ids))

    @cached_property
    def single_bytes(self) -> dict[int, int]:
        """The last id of each byte that has one of its own."""
        found = ((self.tok.token_bytes(token_id), token_id) for token_id in self.known)
        return {data[0]: token_id for data, token_id in found if len(data) == 1}

    @cached_property
    def controls(self) -> frozenset[int]:
        """The ids of its control tokens, kept because the tokenizer reads its vocabulary for them at each call."""
        return frozenset(self.tok.control_ids)

    @cached_property
    def suffixed(self) -> bool:
        """Whether a suffix of a token stands for a space before the next one."""
        return '"BPEDecoder"' in json.dumps(self.definition["decoder"])

    @cached_property
    def described(self) -> dict[str, Any]:
        """What the tokenizer says of itself, kept because it counts its vocabulary at each call; not to be changed."""
        return self.tok.describe()

    @cached_property
    def restarts(self) -> bool:
        """Whether encoding may start again at a settled cut; where not, `describe` says so."""
        return bool(self.described["window"]["factorises_at_word_boundaries"])

    @cached_property
    def certified(self) -> bool:
        """Whether settled cuts are proved; else boundaries are only checked on the text that is there."""
        return not self.described["window"]["certificate"].startswith("none")

    @property
    def reference(self) -> Oracle:
        """T, T' and bytes for the twins; T' only where encoding may start again."""
        inside = (lambda text: self.tok.encode(text, continues=True)) if self.restarts else None
        return Oracle(self.tok.encode, inside, self.tok.decode_bytes)

    @property
    def lossless(self) -> bool:
        """Whether every :func:`sayable` text comes back; said here by hand, not by the tokenizer."""
        return self.name in LOSSLESS

    def ids(self, text: str) -> list[int]:
        """The ids that the library gives."""
        return self.oracle.encode(text, add_special_tokens=False).ids

    def inside_ids(self, text: str) -> list[int]:
        """The ids that the library gives for a text after other text.

        Up to the first added token by the definition without its dummy prefix; after it everything is as always.
        """
        added = [token["content"] for token in self.definition["added_tokens"] if not is_control(token)]
        found = [at for content in added if (at := text.find(content)) >= 0]
        first = min(found, default=len(text)) if self.marks_every_stretch else len(text)
        inside = _inside_ids(self.path, text[:first])
        return inside + (self.ids(text[first:]) if first < len(text) else [])

    @property
    def marks_every_stretch(self) -> bool:
        """Whether the dummy prefix stands after added tokens too."""
        stages = json.dumps([self.definition["normalizer"], self.definition["pre_tokenizer"]])
        # A normalizer that runs before the text is cut puts one mark at its start.
        late = any(token["normalized"] and not is_control(token) for token in self.definition["added_tokens"])
        marks = ['"always"', '"add_prefix_space": true', *([] if late else ['"Prepend"'])]
        return any(mark in stages for mark in marks)


# A tokenizer, and what its own library encodes a text to.
Pair = tuple[cf.Tokenizer, Callable[[str], list[int]]]


class Source(Family):
    """A tokenizer that comes from another kind of file or object than a ``tokenizer.json``."""

    suffixed = False  # type: ignore[assignment]  # no format but tokenizer.json has such tokens

    def __init__(self, name: str, make: Callable[[], Pair], *, lossless: bool) -> None:
        super().__init__(name)
        self._make = make
        self._lossless = lossless

    @cached_property
    def _pair(self) -> Pair:
        return self._make()

    @property
    def tok(self) -> cf.Tokenizer:
        """The tokenizer under test."""
        return self._pair[0]

    @property
    def lossless(self) -> bool:
        """As said by hand."""
        return self._lossless

    def ids(self, text: str) -> list[int]:
        """The ids that the tokenizer's own library gives."""
        return self._pair[1](text)


class EncodeAndDecode:
    """An object of which nothing is known but ``encode`` and ``decode``."""

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        # A segmenter asks for the same texts again and again; the library is slow at them.
        once = lru_cache(maxsize=2**13)(lambda text: inner.encode(text, add_special_tokens=False).ids)
        self.encode = lambda text: once(text).copy()
        self.decode = lambda ids: inner.decode(ids, skip_special_tokens=False)
        self.vocab_size = inner.get_vocab_size()


def _wrapped(name: str) -> Pair:
    obj = EncodeAndDecode(family(name).oracle)
    return cf.Tokenizer.wrap(obj, name=f"wrapped {name}"), obj.encode


def _tiktoken() -> Pair:
    import tiktoken

    alphabet = byte_alphabet()
    vocab = family("made_llama3").definition["model"]["vocab"]
    spelled = sorted((token_id, piece) for piece, token_id in vocab.items() if set(piece) <= set(alphabet))
    # Pieces by rank; the whole words that no merge reaches would make another tokenizer.
    pieces = [bytes(alphabet[c] for c in piece) for _, piece in spelled if piece not in UNREACHABLE]
    ranks = {data: rank for rank, data in enumerate(pieces)}
    encoding = tiktoken.Encoding("made", pat_str=CL100K_RULE, mergeable_ranks=ranks, special_tokens={"<|end|>": 900})
    path = _folder() / "made.tiktoken"
    lines = (f"{base64.b64encode(data).decode()} {rank}" for data, rank in ranks.items())
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return cf.Tokenizer.from_file(path, pattern=CL100K_RULE), encoding.encode_ordinary


def _sentencepiece(model_type: str, **options: Any) -> Pair:
    import sentencepiece

    path = _folder() / f"{model_type}{len(options)}.model"
    with path.open("wb") as model:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(line for text in CORPUS * 3 for line in text.splitlines()),
            model_writer=model,
            model_type=model_type,
            minloglevel=2,
            **options,
        )
    return cf.Tokenizer.from_file(path), sentencepiece.SentencePieceProcessor(model_file=str(path)).encode


def _real_sentencepiece(folder: str, file: str) -> Pair:
    import sentencepiece

    path = _data() / "tokenizers" / folder / file
    return cf.Tokenizer.from_file(path), sentencepiece.SentencePieceProcessor(model_file=str(path)).encode


def _real_tiktoken() -> Pair:
    import tiktoken

    path = _data() / "tokenizers" / "cl100k" / "cl100k_base.tiktoken"
    lines = (line.split() for line in path.read_text(encoding="ascii").splitlines() if line)
    ranks = {base64.b64decode(data): int(rank) for data, rank in lines}
    encoding = tiktoken.Encoding("cl100k", pat_str=CL100K_RULE, mergeable_ranks=ranks, special_tokens={})
    return cf.Tokenizer.from_file(path), encoding.encode_ordinary


def _data() -> Path:
    data = data_folder()
    if data is None:
        pytest.skip("COOLFUSION_DATA is not set: this is a real tokenizer")
    return data


_EXACT = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False, "byte_fallback": True}

SOURCES = [
    Source("wrapped_gpt2", lambda: _wrapped("made_gpt2"), lossless=True),
    Source("wrapped_llama2", lambda: _wrapped("made_llama2"), lossless=True),
    Source("made_tiktoken", _tiktoken, lossless=True),
    Source("made_sentencepiece_bpe", lambda: _sentencepiece("bpe", vocab_size=700, **_EXACT), lossless=True),
    Source("made_sentencepiece_unigram", lambda: _sentencepiece("unigram", vocab_size=320), lossless=False),
]
REAL_SOURCES = [
    Source("llama2.model", lambda: _real_sentencepiece("llama2", "tokenizer.model"), lossless=True),
    Source("mistral_v3.model", lambda: _real_sentencepiece("mistral_v3", "tokenizer.model"), lossless=True),
    Source("xlnet.model", lambda: _real_sentencepiece("xlnet_base_cased", "spiece.model"), lossless=False),
    Source("cl100k_base.tiktoken", _real_tiktoken, lossless=True),
]


def sayable(text: str) -> str:
    """``text`` without what even the lossless families may lose by their format.

    U+2581 is SentencePiece's own mark for a space, and Unigram models of the library find byte pieces by their names.
    """
    return text.replace("\u2581", "").replace("<0x", "<0_")


@lru_cache(maxsize=4)
def _definition(path: Path) -> dict[str, Any]:
    return json.loads(path.read_bytes())


@lru_cache(maxsize=2)
def _table(path: Path) -> dict[int, bytes]:
    return token_bytes(_definition(path), is_control)


# Begins the names that control tokens get in the library, so long and odd that no test writes it.
_UNSPEAKABLE = "\U000f4241\U000f1c9e\U000f7d07" * 3


def is_control(token: dict[str, Any]) -> bool:
    """Whether an added token directs the model: marked special, or eating the white space around it."""
    return any(token.get(flag) for flag in ("special", "lstrip", "rstrip", "single_word"))


def unmatchable(definition: dict[str, Any]) -> dict[str, Any]:
    """The definition with control tokens that no text can hold: text that looks like one is text.

    The library's ``encode_special_tokens`` does it for tokens marked special, but not for those that only strip the
    white space around them (Phi-3's ``</s>``), nor for pieces of a Unigram model.
    """
    changed = dict(definition)
    changed["added_tokens"] = [dict(token) for token in definition["added_tokens"]]
    controls = [token for token in changed["added_tokens"] if is_control(token)]
    for token in controls:
        token.update(special=True, lstrip=False, rstrip=False, single_word=False)
    vocab = definition["model"]["vocab"]
    if isinstance(vocab, list):
        vocab = list(vocab)
        for token in controls:
            if token["id"] < len(vocab) and vocab[token["id"]][0] == token["content"]:
                hidden = _UNSPEAKABLE + token["content"]
                vocab[token["id"]] = [hidden, vocab[token["id"]][1]]
                token["content"] = hidden
        changed["model"] = definition["model"] | {"vocab": vocab}
    return changed | {"truncation": None, "padding": None, "post_processor": None}


@lru_cache(maxsize=6)
def _oracle(path: Path) -> tokenizers.Tokenizer:
    oracle = tokenizers.Tokenizer.from_str(json.dumps(unmatchable(_definition(path)), ensure_ascii=False))
    oracle.encode_special_tokens = True
    return oracle


def _inside_ids(path: Path, text: str) -> list[int]:
    """The ids of text after other text; a word that goes on gets no mark where white space alone parts words."""
    oracle = _inside_oracle(path)
    stages = (_definition(path)["pre_tokenizer"] or {}).get("pretokenizers", [])
    if [stage["type"] for stage in stages] != ["WhitespaceSplit", "Metaspace"] or text[:1] in tuple(" \t\n\v\f\r"):
        return list(oracle.encode(text, add_special_tokens=False).ids)
    normal = oracle.normalizer.normalize_str(text) if oracle.normalizer else text
    # Python's \s takes U+001C to U+001F for white space, Unicode and Rust do not.
    word = re.match(r"[^\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*", normal)
    assert word is not None
    rest = _words_oracle(path, "always").encode(normal[word.end() :], add_special_tokens=False).ids
    return [*_words_oracle(path, "never").encode(word[0], add_special_tokens=False).ids, *rest]


@lru_cache(maxsize=4)
def _words_oracle(path: Path, scheme: str) -> tokenizers.Tokenizer:
    """The library for text in its normal form, with marks before words as `scheme` says."""
    definition = json.loads(_inside_oracle(path).to_str())
    definition["normalizer"] = None
    definition["pre_tokenizer"]["pretokenizers"][1]["prepend_scheme"] = scheme
    oracle = tokenizers.Tokenizer.from_str(json.dumps(definition))
    oracle.encode_special_tokens = True
    return oracle


@lru_cache(maxsize=2)
def _inside_oracle(path: Path) -> tokenizers.Tokenizer:
    definition = json.loads(json.dumps(unmatchable(_definition(path))))
    normalizer = definition["normalizer"] or {}
    if "normalizers" in normalizer:
        kept = [stage for stage in normalizer["normalizers"] if stage["type"] != "Prepend"]
        if len(kept) < len(normalizer["normalizers"]):
            # The dummy prefix is a part of these, and is still looked for inside a text.
            for token in definition["added_tokens"]:
                token["content"] = "▁" * token["normalized"] + token["content"]
        definition["normalizer"]["normalizers"] = [
            stage | {"strip_left": False} if stage["type"] == "Strip" else stage for stage in kept
        ]
    stage = definition["pre_tokenizer"] or {}
    if stage.get("type") == "Metaspace":
        stage["prepend_scheme"] = "never"
    if stage.get("type") == "ByteLevel":
        stage["add_prefix_space"] = False
    oracle = tokenizers.Tokenizer.from_str(json.dumps(definition))
    oracle.encode_special_tokens = True
    return oracle


@cache
def family(name: str) -> Family:
    """The family called ``name``, the same object for the whole session."""
    known = [*SELF_MADE, *(f"embedded_{path.parent.name}" for path in EMBEDDED), *REAL, *MODELS]
    if name not in known:
        raise KeyError(f"{name!r}: expected one of {known}")
    return Family(name)


def _names() -> list[str]:
    always = [*SELF_MADE, *(f"embedded_{path.parent.name}" for path in EMBEDDED)]
    return always + ([*REAL, *MODELS] if data_folder() else [])


DEFINED = [family(name) for name in _names()]
FAMILIES = [*DEFINED, *SOURCES, *(REAL_SOURCES if data_folder() else [])]

# The parameters have the scope of the session, so that pytest runs all tests of a family together.
every_family = pytest.mark.parametrize("family", FAMILIES, ids=repr, scope="session")
# Those with a ``tokenizer.json`` that the test reads.
every_defined_family = pytest.mark.parametrize("family", DEFINED, ids=repr, scope="session")


def some_families(keep: Callable[[Family], bool]) -> pytest.MarkDecorator:
    """As ``every_defined_family``, for those that ``keep``; there must be some."""
    kept = [family for family in DEFINED if keep(family)]
    assert kept, "no family to test"
    return pytest.mark.parametrize("family", kept, ids=repr, scope="session")


def examples(share: float = 1.0) -> settings:
    """Hypothesis settings: this share of the profile's number of examples, at least five."""
    return settings(max_examples=max(5, round(settings().max_examples * share)))
