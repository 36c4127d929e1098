"""Small random tokenizer definitions, and the `tokenizers` library as the judge of ids and text.

`drawn` is shared by ``tests/fuzz/definitions.py`` and ``tests/wild/test_drawn_definitions.py``. Vocabularies are tiny,
so that marks, spaces, byte pieces, duplicates and unknown characters meet in short texts.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers

import coolfusion as cf
from reference import byte_alphabet

_LETTERS = ("a", "b", "c", "é", "中", "1", ".", "'", "s")
_MARKS = ("▁", "▁", "_", " ")
_SYMBOLS = {character: bytes([byte]) for character, byte in byte_alphabet().items()}
_OF_BYTE = {data[0]: character for character, data in _SYMBOLS.items()}
_HIDDEN = "\U000f4241\U000f1c9e"


def _in_alphabet(text: str) -> str:
    return "".join(_OF_BYTE[byte] for byte in text.encode())


def _replace(pattern: str, content: str, kind: str = "String") -> dict[str, Any]:
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


def _byte_level(prefix: bool = False, rule: bool = True) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": rule}


def _metaspace(dice: random.Random, mark: str) -> dict[str, Any]:
    scheme = dice.choice(("always", "always", "first", "never"))
    return {"type": "Metaspace", "replacement": mark, "prepend_scheme": scheme, "split": dice.random() < 0.7}


def _sequence(stages: list[dict[str, Any]], key: str, dice: random.Random) -> dict[str, Any] | None:
    if not stages:
        return None if dice.random() < 0.9 else {"type": "Sequence", key: []}
    if len(stages) == 1 and dice.random() < 0.7:
        return stages[0]
    return {"type": "Sequence", key: stages}


def _decoder_stage(dice: random.Random, mark: str) -> dict[str, Any]:
    return dice.choice(
        (
            _replace(mark, " "),
            _replace(mark, " ", "Regex"),
            _replace("▁", " "),
            _replace(" ", ""),
            _metaspace(dice, mark),
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": dice.choice(" a▁"), "start": dice.choice((0, 1, 1, 2)), "stop": 0},
            {"type": "BPEDecoder", "suffix": "</w>"},
            {"type": "WordPiece", "prefix": "##", "cleanup": dice.random() < 0.5},
            _byte_level(),
            {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True},
        )
    )


def _decoder(dice: random.Random, mark: str, usual: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Often what fits the encoder, with a stage more or less; else none, or anything."""
    what = dice.random()
    if what < 0.2:
        return None
    stages = copy.deepcopy(usual) if what < 0.8 else [_decoder_stage(dice, mark) for _ in range(dice.randint(1, 4))]
    if what > 0.45 and stages and dice.random() < 0.5:
        stages.pop(dice.randrange(len(stages)))
    if what > 0.45 and dice.random() < 0.5:
        stages.insert(dice.randint(0, len(stages)), _decoder_stage(dice, mark))
    return _sequence(stages, "decoders", dice)


@dataclass
class _Plan:
    normalizers: list[dict[str, Any]]
    pre_tokenizers: list[dict[str, Any]]
    decoders: list[dict[str, Any]]
    pieces: list[str]


def _marked(dice: random.Random, mark: str, byte_pieces: bool) -> _Plan:
    """Spaces become a mark, by the normalizer or the pre-tokenizer."""
    stage = _metaspace(dice, mark)
    by_normalizer = dice.random() < 0.5
    prefix = [{"type": "Prepend", "prepend": mark}] if dice.random() < 0.5 else []
    normalizers = [*prefix, _replace(" ", mark)] if by_normalizer else []
    if by_normalizer and dice.random() < 0.5:
        decoders = [_replace(mark, " "), {"type": "ByteFallback"}, {"type": "Fuse"}]
        decoders += [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if prefix else []
    elif byte_pieces and dice.random() < 0.5:
        decoders = [{"type": "ByteFallback"}, stage]
    else:
        decoders = [stage]
    pieces = [mark, mark + "a", mark + "b", mark * 2, "ab", "a" + mark, mark + "中", "bc", mark + "ab"]
    return _Plan(normalizers, [] if by_normalizer else [stage], decoders, pieces)


def _plan(dice: random.Random, model: str, mark: str, byte_pieces: bool) -> _Plan:
    kind = dice.random()
    if model == "BPE" and kind < 0.3:
        pieces = [_in_alphabet(each) for each in (" a", " b", "ab", "bc", "é", "中", " ab", "  ")]
        rule = _byte_level(dice.random() < 0.2, dice.random() < 0.7)
        return _Plan([], [rule], [_byte_level()], pieces)
    words = [{"type": dice.choice(("WhitespaceSplit", "Whitespace", "BertPreTokenizer"))}]
    if model == "WordPiece" and kind < 0.8:
        word_piece = {"type": "WordPiece", "prefix": "##", "cleanup": dice.random() < 0.7}
        return _Plan([], words, [word_piece], ["ab", "##a", "##b", "##ab", "##s", "##é", "n't", "do", "not"])
    if model == "BPE" and kind < 0.5:
        suffixed = [letter + "</w>" for letter in _LETTERS]
        return _Plan([], words, [{"type": "BPEDecoder", "suffix": "</w>"}], [*suffixed, "ab</w>", "ab", "abc</w>"])
    if model in ("BPE", "WordLevel") and kind < 0.65:
        digits = {"type": "Digits", "individual_digits": dice.random() < 0.5}
        others = dice.choice(([], [], [digits], [{"type": "Punctuation", "behavior": "Isolated"}]))
        return _Plan(
            [], [*words, *others], dice.choice(([], [{"type": "Fuse"}])), ["ab", "bc", "abc", "a.", "é1", "中中"]
        )
    if kind < 0.85:
        return _marked(dice, mark, byte_pieces)
    return _Plan([], dice.choice(([], words)), [{"type": "Fuse"}], ["ab", " ", "a b", "bc", " a"])


def _merges(dice: random.Random, pieces: list[str]) -> list[list[str]]:
    known = set(pieces)
    found = [
        [piece[:cut], piece[cut:]]
        for piece in pieces
        for cut in range(1, len(piece))
        if piece[:cut] in known and piece[cut:] in known and not piece.startswith("<0x")
    ]
    return dice.sample(found, min(len(found), dice.randint(2, 12)))


def _buildable(model: dict[str, Any]) -> set[str]:
    """Characters, with the suffix of words too, and the pieces that merges build from them."""
    suffix = model["end_of_word_suffix"] or ""
    built = {piece for piece in model["vocab"] if 1 in (len(piece), len(piece.removesuffix(suffix)))}
    while more := {left + right for left, right in model["merges"] if {left, right} <= built} - built:
        built |= more
    return built


def _model(dice: random.Random, kind: str, pieces: list[str], byte_pieces: bool, suffix: bool) -> dict[str, Any]:
    unknown = dice.choice(("<unk>", "<unk>", "a", "<missing>", None))
    if kind == "Unigram":
        vocab = [[piece, round(-dice.random() * 9, 3)] for piece in pieces]
        unk_id = pieces.index(unknown) if unknown in pieces else None
        return {"type": "Unigram", "vocab": vocab, "unk_id": unk_id, "byte_fallback": byte_pieces}
    ids = list(range(len(pieces)))
    if dice.random() < 0.1:
        dice.shuffle(ids)
    vocab = dict(zip(pieces, ids, strict=True))
    if kind == "BPE":
        return {
            **{"type": "BPE", "dropout": None, "unk_token": unknown, "fuse_unk": dice.random() < 0.5},
            **{"continuing_subword_prefix": None, "end_of_word_suffix": "</w>" if suffix else None},
            **{"byte_fallback": byte_pieces and dice.random() < 0.8, "ignore_merges": dice.random() < 0.2},
            **{"vocab": vocab, "merges": _merges(dice, pieces)},
        }
    model = {"type": kind, "vocab": vocab, "unk_token": unknown or "<unk>"}
    if kind == "WordPiece":
        model |= {"continuing_subword_prefix": "##", "max_input_chars_per_word": dice.choice((4, 100))}
    return model


def _added(dice: random.Random, pieces: list[str], marks: str) -> list[dict[str, Any]]:
    contents = (
        "NEW",
        "<x>",
        "a",
        "ab",
        "x",
        "<s>",
        "▁",
        "  ",
        "é",
        "b c",
        " a",
        "</w>",
        "中1",
        "<0x41>",
        "A b",
        "(K;",
        "t>",
        "e\u0301",
        *pieces[-2:],
    )
    chosen = dice.sample(contents, dice.choice((0, 0, 1, 1, 2, 3)))
    late = dice.choice((0, 0.25, 1))
    if dice.random() < 0.6:
        chosen += [piece for piece in ("<unk>", "<s>") if piece in pieces and piece not in chosen]
    tokens = []
    for number, content in enumerate(chosen):
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
        flags["special"] = content.startswith("<") or dice.random() < 0.15
        for flag in ("lstrip", "rstrip", "single_word"):
            flags[flag] = dice.random() < 0.06
        flags["normalized"] = dice.random() < late
        usual = pieces.index(content) if content in pieces else len(pieces) + number
        tokens.append({"id": usual if dice.random() < 0.7 else len(pieces) + 40 + number, "content": content, **flags})
    return tokens


def drawn(dice: random.Random) -> dict[str, Any]:
    """A definition with a vocabulary of a few dozen pieces; the same dice, the same definition."""
    kind = dice.choice(("BPE", "BPE", "BPE", "Unigram", "Unigram", "WordPiece", "WordLevel"))
    mark = dice.choice(_MARKS[:3])
    byte_pieces = kind in ("BPE", "Unigram") and dice.random() < 0.4
    plan = _plan(dice, kind, mark, byte_pieces)
    normalizers = list(plan.normalizers)
    byte_level = any(stage["type"] == "ByteLevel" for stage in plan.pre_tokenizers)
    if byte_level and dice.random() < 0.3:
        normalizers.append({"type": "NFC"})
    elif dice.random() < 0.2:
        normalizers.insert(
            0, dice.choice(({"type": "NFC"}, {"type": "Lowercase"}, {"type": "NFKC"}, _replace("b", "a")))
        )
    letters = [_in_alphabet(letter)[-1] for letter in _LETTERS] if byte_level else list(_LETTERS)
    pieces = [*letters, *plan.pieces]
    if byte_level and dice.random() < 0.7:
        pieces += list(_SYMBOLS)
    if byte_pieces:
        some = dice.choice((range(256), (0x0A, 0x20, 0x41, 0xC3, 0xA9, 0xE4, 0xB8, 0xAD, 0x5F), (0xC3, 0xA9, 0x20)))
        pieces += [f"<0x{byte:02X}>" for byte in some]
    pieces += [piece for piece in (" ", "▁", "<s>", "</w>", "é ", "▁ ", "中") if dice.random() < 0.2]
    pieces = ["<unk>", *dice.sample(pieces, len(pieces) - dice.randint(0, 3))]
    pieces = list(dict.fromkeys(pieces))
    if dice.random() < 0.3:
        pieces.append(pieces.pop(0))
    suffix = any(stage["type"] == "BPEDecoder" for stage in plan.decoders)
    model = _model(dice, kind, pieces, byte_pieces, suffix)
    if byte_level and kind == "BPE" and dice.random() < 0.8:
        # Real files have none, and coolfusion's own encoder reads only such ones.
        model["unk_token"] = None
    if model.get("ignore_merges"):
        # Else a control token that no merge builds may be a part of merges, and the library cannot hide it.
        model["merges"] = [pair for pair in model["merges"] if _buildable(model).issuperset(pair)]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added(dice, pieces, mark),
        "normalizer": _sequence(normalizers, "normalizers", dice),
        "pre_tokenizer": _sequence(plan.pre_tokenizers, "pretokenizers", dice),
        "post_processor": None,
        "decoder": _decoder(dice, mark, plan.decoders),
        "model": model,
    }


def texts(dice: random.Random, definition: dict[str, Any], count: int = 24) -> Iterator[str]:
    """Texts of the definition's own pieces, added tokens and what stands between."""
    vocab = definition["model"]["vocab"]
    pieces = [piece for piece, _ in vocab] if isinstance(vocab, list) else list(vocab)
    pieces = [piece.replace("##", "").replace("</w>", "").replace("Ġ", " ") for piece in pieces]
    contents = [token["content"] for token in definition["added_tokens"]]
    others = ["a", "b", "c", " ", " ", "  ", "▁", "é", "中", "z", "\n", "A", "_", ".", "e\u0301", "do not", "' s", "😀"]
    # Some become ASCII in NFC; others change the ASCII character before them.
    others += ["\u0301", "\u0338", "\u0327\u0338", "\u212a", "\u037e", "K", "<", "t>"]
    yield from ("a b", "the cat", "a é", " a  b ")
    for _ in range(count):
        parts = dice.choices((pieces, contents or pieces, others, others), k=dice.randint(1, 6))
        yield dice.choice(("", "", " ")).join(dice.choice(part) for part in parts)


def oracle(definition: dict[str, Any]) -> tokenizers.Tokenizer:
    """The library's tokenizer, in which control tokens are found in no text."""
    changed = copy.deepcopy(definition)
    special = {token["content"] for token in changed["added_tokens"] if _directs(token)}
    for token in changed["added_tokens"]:
        if token["content"] in special:
            token.update(special=True, lstrip=False, rstrip=False, single_word=False)
    if isinstance(changed["model"]["vocab"], list):
        last = {piece: number for number, (piece, _) in enumerate(changed["model"]["vocab"])}
        for content in special & set(last):
            changed["model"]["vocab"][last[content]][0] = _HIDDEN + content
        for token in changed["added_tokens"]:
            if token["content"] in special:
                token["content"] = _HIDDEN + token["content"]
    elif changed["model"].get("ignore_merges"):
        # The look-up of whole words would find a control piece that no merge builds.
        merged = {piece for left, right in changed["model"]["merges"] for piece in (left, right, left + right)}
        hidden = {content: _HIDDEN + content for content in special - merged if content in changed["model"]["vocab"]}
        changed["model"]["vocab"] = {hidden.get(piece, piece): n for piece, n in changed["model"]["vocab"].items()}
        unknown = changed["model"].get("unk_token")
        changed["model"]["unk_token"] = hidden.get(unknown, unknown)
        for token in changed["added_tokens"]:
            token["content"] = hidden.get(token["content"], token["content"])
    found = tokenizers.Tokenizer.from_str(json.dumps(changed))
    found.encode_special_tokens = True
    return found


def _directs(token: dict[str, Any]) -> bool:
    return any(token[flag] for flag in ("special", "lstrip", "rstrip", "single_word"))


@dataclass(frozen=True)
class Fault:
    """One disagreement: which kind, and the values."""

    kind: str
    words: str


def _decoded(tok: cf.Tokenizer, ids: list[int]) -> str:
    stream = cf.StreamDecoder(tok)
    return "".join(stream.push(token_id) for token_id in ids) + stream.flush()


def faults(definition: dict[str, Any], path: Path, dice: random.Random) -> list[Fault] | str:
    """What is wrong with the tokenizer of ``definition``, written to ``path``; a word where nothing is compared."""
    path.write_text(json.dumps(definition), encoding="utf-8")
    try:
        library = oracle(definition)
    except BaseException as error:  # the library's own errors, and its panics
        if isinstance(error, KeyboardInterrupt):
            raise
        return "the library refuses it"
    try:
        tok = cf.Tokenizer.from_file(path)
    except cf.TokenizerError as error:
        return f"refused: {str(error).split(':')[0]}, {str(error).split(':')[1][:60]}"
    added = {
        tok_id for token in definition["added_tokens"] if (tok_id := library.token_to_id(token["content"])) is not None
    }
    drops = any("decode drops the space" in note for note in tok.describe()["notes"])
    found: list[Fault] = []
    try:
        found.extend(_compared(tok, library, list(texts(dice, definition)), dice, drops, added))
    except cf.CoolFusionError as error:
        found.append(Fault("error", str(error)))
    return found


def _compared(
    tok: cf.Tokenizer,
    library: tokenizers.Tokenizer,
    samples: list[str],
    dice: random.Random,
    drops: bool,
    added: set[int],
) -> Iterator[Fault]:
    control = set(tok.control_ids)
    known = sorted(set(range(tok.vocab_size)) - set(tok.unused_ids) - control)
    lists = [[dice.choice(known) for _ in range(dice.randint(1, 5))] for _ in range(12) if known]
    for text in samples:
        try:
            expected = library.encode(text, add_special_tokens=False).ids
        except Exception:  # noqa: BLE001 - the library raises plain ones
            try:
                yield Fault("ids", f"{text!r}: {tok.encode(text)}, the library raises")
            except cf.TokenizerError:
                continue
            continue
        ids = tok.encode(text)
        if ids != expected:
            yield Fault("ids", f"{text!r}: {ids}, expected {expected}")
            continue
        lists.append(ids)
        if tok.represents(text) != (tok.decode_bytes(ids) == text.encode()):
            yield Fault("represents", f"{text!r}: {tok.represents(text)}")
    for ids in lists:
        kept = [token_id for token_id in ids if token_id not in control]
        try:
            expected_text = library.decode(kept, skip_special_tokens=False)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            continue
        if drops:
            expected_text = expected_text.removeprefix(" ")
        text = tok.decode(ids)
        if _decoded(tok, ids) != text:
            yield Fault("stream", f"{ids}: {_decoded(tok, ids)!r}, decode gives {text!r}")
        # An added token may be a part of a character in GPT-2's alphabet; here it stands for what it says.
        if "\ufffd" in text and added & set(kept):
            continue
        if "\ufffd" not in expected_text and text != expected_text:
            yield Fault("text", f"{ids}: {text!r}, expected {expected_text!r}")
