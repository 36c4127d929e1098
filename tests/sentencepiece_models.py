"""SentencePiece models drawn at random, as bytes of a ``.model`` file, and texts made from their pieces.

The files are written field by field (``sentencepiece_model.proto``), so pieces may be what no trainer writes.
"""

from __future__ import annotations

import base64
import random
import struct
from dataclasses import dataclass, field
from typing import Any

import sentencepiece

import coolfusion as cf
import fixtures

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
UNIGRAM, BPE = 1, 2
Piece = tuple[str, float, int]


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def message(number: int, content: bytes) -> bytes:
    """A field that holds text, bytes or a message."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def flag(number: int, value: int) -> bytes:
    """A field that holds a number."""
    return _varint(number << 3) + _varint(value)


@dataclass
class Model:
    """What a ``.model`` file holds, as far as encoding depends on it."""

    pieces: list[Piece]
    model_type: int = BPE
    byte_fallback: bool = False
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = False
    escape_whitespaces: bool = True
    charsmap: bytes = b""
    trainer: dict[int, int] = field(default_factory=dict)
    denormalizer: bytes = b""

    def __bytes__(self) -> bytes:
        """The file."""
        pieces = b"".join(
            message(1, message(1, text.encode()) + b"\x15" + struct.pack("<f", score) + flag(3, kind))
            for text, score, kind in self.pieces
        )
        trainer = flag(3, self.model_type) + flag(35, self.byte_fallback)
        trainer += b"".join(flag(number, value) for number, value in self.trainer.items())
        normalizer = flag(3, self.add_dummy_prefix) + flag(4, self.remove_extra_whitespaces)
        normalizer += flag(5, self.escape_whitespaces)
        if self.charsmap:
            normalizer += message(2, self.charsmap)
        tail = message(5, message(2, self.denormalizer)) if self.denormalizer else b""
        return pieces + message(2, trainer) + message(3, normalizer) + tail


def byte_pieces() -> list[Piece]:
    """The 256 pieces that byte fallback needs."""
    return [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]


_REWRITES: tuple[dict[str, str], ...] = (
    {"ﬁ": "fi", "Å": "a", "e\u0301": "é"},
    {"\u3000": " ", "\r\n": " ", "\n": " ", "\t": " "},
    {"a": "", "é": "e\u0301", "b": "  b", "c": "▁", "d": " ", "ab": "c", "abcd": "d"},
)
CHARSMAPS = tuple(
    base64.b64decode(fixtures.charsmap(rules, nul_passes=passes)) for passes in (False, True) for rules in _REWRITES
)
ODD = (
    " ",
    "  ",
    "▁",
    "▁▁",
    "▁▁▁",
    " a",
    "a ",
    "▁ ",
    "\n",
    "\n\n",
    "\t",
    "é",
    "e\u0301",
    "語",
    "👍",
    "\ufeff",
    "<0x41>",
)
CHARACTERS = "aabbcd▁<s>/\n-é"


def _word(dice: random.Random) -> str:
    return "".join(dice.choices(CHARACTERS, k=dice.choice((1, 2, 2, 3, 3, 4, 5))))


def _contents(dice: random.Random) -> list[str]:
    """Texts of pieces, most of them built from two others, so that merges can make them."""
    alphabet = "".join(dict.fromkeys("abcd▁<s>/-é"))
    made = [c for c in alphabet if dice.random() < 0.85]
    for _ in range(dice.choice((2, 6, 12, 25))):
        built = "".join(dice.choices(made, k=2)) if made and dice.random() < 0.8 else _word(dice)
        made.append(built if len(built) < 12 else _word(dice))
    made += dice.sample(ODD, dice.choice((0, 0, 1, 2, 5)))
    return list(dict.fromkeys(made))


def _symbols(dice: random.Random, contents: list[str]) -> list[str]:
    """User-defined symbols: pieces, their beginnings, what stands across two of them, runs, control pieces."""
    found = []
    for _ in range(dice.choice((0, 0, 1, 2, 4, 8))):
        one, other = dice.choices(contents, k=2)
        made = (one, one + other, one[-1:] + other[:1], one[: dice.randint(1, len(one))])
        choices = (*made, dice.choice(ODD), "--", "</s")
        found.append(dice.choice(choices))
    return list(dict.fromkeys(found))


def drawn(dice: random.Random) -> Model:
    """A model that SentencePiece loads, of any type and with any flags that can be run."""
    contents = _contents(dice)
    symbols = _symbols(dice, contents)
    scores = dice.choice(((-1.0, -2.0, -3.0), (-1.5, -2.25, 0.0, 3.0), tuple(dice.uniform(-9, 0) for _ in range(40))))
    kinds = dice.choice(((NORMAL,), (NORMAL,) * 12 + (UNUSED,)))
    controls = ["<s>", "</s>", *dice.sample(["<pad>", "a<s>", "▁b", "--"], dice.choice((0, 0, 1)))]
    pieces = [("<unk>", 0.0, UNKNOWN), *((text, 0.0, CONTROL) for text in controls)]
    byte_fallback = dice.random() < 0.5
    pieces += byte_pieces() if byte_fallback else []
    model_type = dice.choice((UNIGRAM, BPE, BPE))
    taken = {text for text, *_ in pieces}
    own: list[Piece] = [(text, 0.0, USER_DEFINED) for text in symbols if text not in taken]
    taken |= set(symbols)
    for text in contents:
        if text not in taken:
            kind = NORMAL if model_type == BPE and len(text) > 1 else dice.choice(kinds)
            own.append((text, dice.choice(scores), kind))
    dice.shuffle(own)
    if dice.random() < 0.05:
        own.append(("\0", -1.0, NORMAL))
    return Model(
        pieces + own,
        model_type,
        byte_fallback,
        add_dummy_prefix=dice.random() < 0.6,
        remove_extra_whitespaces=dice.random() < 0.4,
        escape_whitespaces=dice.random() < 0.9,
        charsmap=dice.choice(CHARSMAPS) if dice.random() < 0.3 else b"",
    )


def texts(dice: random.Random, model: Model, count: int) -> list[str]:
    """Texts made from the pieces of ``model``, with spaces for marks and what no piece holds in between."""
    pieces = [text for text, _, kind in model.pieces if kind != BYTE]
    others = [" ", "  ", "   ", "x", "\0", "\n", "▁", " ▁", "\u0301", "ﬁ", "Å", "語", "👍", "a b", "<0x41>", "xy"]
    others += ["\r\n", "\u3000", "ab", "abc"]
    found = []
    for _ in range(count):
        parts = []
        for _ in range(dice.choice((1, 2, 3, 5, 9))):
            part = dice.choice(pieces) if dice.random() < 0.75 else dice.choice(others)
            part = part.replace("▁", " ") if dice.random() < 0.8 else part
            cut = dice.randint(0, len(part))
            parts.append(part[:cut] if dice.random() < 0.2 else part)
        found.append("".join(parts))
    return found


def loaded(model: Model) -> tuple[Any, cf.Tokenizer] | None:
    """The model in SentencePiece and here; None where either refuses it."""
    processor = sentencepiece.SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(bytes(model))
    except RuntimeError:
        return None
    try:
        return processor, cf.Tokenizer._from_sentencepiece(bytes(model), "drawn")
    except cf.UnsupportedTokenizerError:
        return None


def difference(model: Model, found: tuple[Any, cf.Tokenizer], dice: random.Random, count: int) -> str | None:
    """A text that SentencePiece encodes otherwise, a stream that is not its whole, or a settled cut that is none."""
    processor, tokenizer = found
    restarts = tokenizer.describe()["window"]["factorises_at_word_boundaries"]
    drawn_texts = texts(dice, model, count)
    for text in drawn_texts:
        expected, ids = processor.encode(text), tokenizer.encode(text)
        if ids != expected:
            return f"{text!r}: {ids}, SentencePiece gives {expected}"
        if tokenizer.represents(text) and tokenizer.decode(ids) != text:
            return f"{text!r}: decodes to {tokenizer.decode(ids)!r}"
        encoder, at = cf.StreamEncoder(tokenizer), 0
        while at < len(text):
            size = dice.randint(1, 4)
            encoder.push(text[at : at + size])
            at += size
        if encoder.ids != ids or encoder.widened:
            return f"{text!r}: a stream has {encoder.ids}, widened {encoder.widened} times"
        more = dice.choice(drawn_texts)
        longer = tokenizer.encode(text + more)
        for cut in tokenizer.settled_cuts(text) if restarts else []:
            rest, rest_of_longer = (tokenizer.encode(tail, continues=True) for tail in (text[cut:], text[cut:] + more))
            before, other = ids[: len(ids) - len(rest)], longer[: len(longer) - len(rest_of_longer)]
            if before + rest != ids or other + rest_of_longer != longer or before != other:
                return f"{text!r} + {more!r}: {cut} is no settled cut"
    return None


def long_difference(model: Model, tokenizer: cf.Tokenizer, dice: random.Random) -> str | None:
    """A text of a few units, longer than streams read again as a whole, where a push gives other ids than the twin."""
    pieces = [text for text, _, kind in model.pieces if kind != BYTE]
    others = (" ", "  ", "▁", "x", "\n", "\n\n", "e\u0301", "ﬁ", "語", "a", "b")
    units = [dice.choice(pieces) for _ in range(dice.choice((1, 1, 2, 3)))] + dice.sample(others, dice.choice((0, 1)))
    units = [unit.replace("▁", " ") if dice.random() < 0.5 else unit for unit in units]
    encoder, text = cf.StreamEncoder(tokenizer), ""
    while len(text.encode()) < 540:
        unit = dice.choice(units)
        text += unit
        encoder.push(unit)
    ids = tokenizer.encode(text)
    for _ in range(40):
        unit = dice.choice(units) if dice.random() < 0.9 else dice.choice(pieces)
        text += unit
        edit, expected = encoder.push(unit), tokenizer.encode(text)
        ids = ids[: len(ids) - edit.drop] + edit.ids
        if not ids == expected == encoder.ids:
            return f"{text!r}: {encoder.ids}, edits give {ids}, expected {expected}"
        # A window that gives back its text says nothing of the text before it.
        if tokenizer.represents(text) and not edit.lossless:
            return f"{text!r}: lossless is {edit.lossless}"
    return f"{text!r}: widened" if encoder.widened else None
