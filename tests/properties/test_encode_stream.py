"""StreamEncoder: after every push the ids are the canonical encoding of all text so far."""

from __future__ import annotations

import pickle
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import coolfusion as cf
from fixtures import Family, every_family, examples
from reference import NaiveStreamEncoder
from strategies import broken_bytes, cut_bytes, cut_texts, texts


@every_family
@examples()
@given(parts=cut_texts(max_pieces=10), words=st.integers(0, 6))
def test_ids_equal_the_whole_encoding_in_random_cuts(family: Family, parts: list[str], words: int) -> None:
    """The ids of a stream equal the full encoding after every push, for every window; the certificate never fails."""
    encoder, naive = cf.StreamEncoder(family.tok, context_words=words), NaiveStreamEncoder(family.tok.encode)
    for part in parts:
        edit = encoder.push(part)
        naive.push(part)
        assert encoder.ids == naive.ids
        assert encoder.text == naive.text
        assert isinstance(edit.drop, int)
    assert encoder.widened == 0


@every_family
@examples(0.5)
@given(text=texts(max_pieces=6))
def test_ids_equal_the_whole_encoding_one_character_at_a_time(family: Family, text: str) -> None:
    """The same, one character at a time; the edits alone rebuild the ids."""
    encoder = cf.StreamEncoder(family.tok)
    rebuilt: list[int] = []
    for count, character in enumerate(text, start=1):
        edit = encoder.push(character)
        assert 0 <= edit.drop <= len(rebuilt)
        rebuilt = rebuilt[: len(rebuilt) - edit.drop] + edit.ids
        assert rebuilt == encoder.ids == family.tok.encode(text[:count])
        assert len(encoder) == len(rebuilt)
    assert encoder.widened == 0


@every_family
@examples(0.3)
@given(parts=cut_bytes())
def test_bytes_may_be_cut_inside_characters(family: Family, parts: list[bytes]) -> None:
    """Bytes are held until a character is whole; then the ids are those of the text so far."""
    encoder = cf.StreamEncoder(family.tok)
    data = b""
    for part in parts:
        encoder.push(part)
        data += part
        whole = data.decode("utf-8", "ignore")
        assert encoder.text == whole
        assert encoder.ids == family.tok.encode(whole)


@every_family
@examples(0.3)
@given(parts=cut_texts())
def test_peek_tells_what_push_will_do(family: Family, parts: list[str]) -> None:
    """`peek` gives the edit of `push` and changes nothing."""
    encoder = cf.StreamEncoder(family.tok, context_words=2)
    for part in parts:
        before = encoder.ids
        seen = encoder.peek(part)
        assert encoder.ids == before
        done = encoder.push(part)
        assert (seen.drop, seen.ids, seen.lossless) == (done.drop, done.ids, done.lossless)


@every_family
@examples(0.3)
@given(parts=cut_texts())
def test_an_edit_keeps_as_much_as_it_can(family: Family, parts: list[str]) -> None:
    """`drop` is the smallest number: the edit is exactly how the ids of before and after differ."""
    encoder, naive = cf.StreamEncoder(family.tok), NaiveStreamEncoder(family.tok.encode)
    for part in parts:
        edit = encoder.push(part)
        assert (edit.drop, edit.ids) == naive.push(part)


@every_family
@examples(0.3)
@given(parts=cut_texts())
def test_an_edit_says_whether_the_text_comes_back(family: Family, parts: list[str]) -> None:
    """`lossless` is false as soon as the window does not come back, and true while all of the text does."""
    encoder = cf.StreamEncoder(family.tok)
    for part in parts:
        edit = encoder.push(part)
        if family.tok.represents(encoder.text):
            assert edit.lossless
        if not edit.lossless:
            assert not family.tok.represents(encoder.text)


@every_family
@examples(0.3)
@given(head=cut_texts(4, 2), one=texts(3), two=texts(3))
def test_a_fork_goes_its_own_way(family: Family, head: list[str], one: str, two: str) -> None:
    """`fork` copies: two ways to go on do not see each other."""
    encoder = cf.StreamEncoder(family.tok, context_words=1)
    for part in head:
        encoder.push(part)
    copy = encoder.fork()
    encoder.push(one)
    copy.push(two)
    assert encoder.ids == family.tok.encode("".join(head) + one)
    assert copy.ids == family.tok.encode("".join(head) + two)


@every_family
@examples(0.3)
@given(head=cut_bytes(3, 2), bad=broken_bytes, tail=texts(3))
def test_ill_formed_bytes_leave_the_stream_as_it_was(family: Family, head: list[bytes], bad: bytes, tail: str) -> None:
    """Bytes that cannot become text are refused; the stream goes on as if they had never come."""
    encoder = cf.StreamEncoder(family.tok)
    for part in head:
        encoder.push(part)
    text = b"".join(head).decode()
    try:
        bad.decode()
        cut_off = False
    except UnicodeDecodeError as error:
        cut_off = error.reason == "unexpected end of data" and error.end == len(bad)
        if not cut_off:
            with pytest.raises(cf.TextError, match="UTF-8"):
                encoder.push(bad)
            with pytest.raises(cf.TextError, match="UTF-8"):
                encoder.peek(bad)
            assert encoder.text == text
            encoder.push(tail)
            assert encoder.ids == family.tok.encode(text + tail)
            return
    encoder.push(bad)
    assert encoder.text == text + bad.decode("utf-8", "ignore")


# What a long word without white space is made of: scripts without spaces, pieces that overlap, text of no piece,
# what a normalizer rewrites by itself or together with its neighbours, and what ends a word.
RUNS = (
    *(
        "日本語の文章、漢字仮名。「」ー々〆",
        "สวัสดีครับนี่คือภาษาไทย\u0e33",
        "的我是在有人",
        "カタカナがぎ\u3099\u309aハ\uff9e",
    ),
    *("ab", "abc12,.!?", "абвгд", "ΑΣΟΣσς", "éèe\u0301\u0300a\u0323", "``''\"", "=\u0338<>", "[UNK]", "\u2581ab"),
    *(
        "🙂👩\u200d🏽🇩🇪",
        "\u0001\u007f\u00ad\u200b",
        "ﬁ㍿①ｆｕｌｌ",
        "한국어\u1100\u1161\u11a8",
        "\u0600\u06dd١٢",
        "\u3000\u00a0 ",
        "a\u200d\u2581",
    ),
)
long_words = st.lists(
    st.one_of(
        st.sampled_from(RUNS).flatmap(lambda run: st.text(st.sampled_from(run), min_size=1, max_size=50)),
        st.builds(lambda run, count: run[:2] * count, st.sampled_from(RUNS), st.integers(20, 60)),
        st.sampled_from([" ", "  ", "\n", "<table>", "LS] x"]),
    ),
    min_size=1,
    max_size=6,
).map("".join)


@every_family
@examples(0.5)
@given(text=long_words, words=st.integers(0, 3), size=st.integers(1, 9))
def test_long_words_go_on_where_they_stopped(family: Family, text: str, words: int, size: int) -> None:
    """Inside a word a stream carries the sum of scores over, elsewhere nothing: the ids are those of the whole."""
    encoder = cf.StreamEncoder(family.tok, context_words=words)
    rebuilt: list[int] = []
    for start in range(0, len(text), size):
        seen = encoder.peek(text[start : start + size])
        edit = encoder.push(text[start : start + size])
        assert (seen.drop, seen.ids, seen.lossless) == (edit.drop, edit.ids, edit.lossless)
        rebuilt = rebuilt[: len(rebuilt) - edit.drop] + edit.ids
        assert rebuilt == family.tok.encode(text[: start + size])
    assert encoder.ids == rebuilt
    assert encoder.widened == 0


@every_family
@examples(0.3)
@given(
    run=st.sampled_from((" ", "a", "ab", "\n", "中", "🙂", "é", "e\u0301", "\u00a0", "\u200b", "\u2581")),
    parts=st.lists(st.one_of(st.none(), texts(2), st.integers(1, 40)), min_size=1, max_size=12),
    fork_at=st.integers(0, 12),
    order=st.randoms(use_true_random=False),
)
def test_edits_of_a_long_run_may_be_read_later(
    family: Family, run: str, parts: list[str | int | None], fork_at: int, order: Random
) -> None:
    """An edit tells what its push changed, whenever it is read, in any order, and whatever became of the stream."""
    encoder, naive = cf.StreamEncoder(family.tok), NaiveStreamEncoder(family.tok.encode)
    # A stretch is carried from 512 bytes on.
    pieces = [
        run * (600 // len(run.encode())),
        *(run * (part or 1) if not isinstance(part, str) else part for part in parts),
    ]
    edits, expected = [], []
    for index, piece in enumerate(pieces):
        if index == fork_at:
            encoder.fork().push("x")
        edits.append(encoder.push(piece))
        expected.append(naive.push(piece))
        assert len(encoder) == len(naive.ids)
    assert encoder.ids == naive.ids
    encoder = encoder.fork()
    assert encoder.ids == naive.ids
    for index in order.sample(range(len(edits)), len(edits)):
        assert (edits[index].drop, edits[index].ids) == expected[index]
        assert pickle.loads(pickle.dumps(edits[index])) == edits[index]
