"""Word boundaries and common boundaries, by examples that can be checked by eye."""

from __future__ import annotations

import pytest

import coolfusion as cf
from fixtures import family

LLAMA3, LLAMA2, GPT2, GEMMA, O200K = (family(f"made_{n}").tok for n in ("llama3", "llama2", "gpt2", "gemma", "o200k"))
ALL = (LLAMA3, LLAMA2, GPT2, GEMMA, O200K)


@pytest.mark.parametrize("tok", ALL, ids=lambda tok: tok.name.rsplit("/")[-1])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" ", []),
        ("   ", []),
        ("\n\n", []),
        ("word", []),
        (" word", []),
        ("two words", [3]),
        ("two words and", [3, 9]),
        ("don't stop", [5]),
        ("$1,234.50 and", [9]),
        ("naïve café au", [5, 10]),
    ],
)
def test_examples_in_which_all_agree(tok: cf.Tokenizer, text: str, expected: list[int]) -> None:
    """A boundary stands before the white space, never at the ends, and needs something on both sides."""
    assert tok.word_boundaries(text) == expected


def test_white_space_is_unicode_white_space() -> None:
    """U+00A0, U+3000 and U+2028 are White_Space; U+200B and U+001C, whatever Python says of it, are not."""
    for space in "\u00a0\u3000\u2028\u2009\t":
        found = LLAMA2.word_boundaries(f"one{space}two")
        assert set(found) <= {3}
    assert LLAMA2.word_boundaries("one\u00a0two") == [3]
    assert LLAMA2.word_boundaries("one\u3000two") == [3]
    for other in "\u200b\x1c\x1f\ufeff\u2581":
        assert LLAMA2.word_boundaries(f"one{other}two") == []


def test_runs_of_white_space_have_one_boundary() -> None:
    """The boundary stands before the run, not inside it."""
    for tok in (LLAMA3, GPT2):
        assert set(tok.word_boundaries("one   two")) <= {3}
        assert set(tok.word_boundaries("one \n two")) <= {3}
    assert LLAMA2.word_boundaries("one   two") == [3]


def test_punctuation_may_take_the_line_ends() -> None:
    """cl100k's rule joins punctuation and line ends: before them there is no boundary, because more may follow."""
    assert LLAMA3.word_boundaries("Done.\n\nNext word") == [11]
    assert GPT2.word_boundaries("Done. Next word") == [5, 10]


def test_the_end_of_the_text_is_open() -> None:
    """White space at the very end has its boundary as soon as nothing that may follow can take it away."""
    assert LLAMA3.word_boundaries("one two ") == [3, 7]
    assert LLAMA3.word_boundaries("Done. ") == [5], "a space ends the punctuation"
    assert LLAMA3.word_boundaries("Done.\n") == [], "a line end belongs to it"
    assert O200K.word_boundaries("one don't stop") == [3, 9]


@pytest.mark.parametrize("method", ["bytes", "offsets", "decode"])
def test_methods_agree_on_english(method: str) -> None:
    text = "It was late and the dog slept"
    for tok in ALL:
        assert tok.word_boundaries(text, method) == [2, 6, 11, 15, 19, 23]
    assert LLAMA3.word_boundaries(text, method=method) == [2, 6, 11, 15, 19, 23]


def test_word_ids_know_nothing_without_a_pre_token_rule() -> None:
    """SentencePiece files have one word number for the whole text: the method finds nothing, and nothing wrong."""
    assert LLAMA2.word_boundaries("one two three", "word_ids") == []
    assert LLAMA3.word_boundaries("one two three", "word_ids") == [3, 7]


@pytest.mark.parametrize("method", ["", "regex", "Bytes", "auto "])
def test_an_unknown_method(method: str) -> None:
    with pytest.raises(cf.ArgumentError, match=f'method is "{method}": expected "auto", "bytes", "word_ids"'):
        GPT2.word_boundaries("a b", method)
    assert GPT2.word_boundaries("a b c") == [1, 3]


def test_pieces_of_several_words_hold_their_spaces() -> None:
    """A piece that may stand across a space takes its boundary away."""
    tok = family("made_multi_word").tok
    text = "in the order to the United States"
    spaces = {at for at, c in enumerate(text) if c == " "}
    assert set(tok.word_boundaries(text)) < spaces


def test_common_boundaries_of_one_and_of_many() -> None:
    """What all have; a tokenizer that has fewer takes away, the order does not matter."""
    text = "Done.\n\nNext one is here"
    assert cf.common_boundaries([GPT2], text) == GPT2.word_boundaries(text)
    both = sorted(set(GPT2.word_boundaries(text)) & set(LLAMA3.word_boundaries(text)))
    assert both
    assert cf.common_boundaries([GPT2, LLAMA3], text) == cf.common_boundaries((LLAMA3, GPT2, GPT2), text) == both


def test_common_boundaries_are_in_the_unit_of_the_text() -> None:
    """Characters for `str`, bytes for `bytes`."""
    text = "naïve café au lait"
    assert cf.common_boundaries(ALL, text) == [5, 10, 13]
    assert cf.common_boundaries(ALL, text.encode()) == [6, 12, 15]


def test_common_boundaries_refuse_what_is_no_tokenizer() -> None:
    with pytest.raises(cf.ArgumentError, match="expected at least one tokenizer"):
        cf.common_boundaries([], "a b")
    with pytest.raises(TypeError, match="Tokenizer"):
        cf.common_boundaries([3], "a b")  # type: ignore[list-item]
    with pytest.raises(cf.TextError, match="lone surrogate"):
        cf.common_boundaries([GPT2], "a \ud800")
