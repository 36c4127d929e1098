"""align, by examples that can be checked by eye: rules for tokens without text, lossy tokenizers, refusals."""

from __future__ import annotations

import subprocess
import sys
from array import array
from itertools import pairwise

import pytest

import coolfusion as cf
from coolfusion import toy
from coolfusion.extras import install_command
from fixtures import family

numpy = pytest.importorskip("numpy", reason="the arrays of an alignment are NumPy's")

PLAIN, SPACED = toy.tokenizer(), toy.spaced_tokenizer()
GPT2, LLAMA2, QWEN, BERT, T5 = (family(f"made_{name}").tok for name in ("gpt2", "llama2", "qwen", "bert", "t5"))
END = 268


def groups(aligned: cf.Alignment) -> list[tuple[str, ...]]:
    """For each group its text and, for each encoding, the tokens as one string each, joined by "|"."""
    cuts = aligned.byte_boundaries.tolist()
    data = aligned.text_bytes
    counts = [[end - start for start, end in aligned.groups(n).tolist()] for n in range(len(aligned.ids))]
    return [
        (data[start:end].decode(errors="replace"), *(each[g] for each in counts))  # type: ignore[misc]
        for g, (start, end) in enumerate(pairwise(cuts))
    ]


def test_control_tokens_go_with_what_follows_and_at_the_end_with_what_was() -> None:
    ids = [END, 257, END, END, 264, END]
    aligned = cf.align([(PLAIN, ids), (PLAIN, [257, 264])])
    assert groups(aligned) == [("the", 2, 1), (" cat", 4, 1)]
    assert cf.align([(PLAIN, [END, END])]).token_boundaries[0].tolist() == [0, 2]


def test_a_dummy_prefix_that_stands_alone_goes_with_the_first_word() -> None:
    space, bos = SPACED.encode(" ")[:1], SPACED.control_ids[1]
    word = [SPACED.encode("m", continues=True)[-1]]
    assert SPACED.decode_bytes([*space, *word]) == b"m"
    aligned = cf.align([(SPACED, [bos, *space, *word]), (PLAIN, [ord("m")])])
    assert groups(aligned) == [("m", 3, 1)]
    # After other text the space is text.
    inside = cf.align([(SPACED, [bos, *space, *word]), (PLAIN, [32, ord("m")])], continues=True)
    assert groups(inside) == [(" ", 2, 1), ("m", 1, 1)]


def test_cuts_inside_a_character() -> None:
    """Byte tokens of both: with `characters` they are one group."""
    ids = [ord("a"), *"é".encode(), ord("b")]
    assert cf.align([(PLAIN, ids), (PLAIN, ids)]).byte_boundaries.tolist() == [0, 1, 2, 3, 4]
    whole = cf.align([(PLAIN, ids), (PLAIN, ids)], characters=True)
    assert groups(whole) == [("a", 1, 1), ("é", 2, 2), ("b", 1, 1)]


def test_bytes_that_are_no_text() -> None:
    ids = [257, 0xC3]
    aligned = cf.align([(PLAIN, ids), (PLAIN, [116, 104, 101, 0xC3])])
    assert (aligned.text, aligned.text_bytes) == ("the\ufffd", b"the\xc3")
    assert groups(aligned) == [("the", 1, 3), ("\ufffd", 1, 1)]
    assert cf.align([(PLAIN, ids)], b"the\xc3").byte_boundaries.tolist() == [0, 3, 4]


@pytest.mark.parametrize("text", ["", b""])
def test_the_empty_text_has_one_group(text: str | bytes) -> None:
    aligned = cf.align([PLAIN, (SPACED, [1, 2])], text)
    assert aligned.byte_boundaries.tolist() == [0, 0]
    assert [counts.tolist() for counts in aligned.token_boundaries] == [[0, 0], [0, 2]]
    assert aligned.sum(0, []).tolist() == [0.0]


def test_spans_of_lossy_tokenizers_refer_to_the_original() -> None:
    """Qwen writes NFC, T5 NFKC and folds spaces, BERT drops them: the original is cut where the words are."""
    text = "cafe\u0301  ﬁne du"
    assert not any(tok.represents(text) for tok in (QWEN, T5, BERT))
    for tok in (QWEN, T5, BERT):
        aligned = cf.align([tok, GPT2], text)
        assert aligned.text == text
        starts = {text.encode()[: int(at)].decode(errors="replace") for at in aligned.byte_boundaries}
        assert "cafe\u0301  ﬁne" in starts, tok.name
        # No cut between the letter and its mark, which NFC makes one and BERT drops.
        assert not {"cafe", "cafe\ufffd"} & starts


def test_text_that_nobody_says_goes_with_what_follows() -> None:
    """BERT has no token for the spaces; alone it has one group a word, and none of its groups is empty."""
    (counts,) = cf.align([BERT], "the cat ").token_boundaries
    assert (counts[1:] > counts[:-1]).all()
    aligned = cf.align([BERT, (GPT2, GPT2.encode("the cat   "))], "the cat   ")
    assert aligned.byte_boundaries[0] == 0
    assert 3 in aligned.byte_boundaries
    assert 4 not in aligned.byte_boundaries
    assert aligned.token_boundaries[1][-1] == len(GPT2.encode("the cat   "))


def test_which_text_counts_where_none_is_given() -> None:
    """What a lossless tokenizer says; if there is none, or two disagree, it must be given."""
    text = "cafe\u0301"
    aligned = cf.align([(QWEN, QWEN.encode(text)), (GPT2, GPT2.encode(text))])
    assert aligned.text == text
    with pytest.raises(
        cf.ArgumentError, match=r"text is None: expected the text, because .* no tokenizer among them is"
    ):
        cf.align([(QWEN, QWEN.encode("é")), (BERT, BERT.encode("the"))])
    with pytest.raises(
        cf.AlignmentError,
        match=r"^encoding 1 \(toy\) .* at byte 4 it says \"sat\", expected \"cat\" \(both tokenizers are lossless",
    ):
        cf.align([(PLAIN, PLAIN.encode("the cat")), (PLAIN, PLAIN.encode("the sat"))])


def test_what_is_refused() -> None:
    for call, error, match in [
        (lambda: cf.align([]), cf.ArgumentError, r"encodings is \[\]: expected at least one"),
        (lambda: cf.align([PLAIN]), cf.ArgumentError, "text is None: expected a text"),
        (lambda: cf.align(PLAIN), cf.ArgumentError, "encodings is of type Tokenizer: expected a list"),  # type: ignore[arg-type]
        (lambda: cf.align([(PLAIN,)]), cf.ArgumentError, "an encoding is of type tuple: expected"),  # type: ignore[list-item]
        (lambda: cf.align([(PLAIN, ["a"])]), cf.ArgumentError, "token id 'a' at position 0"),  # type: ignore[list-item]
        (lambda: cf.align([PLAIN], 7), cf.ArgumentError, "text is of type int"),  # type: ignore[arg-type]
        (lambda: cf.align([PLAIN], "\ud800"), cf.TextError, "lone surrogate"),
        (lambda: cf.align([PLAIN], b"a\xff"), cf.TextError, "byte 1 of the text is not valid UTF-8"),
        (
            lambda: cf.align([(PLAIN, [257]), (PLAIN, [116, 999])]),
            cf.UnknownTokenError,
            "^encoding 1: token id 999 at position 1 ",
        ),
        (
            lambda: cf.align([(PLAIN, [257])], "th"),
            cf.AlignmentError,
            'at byte 2 it says "e", expected the end of the text',
        ),
    ]:
        with pytest.raises(error, match=match):
            call()
    aligned = cf.align([PLAIN], "the cat")
    for encoding in (1, -1):
        with pytest.raises(cf.ArgumentError, match=f"encoding is {encoding}: expected a number from 0 to 0"):
            aligned.groups(encoding)
    with pytest.raises(cf.ArgumentError, match="values holds 3 numbers: expected one for each of the 2 tokens"):
        aligned.sum(0, [1, 2, 3])
    with pytest.raises(cf.ArgumentError, match="values are an array of 2 dimensions"):
        aligned.sum(0, [[1, 2]])
    with pytest.raises(cf.ArgumentError, match="values are no numbers"):
        aligned.sum(0, ["a", "b"])


def test_arrays_are_int64_read_only_and_the_same_each_time() -> None:
    aligned = cf.align([(PLAIN, array("H", [257, 264])), (PLAIN, numpy.array([257, 264]))])
    for made in (aligned.byte_boundaries, *aligned.token_boundaries, *aligned.ids, aligned.groups(0)):
        assert made.dtype == numpy.int64
        assert not made.flags.writeable
    assert aligned.byte_boundaries is aligned.byte_boundaries
    assert aligned.token_boundaries is aligned.token_boundaries
    assert aligned.groups(0).shape == (2, 2)
    assert aligned.sum(0, numpy.array([1, 2], dtype="float32")).dtype == numpy.float64
    unaligned = numpy.frombuffer(b"x" + numpy.array([1.0, 2.0]).tobytes(), dtype="float64", offset=1)
    assert aligned.sum(0, unaligned).tolist() == [1.0, 2.0]


def test_without_numpy_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "import coolfusion as cf; from coolfusion import toy\n"
        "aligned = cf.align([toy.tokenizer()], 'the cat')\n"
        "assert (aligned.text, len(aligned)) == ('the cat', 2)\n"
        "try: aligned.byte_boundaries\n"
        "except cf.MissingPackageError as error: print(error, isinstance(error, ImportError))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"the arrays of an alignment need numpy: {install_command('hf')}")
    assert done.stdout.endswith("True\n")


def test_a_long_text_takes_time_in_proportion() -> None:
    """Ids of 100 and of 100,000 bytes in one token each way; every token is touched once."""
    text = "ab" * 50_000
    ids = [ord(c) for c in text]
    aligned = cf.align([(PLAIN, ids), GPT2], text)
    assert aligned.token_boundaries[0].tolist() == aligned.byte_boundaries.tolist()
