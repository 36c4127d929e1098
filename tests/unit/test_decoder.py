"""StreamDecoder, by examples: what is held, what is shown, what is refused."""

from __future__ import annotations

import time
from array import array

import pytest

import coolfusion as cf
from fixtures import family

LLAMA2 = family("made_llama2").tok
GPT2 = family("made_gpt2").tok


def _byte_ids(tok: cf.Tokenizer) -> dict[int, int]:
    found = {tok.token_bytes(n)[0]: n for n in reversed(range(tok.vocab_size)) if len(tok.token_bytes(n)) == 1}
    assert len(found) == 256
    return found


def _push_bytes(tok: cf.Tokenizer, data: bytes, prompt: bytes = b"x") -> list[str]:
    ids = _byte_ids(tok)
    decoder = cf.StreamDecoder(tok, [ids[byte] for byte in prompt])
    return [*(decoder.push(ids[byte]) for byte in data), decoder.flush()]


@pytest.mark.parametrize("tok", [LLAMA2, GPT2], ids=["llama2", "gpt2"])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("岁".encode(), ["", "", "岁", ""]),
        ("a😀b".encode(), ["a", "", "", "", "😀", "b", ""]),
        # A whole character stays when a stray byte follows: ByteFallback would turn all four into U+FFFD.
        (b"\xe5\xb2\x81\xe5", ["", "", "岁", "", "\ufffd"]),
        # One ill-formed byte is one U+FFFD, and the stream goes on.
        (b"\x81\xe5\xb2\x81", ["\ufffd", "", "", "岁", ""]),
        (b"\xff\xff", ["\ufffd", "\ufffd", ""]),
        # A literal U+FFFD is text and is not held back.
        ("a\ufffd b".encode(), ["a", "", "", "\ufffd", " ", "b", ""]),
        # The maximal subpart F0 9F is one U+FFFD; a surrogate is three.
        (b"\xf0\x9fA", ["", "", "\ufffdA", ""]),
        (b"\xed\xa0\x80", ["", "\ufffd\ufffd", "\ufffd", ""]),
        (b"\xe5\xb2", ["", "", "\ufffd"]),
    ],
    ids=repr,
)
def test_bytes_one_by_one(tok: cf.Tokenizer, data: bytes, expected: list[str]) -> None:
    """Nothing leaves before it is certain, nothing certain is held, one U+FFFD for each maximal ill-formed part."""
    assert _push_bytes(tok, data) == expected
    assert "".join(expected) == data.decode("utf-8", "replace")


def test_the_dummy_space_is_dropped_once_and_only_at_the_start() -> None:
    """Token by token the text of a SentencePiece tokenizer is the text, without a space before it."""
    ids = LLAMA2.encode("Hello world foo")
    decoder = cf.StreamDecoder(LLAMA2)
    assert "".join(decoder.push(n) for n in ids) + decoder.flush() == "Hello world foo"
    after = cf.StreamDecoder(LLAMA2, prompt_ids=LLAMA2.encode("Hello"))
    assert "".join(after.push(n) for n in LLAMA2.encode(" world", continues=True)) == " world"


def test_control_tokens_at_the_start_keep_the_start() -> None:
    """BOS is no text: the first text token after it still begins with the dummy space."""
    bos = LLAMA2.control_ids[1]
    decoder = cf.StreamDecoder(LLAMA2, prompt_ids=[bos])
    assert "".join(decoder.push(n) for n in LLAMA2.encode("word")) == "word"


def test_a_prompt_that_ends_inside_a_character() -> None:
    """The whole character is owed when it is complete, because nobody could show it before."""
    ids = _byte_ids(GPT2)
    for cut in (1, 2, 3):
        data = "😀".encode()
        decoder = cf.StreamDecoder(GPT2, prompt_ids=[ids[byte] for byte in b"ab" + data[:cut]])
        shown = [decoder.push(ids[byte]) for byte in data[cut:]]
        assert shown == [""] * (3 - cut) + ["😀"]
        assert decoder.flush() == ""


def test_flush_ends_the_text_and_may_come_again() -> None:
    """What is held becomes one U+FFFD, once."""
    ids = _byte_ids(GPT2)
    decoder = cf.StreamDecoder(GPT2)
    assert decoder.push(ids[0xE5]) == ""
    assert decoder.flush() == "\ufffd"
    assert decoder.flush() == ""
    assert decoder.push(ids[0x41]) == "A"


@pytest.mark.parametrize("token_id", [GPT2.vocab_size, 2**32, -1])
def test_an_unknown_id_leaves_the_stream_as_it_was(token_id: int) -> None:
    """Also in the middle of a character."""
    ids = _byte_ids(GPT2)
    decoder = cf.StreamDecoder(GPT2)
    data = "岁".encode()
    decoder.push(ids[data[0]])
    with pytest.raises(cf.UnknownTokenError, match=rf"token id {token_id} .*expected"):
        decoder.push(token_id)
    assert decoder.push(ids[data[1]]) + decoder.push(ids[data[2]]) == "岁"


@pytest.mark.parametrize("name", ["made_gpt2", "made_llama2", "made_t5", "made_bert"])
def test_a_string_that_was_kept_is_the_string_of_its_bytes(name: str) -> None:
    """Every id, when it comes first and when it comes again, also inside a character, which no kept string may end."""
    tok = family(name).tok
    known = sorted(set(range(tok.vocab_size)) - set(tok.unused_ids))
    letter = next(n for n in known if (data := tok.token_bytes(n)).isalpha() and len(data) == 1)
    for turn in range(12):
        for token_id in known:
            decoder = cf.StreamDecoder(tok, prompt_ids=[letter])
            shown = decoder.push(token_id) + decoder.flush()
            assert shown == tok.token_bytes(token_id).decode("utf-8", "replace"), (turn, token_id)
    if name in ("made_gpt2", "made_llama2"):
        ids = _byte_ids(tok)
        decoder = cf.StreamDecoder(tok, prompt_ids=[letter, ids[0xE5]])
        text = tok.token_bytes(letter).decode()
        assert [decoder.push(letter), decoder.push(letter)] == [f"\ufffd{text}", text]


def test_kept_strings_stay_within_their_room() -> None:
    """At most 14 bytes for each id of the vocabulary, 96 for each string, and no long ones."""
    tok = cf.Tokenizer.from_file(family("made_gpt2").path)
    decoder = cf.StreamDecoder(tok, prompt_ids=tok.encode("A"))
    whole = [
        n for n in range(tok.vocab_size) if (data := tok.token_bytes(n)).decode("utf-8", "ignore").encode() == data
    ]
    long = [n for n in whole if len(tok.token_bytes(n)) > 4]
    assert not any(decoder.push(n) is decoder.push(n) for n in long), "not before they came often"
    for _ in range(10):
        for token_id in long:
            decoder.push(token_id)
    kept = [n for n in long if decoder.push(n) is decoder.push(n)]
    assert 0 < len(kept) <= tok.vocab_size * 14 // 96
    assert all(len(tok.token_bytes(n)) <= 32 for n in kept)
    assert decoder.fork().push(kept[0]) is decoder.push(kept[0]) is cf.StreamDecoder(tok, tok.encode("A")).push(kept[0])


def test_an_unknown_id_is_counted_after_kept_strings() -> None:
    """Its position is the number of ids before it, whichever way they went."""
    ids = GPT2.encode("a cat and a cat and a cat")
    decoder = cf.StreamDecoder(GPT2)
    for count in range(1, 4):
        for token_id in ids * 10:
            decoder.push(token_id)
        with pytest.raises(cf.UnknownTokenError, match=rf"at position {count * 10 * len(ids)} "):
            decoder.push(GPT2.vocab_size)


def test_an_id_that_is_no_number() -> None:
    decoder = cf.StreamDecoder(GPT2)
    with pytest.raises(cf.ArgumentError, match=r"token id 'a' .*expected an integer"):
        decoder.push("a")  # type: ignore[arg-type]
    assert decoder.push(GPT2.encode("a")[0]) == "a"


def test_an_unknown_id_in_the_prompt_is_named_with_its_position() -> None:
    with pytest.raises(cf.UnknownTokenError, match=r"token id 999999 at position 1 "):
        cf.StreamDecoder(GPT2, prompt_ids=[5, 999_999])
    with pytest.raises(cf.ArgumentError, match="token ids are of type int"):
        cf.StreamDecoder(GPT2, prompt_ids=7)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [*(f"{sign}{width}" for sign in "iu" for width in (1, 2, 4, 8)), ">u4", "<i8"])
def test_arrays_of_every_integer_type(dtype: str) -> None:
    """Also of the other byte order, strided, read-only, empty."""
    numpy = pytest.importorskip("numpy", reason="the arrays are NumPy's")
    ids = [_byte_ids(GPT2)[byte] for byte in b"ThecatsatOn"]
    assert max(ids) < 128
    plain = numpy.array(ids, dtype=dtype)
    frozen = plain.copy()
    frozen.flags.writeable = False
    spaced = numpy.repeat(plain, 2)[::2]
    # A memoryview of the other byte order cannot be read by Python either.
    for given in (plain, frozen, spaced, *([memoryview(frozen)] if plain.dtype.isnative else [])):
        assert cf.StreamDecoder(GPT2).extend(given) == GPT2.decode(given) == GPT2.decode(ids)
    assert GPT2.decode(plain[::-1]) == GPT2.decode(ids[::-1])
    assert cf.StreamDecoder(GPT2).extend(plain[:0]) == GPT2.decode(plain[:0]) == GPT2.decode(array("I")) == ""
    unaligned = numpy.frombuffer(b"x" + plain.tobytes(), dtype=plain.dtype, offset=1)
    assert GPT2.decode(unaligned) == GPT2.decode(ids)


def test_arrays_that_are_no_ids() -> None:
    numpy = pytest.importorskip("numpy", reason="the arrays are NumPy's")
    decoder = cf.StreamDecoder(GPT2)
    for dtype in ("int8", "int32", "int64"):
        with pytest.raises(cf.UnknownTokenError, match=r"token id -1 at position 1: expected an integer from 0"):
            decoder.extend(numpy.array([5, -1], dtype=dtype))
    for dtype in ("int64", "uint64"):
        with pytest.raises(cf.UnknownTokenError, match=r"token id 4294967296 at position 0: expected"):
            decoder.extend(numpy.array([2**32], dtype=dtype))
    with pytest.raises(cf.ArgumentError, match="array of 2 dimensions: expected one"):
        decoder.extend(numpy.array([[5, 6]]))
    with pytest.raises(cf.ArgumentError, match=r"token id .*1\.0.* at position 0: expected an integer"):
        decoder.extend(numpy.array([1.0]))
    assert decoder.extend(numpy.array([])) == ""


def test_what_is_no_sequence_of_ids() -> None:
    decoder = cf.StreamDecoder(GPT2)
    with pytest.raises(cf.ArgumentError, match="token ids are of type int: expected a sequence"):
        decoder.extend(7)  # type: ignore[arg-type]
    with pytest.raises(cf.ArgumentError, match=r"token id None at position 1: expected an integer"):
        decoder.extend([5, None])  # type: ignore[list-item]
    with pytest.raises(ZeroDivisionError):
        decoder.extend(1 // (n - 2) for n in (5, 2))


class Meddler:
    """An integer that works on the stream while it is read, and empties the list that it stands in."""

    def __init__(self, decoder: cf.StreamDecoder, ids: list[object]) -> None:
        self.decoder, self.ids, self.shown = decoder, ids, ""

    def __index__(self) -> int:
        self.shown = self.decoder.push(_byte_ids(GPT2)[0x41])
        self.ids.clear()
        return _byte_ids(GPT2)[0x42]


def test_ids_that_meddle_with_the_stream() -> None:
    """Ids are read before the stream is touched, and from a copy of the list."""
    decoder = cf.StreamDecoder(GPT2)
    ids: list[object] = []
    meddler = Meddler(decoder, ids)
    ids += [meddler, _byte_ids(GPT2)[0x43]]
    assert decoder.extend(ids) == "BC"  # type: ignore[arg-type]
    assert (meddler.shown, ids) == ("A", [])


def _seconds(prompt: list[int], ids: list[int]) -> float:
    best = float("inf")
    for _ in range(5):
        decoder = cf.StreamDecoder(GPT2, prompt_ids=prompt)
        start = time.perf_counter()
        for token_id in ids:
            decoder.push(token_id)
        best = min(best, time.perf_counter() - start)
    return best


def test_time_does_not_depend_on_the_prompt() -> None:
    """A push after 200,000 tokens takes what it takes after one (ten times as long would still pass)."""
    ids = GPT2.encode("It was late and the dog slept. " * 100)
    assert _seconds(ids * 200, ids) < 10 * _seconds(ids[:1], ids)
