"""SentencePiece files as SentencePiece reads them: user-defined symbols, odd pieces, every flag of the normalizer."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")

import coolfusion as cf
from fixtures import examples
from sentencepiece_models import (
    BPE,
    CONTROL,
    NORMAL,
    UNIGRAM,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    Model,
    byte_pieces,
    difference,
    drawn,
    loaded,
    long_difference,
)

HEAD = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]


def normal(*contents: str) -> list[tuple[str, float, int]]:
    return [(text, -float(number), NORMAL) for number, text in enumerate(contents, 1)]


@given(st.integers(0, 2**40))
@examples()
def test_random_models_give_the_ids_of_sentencepiece(seed: int) -> None:
    dice = random.Random(seed)
    model = drawn(dice)
    found = loaded(model)
    if found is not None:
        assert difference(model, found, dice, 12) is None


@given(st.integers(0, 2**40))
@examples(0.5)
def test_long_texts_without_cuts_have_the_ids_of_the_whole_after_each_push(seed: int) -> None:
    dice = random.Random(seed)
    model = drawn(dice)
    found = loaded(model)
    if found is not None:
        assert long_difference(model, found[1], dice) is None


def test_most_random_models_are_loaded() -> None:
    found = [loaded(drawn(random.Random(seed))) for seed in range(100)]
    assert sum(each is not None for each in found) > 70


SYMBOL = [("--", 0.0, USER_DEFINED)]
LETTERS = normal("▁", "a", "b", "c", "<", "s", ">", "/")
NAMED = {
    "a raw space after the mark": (Model(HEAD + byte_pieces() + normal("▁b", "▁", "a", "b", " "), BPE, True), "a b"),
    "the text of a control piece": (Model(HEAD + byte_pieces() + SYMBOL + LETTERS, BPE, True), "</s>"),
    "a piece that no merge builds": (Model(HEAD + byte_pieces() + SYMBOL + LETTERS + normal("abc"), BPE, True), "abc"),
    "NUL": (Model(HEAD + byte_pieces() + normal("\0", "▁"), BPE, True), "\0"),
    "NUL, Unigram": (Model(HEAD + byte_pieces() + normal("\0", "▁"), UNIGRAM, True), "\0"),
    "two spaces, Unigram": (
        Model(
            [*HEAD, ("  ", 0.0, USER_DEFINED), *normal("▁two", "▁words", "▁")], UNIGRAM, remove_extra_whitespaces=True
        ),
        "two  words",
    ),
    "two spaces": (
        Model(
            [*HEAD, ("  ", 0.0, USER_DEFINED), *normal("▁a", "▁", "a")],
            remove_extra_whitespaces=True,
        ),
        "a  a ",
    ),
    "a character without a piece": (Model(HEAD + normal("ab", "b", "▁")), "ab a"),
    "equal scores": (
        Model([*HEAD, *((text, -1.0, NORMAL) for text in ("aa", "aaa", "a", "▁"))], remove_extra_whitespaces=True),
        "aaaa aaaaa",
    ),
}


@pytest.mark.parametrize(("model", "text"), NAMED.values(), ids=NAMED)
def test_named_models(model: Model, text: str) -> None:
    found = loaded(model)
    assert found is not None
    processor, tokenizer = found
    assert tokenizer.encode(text) == processor.encode(text)
    assert tokenizer.encode(text)


def test_the_ids_are_those_of_the_pieces() -> None:
    """The right values, so that a change of the judge is noticed."""
    ids = {}
    for name, (model, text) in NAMED.items():
        found = loaded(model)
        assert found is not None
        pieces = [content for content, *_ in model.pieces]
        ids[name] = [pieces[n] for n in found[1].encode(text)]
    assert ids["a raw space after the mark"] == ["▁", "a", "▁b"]
    assert ids["the text of a control piece"] == ["▁", "<", "/", "s", ">"]
    assert ids["a piece that no merge builds"] == ["▁", "a", "b", "c"]
    assert ids["NUL"] == ids["NUL, Unigram"] == ["▁", "<0x00>"]
    assert ids["two spaces, Unigram"] == ["▁two", "▁", "▁words"]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Model([*HEAD, ("ab", 0.0, UNUSED), *normal("a", "b")]), "marked unused"),
        (Model(HEAD + normal("a"), trainer={24: 1}), "treat_whitespace_as_suffix"),
        (Model(HEAD + normal("a"), denormalizer=b"\x04\0\0\0\0\0\0\0"), "denormalizer"),
        (Model(HEAD + normal("a"), 3), "type WORD"),
        (Model(HEAD + normal("a"), 4), "type CHAR"),
    ],
)
def test_a_model_that_cannot_be_run_exactly_is_refused(model: Model, words: str) -> None:
    with pytest.raises(cf.UnsupportedTokenizerError, match=f"{words}.*wrap the SentencePieceProcessor object"):
        cf.Tokenizer._from_sentencepiece(bytes(model), "x")


@pytest.mark.parametrize(
    "pieces",
    [
        [*HEAD, ("", 0.0, NORMAL)],
        [*HEAD, ("a", float("nan"), NORMAL)],
        [*HEAD, ("a", float("inf"), NORMAL)],
        [*HEAD, *normal("a", "a")],
        [*HEAD, ("a\0", 0.0, NORMAL)],
        [*HEAD, ("<0x4>", 0.0, 6)],
        [*HEAD, ("a", 0.0, 7)],
        normal("a"),
    ],
)
@pytest.mark.parametrize("model_type", [BPE, UNIGRAM])
def test_broken_pieces_are_errors_of_our_own(pieces: list[tuple[str, float, int]], model_type: int) -> None:
    with pytest.raises(cf.TokenizerError):
        cf.Tokenizer._from_sentencepiece(bytes(Model(pieces, model_type)), "x")


@given(st.integers(0, 2**40), st.data())
@examples()
def test_damaged_files_are_errors_of_our_own(seed: int, data: st.DataObject) -> None:
    """Cut, flipped, with huge lengths and wrong wire types: loads or is refused, and never panics."""
    file = bytearray(bytes(drawn(random.Random(seed))))
    for _ in range(data.draw(st.integers(1, 4))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(
            st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, 0x0A, 0x0B, 0x15])
        )
    file = file[: data.draw(st.integers(1, len(file)))]
    try:
        tokenizer = cf.Tokenizer._from_sentencepiece(bytes(file), "x")
    except cf.TokenizerError:
        return
    tokenizer.encode("a  b ab\n</s>")
    tokenizer.settled_cuts("a  b ab\n</s>")


@given(st.floats(-1.2, -0.01), st.integers(2, 7), st.integers(1, 9))
@examples()
def test_scores_of_symbols_are_rounded_as_sentencepiece_rounds_them(score: float, length: int, spaces: int) -> None:
    # Many orders of the same pieces have the same sum but for rounding.
    pieces = [*HEAD, ("▁", score, NORMAL), ("▁" * length, 0.0, USER_DEFINED), ("a", -9.0, NORMAL)]
    processor, tokenizer = loaded(Model(pieces, UNIGRAM))
    for text in (" " * spaces, " " * spaces + "a"):
        assert tokenizer.encode(text) == processor.encode(text)


@pytest.mark.parametrize("kind", [BPE, UNIGRAM])
@example(symbols=["--", "-  "], text="--  a")
@given(
    symbols=st.lists(st.text("- a", min_size=2, max_size=4), min_size=1, max_size=4, unique=True),
    text=st.text("- a", max_size=12),
)
@examples()
def test_symbols_that_overlap_symbols_with_spaces_are_taken_from_the_left(
    kind: int, symbols: list[str], text: str
) -> None:
    pieces = (
        HEAD + byte_pieces() + [(symbol, 0.0, USER_DEFINED) for symbol in symbols] + normal("-", "a", "▁", " ", "  ")
    )
    pieces = list({piece[0]: piece for piece in reversed(pieces)}.values())[::-1]
    found = loaded(Model(pieces, kind, True, remove_extra_whitespaces=True, escape_whitespaces=False))
    if found is not None:
        processor, tokenizer = found
        assert tokenizer.encode(text) == processor.encode(text)
