"""Batches, by examples: what is refused, and by which name; processes that were forked."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from array import array

import pytest

import coolfusion as cf
from coolfusion import toy
from fixtures import family

TOY, SPACED = toy.tokenizer(), toy.spaced_tokenizer()


def test_the_index_of_the_text_is_named_beside_the_position() -> None:
    with pytest.raises(cf.TextError, match=r"^text 2: character 1 of the text is a lone surrogate"):
        TOY.encode_batch(["a", "b", "c\udc00"])
    with pytest.raises(cf.TextError, match=r"^text 1: byte 3 of the text is not valid UTF-8"):
        TOY.word_boundaries([b"a", b"caf\xc3"])
    with pytest.raises(cf.UnrepresentableTextError, match=r"^text 1: .* at character 3 "):
        SPACED.encode_batch(["a", "é a\u2581b", "\u2581"], errors="strict")
    with pytest.raises(cf.UnknownTokenError, match=r"^list 1: token id 9999 at position 2 "):
        TOY.decode_batch([[1], [2, 3, 9999]])
    with pytest.raises(cf.ArgumentError, match=r"^list 1: token id 'a' at position 0"):
        TOY.decode_batch([[1], ["a"]])  # type: ignore[list-item]


def test_the_first_error_of_a_large_batch_is_the_one_that_is_named() -> None:
    """Whichever thread finds one first."""
    tok = family("made_llama2").tok
    pages = ["It was late and the dog slept. " * 20] * 200
    for at in (3, 77, 150, 199):
        broken = [page + "\u2581" if number >= at else page for number, page in enumerate(pages)]
        with pytest.raises(cf.UnrepresentableTextError, match=rf"^text {at}: .* at character 620 "):
            tok.encode_batch(broken, errors="strict")


def test_what_is_no_batch() -> None:
    for wrong in ("the cat", b"the cat", 7, None):
        with pytest.raises(cf.ArgumentError, match=r"texts are of type .*: expected a list of str or bytes"):
            TOY.encode_batch(wrong)  # type: ignore[arg-type]
    with pytest.raises(cf.ArgumentError, match=r"^text 1: text is of type int"):
        TOY.encode_batch(["a", 7])  # type: ignore[list-item]
    with pytest.raises(cf.ArgumentError, match=r"^text 0: text is of type list"):
        TOY.word_boundaries([["a"]])  # type: ignore[list-item]
    with pytest.raises(cf.ArgumentError, match="lists of token ids are of type int"):
        TOY.decode_batch(7)  # type: ignore[arg-type]
    with pytest.raises(cf.ArgumentError, match=r"^list 0: token ids are of type int"):
        TOY.decode_batch([7])  # type: ignore[list-item]
    with pytest.raises(cf.ArgumentError, match="errors is"):
        TOY.encode_batch(["a"], errors="ignore")  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        TOY.encode_batch(str(1 // n) for n in (1, 0))


def test_batches_of_nothing_and_of_one() -> None:
    assert TOY.encode_batch([]) == TOY.decode_batch([]) == TOY.word_boundaries([]) == TOY.represents(()) == []
    assert TOY.encode_batch(iter(["the"])) == [[257]]
    assert TOY.encode_batch(["", "the"]) == [[], [257]]
    assert TOY.decode_batch([array("I", [257]), (264,), iter([195])]) == ["the", " cat", "\ufffd"]


def test_lists_that_are_decoded_some_thousand_ids_at_a_time() -> None:
    """Around the ends of the groups, with empty and long lists; the list with the error is counted from the first."""
    lists = [[257, 264] * (number * 37 % 900) for number in range(120)] + [[257] * 20_000, [], [264]]
    assert sum(map(len, lists)) > 10 * 4096
    assert TOY.decode_batch(lists) == [TOY.decode(ids) for ids in lists]
    for at in (0, 3, 60, 119, 120, 122):
        broken = [[*ids, 9999] if number == at else ids for number, ids in enumerate(lists)]
        with pytest.raises(cf.UnknownTokenError, match=rf"^list {at}: token id 9999 at position {len(lists[at])} "):
            TOY.decode_batch(broken)
        broken[at] = [257, None]  # type: ignore[list-item]
        with pytest.raises(cf.ArgumentError, match=rf"^list {at}: token id None at position 1"):
            TOY.decode_batch(broken)
    with pytest.raises(ZeroDivisionError):
        TOY.decode_batch([257 // n] for n in (1, 0))


def test_rows_of_an_array() -> None:
    numpy = pytest.importorskip("numpy", reason="the arrays are NumPy's")
    assert TOY.decode_batch(numpy.array([[257, 264], [257, 265]])) == ["the cat", "the sat"]


PAGES = ["It was late and the dog slept. " * 40] * 60

WARM = """
import json, sys
from coolfusion import toy
pages = json.loads(sys.stdin.read())
print(json.dumps(toy.tokenizer().encode_batch(pages) == [toy.tokenizer().encode(page) for page in pages]))
"""


@pytest.mark.parametrize("threads", ["1", "3"])
def test_the_number_of_threads_does_not_matter(threads: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WARM],
        input=json.dumps(PAGES),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "RAYON_NUM_THREADS": threads},
    )
    assert (done.stdout, done.stderr) == ("true\n", "")


def _lengths(pages: list[str]) -> list[int]:
    return [len(ids) for ids in TOY.encode_batch(pages)]


@pytest.mark.filterwarnings(
    "ignore:.*use of fork:DeprecationWarning"
)  # Python 3.12 and later: the very use that is meant
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_does_not_wait_for_threads_that_it_has_not() -> None:
    """As workers of a data loader do: the parent has used the threads before."""
    expected = _lengths(PAGES)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(_lengths, [PAGES]).get(60) == expected
