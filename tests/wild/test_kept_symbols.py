"""Streams under SentencePiece files whose rules leave user-defined symbols of several characters alone.

Such a symbol switches the rules off inside it, so what a character becomes may depend on several before it. The slow
twin is a full encode after every push, and SentencePiece judges the whole.
"""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")

import coolfusion as cf
from fixtures import charsmap, examples
from sentencepiece_models import CONTROL, NORMAL, UNIGRAM, UNKNOWN, USER_DEFINED, Model, loaded

HEAD = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL)]
RULES = {
    "e\u0301": "é",
    "o\u0301": "ó",
    "é": "é",
    "ﬁ": "fi",
    ">\u0338": "≯",
    "\u3000": " ",
    "\n": " ",
    "\t": " ",
    "\u200d": " ",
    "\u200b": "",
    "Ａ": "A",
}
SYMBOLS = (
    ["<eop>"],
    ["<eop>", ".", "(", "-"],
    ["<eo", "<eop>", "op"],
    ["ab", "aba", "e"],
    ["\nx", "--"],
    ["\n\n", "a."],
    ["ﬁe", "o\u0301", ">>"],
)
UNITS = (
    *(" ", "\n", "a", "e", "o", ".", "eo", "pe", "the cat ", "op eop ", "<eop>", "<eo", "<eop> ", "a<eop>\u0338"),
    *(
        "\u3000",
        "   a",
        "a. ",
        "e\u0301",
        "\n\nx",
        "\nx ",
        "ab",
        "aba ",
        "--",
        "ﬁe",
        "x ▁",
        ">\u0338",
        "\u200d",
        "\u200b",
    ),
)


def model(symbols: list[str], dice: random.Random, runs: bool) -> Model:
    """A Unigram model of letters, some of which are no piece, and words of a few of them."""
    letters = "abcehopt<>.-A"
    pieces = {"▁", *letters[: dice.choice((4, 13))]}
    for _ in range(dice.randrange(4, 40)):
        mark = "▁" if dice.random() < 0.5 else ""
        pieces.add(mark + "".join(dice.choice(letters) for _ in range(dice.randrange(1, 5))))
    pieces -= set(symbols)
    own = [(piece, dice.choice((-1.0, -2.0, -2.5, dice.uniform(-9, 0))), NORMAL) for piece in sorted(pieces)]
    return Model(
        HEAD + own + [(symbol, 0.0, USER_DEFINED) for symbol in symbols],
        UNIGRAM,
        add_dummy_prefix=dice.random() < 0.7,
        remove_extra_whitespaces=runs,
        charsmap=base64.b64decode(charsmap(RULES)),
    )


def drawn_text(dice: random.Random, symbols: list[str]) -> str:
    """Long runs of one thing, or of a few, with symbols, their parts and white space around them."""
    units = [*UNITS, *symbols, *(symbol[:-1] for symbol in symbols), *(symbol[1:] for symbol in symbols)]
    # A symbol of one character has empty parts, of which no text gets long.
    units = [unit for unit in units if unit]
    some = dice.sample(units, dice.choice((1, 2, 3, 6)))
    parts = [dice.choice(units) for _ in range(dice.randrange(3))]
    length = dice.choice((30, 300, 620))
    while sum(map(len, parts)) < length:
        parts.append(dice.choice(some))
    parts += [dice.choice(units) for _ in range(dice.randrange(12))]
    return "".join(parts)


@examples(4)
@given(seed=st.integers(0, 1 << 40), symbols=st.sampled_from(SYMBOLS), runs=st.booleans())
@example(seed=1, symbols=["\nx", "--"], runs=True)
def test_every_push_gives_the_ids_of_the_whole(seed: int, symbols: list[str], runs: bool) -> None:
    """So do settled cuts: what stands before one stays as it is when more text follows."""
    dice = random.Random(seed)
    found = loaded(model(symbols, dice, runs))
    assert found is not None
    judge, tok = found
    text = drawn_text(dice, symbols)
    encoder, ids, at = cf.StreamEncoder(tok, dice.choice((0, 1, 4))), [], 0
    wholes: list[tuple[int, list[int]]] = []
    long = dice.choice((1, 1, 1, 5, 400))
    while at < len(text):
        part = text[at : at + (dice.randint(1, long) if at else dice.choice((1, long, 520)))]
        at += len(part)
        edit = encoder.push(part)
        ids = ids[: len(ids) - edit.drop] + list(edit.ids)
        expected = list(tok.encode(text[:at]))
        assert ids == expected, text[:at]
        if len(wholes) % 16 == 0 or at == len(text):
            assert expected == judge.encode(text[:at]), text[:at]
        wholes.append((at, expected))
    assert list(encoder.ids) == ids
    assert encoder.widened == 0
    for length, before in dice.sample(wholes, min(8, len(wholes))):
        for cut in tok.settled_cuts(text[:length])[-4:]:
            head = tok.encode(text[:cut])
            for more, longer in [(length, before), *dice.sample(wholes, min(4, len(wholes)))]:
                assert more < length or longer[: len(head)] == head, (text[:length], cut)


@pytest.mark.parametrize("unit", ["the cat ", "we see ", "op eop ", "a. "])
def test_words_end_at_settled_cuts(unit: str) -> None:
    """A letter that a symbol holds ends a word as others do."""
    found = loaded(model(["<eop>", "."], random.Random(3), runs=True))
    assert found is not None
    text = unit * 3
    spaces = [at for at, c in enumerate(text) if c == " "]
    assert found[1].settled_cuts(text) == spaces
