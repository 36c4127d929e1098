"""StreamDecoder: text that is never withdrawn, equal to the whole decoding, wherever it begins."""

from __future__ import annotations

from array import array
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

import coolfusion as cf
from fixtures import Family, every_family, examples
from reference import stream_text
from strategies import broken_bytes, texts


def _any_ids(draw: st.DataObject, family: Family) -> list[int]:
    """Ids that a model may write: canonical text, any tokens, and tokens of single bytes that are no UTF-8."""
    known, single_bytes = family.known, family.single_bytes
    part = st.one_of(
        texts(3).map(family.tok.encode),
        broken_bytes.map(lambda data: [single_bytes[byte] for byte in data if byte in single_bytes]),
        st.lists(st.integers(0, len(known) - 1), max_size=4).map(lambda found: [known[n] for n in found]),
    )
    return [n for ids in draw.draw(st.lists(part, max_size=3)) for n in ids]


def _stream(family: Family, ids: list[int], prompt: list[int] | None = None) -> list[str]:
    decoder = cf.StreamDecoder(family.tok, prompt_ids=prompt or [])
    return [*(decoder.push(n) for n in ids), decoder.flush()]


@every_family
@examples(0.5)
@given(data=st.data())
def test_stream_equals_the_whole_decoding(family: Family, data: st.DataObject) -> None:
    """Stream = whole: all that is pushed out, with the flush, is the decoding of all ids."""
    ids = _any_ids(data, family)
    assert "".join(_stream(family, ids)) == family.tok.decode_bytes(ids).decode("utf-8", "replace")


@every_family
@examples(0.5)
@given(text=texts())
def test_stream_of_an_encoding_is_the_text(family: Family, text: str) -> None:
    """Stream = whole for canonical ids: a text that comes back comes back from the stream."""
    if family.tok.represents(text):
        assert "".join(_stream(family, family.tok.encode(text))) == text


@every_family
@examples(0.5)
@given(data=st.data())
def test_nothing_is_ever_withdrawn(family: Family, data: st.DataObject) -> None:
    """Whatever follows, what was shown stays: it is a prefix of the decoding of every continuation."""
    ids = _any_ids(data, family)
    shown = ""
    decoder = cf.StreamDecoder(family.tok)
    for count, token_id in enumerate(ids, start=1):
        shown += decoder.push(token_id)
        for more in ([], ids[count : count + 1], ids[count:], family.tok.encode("a"), family.tok.encode("😀")):
            whole = family.tok.decode_bytes(ids[:count] + more).decode("utf-8", "replace")
            assert whole.startswith(shown)
        # Nothing final is held back: only bytes that may become a character, three at most, are missing.
        missing = family.tok.decode_bytes(ids[:count]).decode("utf-8", "replace").removeprefix(shown)
        assert missing in ("", "\ufffd")


@every_family
@examples(0.5)
@given(data=st.data())
def test_stream_after_a_prompt_owes_only_what_follows(family: Family, data: st.DataObject) -> None:
    """After a prompt that ends anywhere, inside a character too: the whole decoding less the prompt's characters."""
    ids = _any_ids(data, family)
    cut = data.draw(st.integers(0, len(ids)))
    prompt, rest = ids[:cut], ids[cut:]
    start = family.tok.decode_bytes(prompt)
    whole = family.tok.decode_bytes(ids)
    assert whole.startswith(start)
    assert "".join(_stream(family, rest, prompt)) == stream_text(start, whole[len(start) :])


@every_family
@examples(0.5)
@given(data=st.data())
def test_extend_is_push_for_each(family: Family, data: st.DataObject) -> None:
    """Lists, tuples, generators and arrays, cut anywhere, between pushes: always what `push` gives."""
    ids = _any_ids(data, family)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(ids)), max_size=3)))
    one, many = cf.StreamDecoder(family.tok), cf.StreamDecoder(family.tok)
    for start, end in zip([0, *cuts], [*cuts, len(ids)], strict=True):
        expected = "".join(one.push(n) for n in ids[start:end])
        given_as = data.draw(st.sampled_from([list, tuple, iter, *(partial(array, code) for code in "Iq")]))
        assert many.extend(given_as(ids[start:end])) == expected
        assert one.fork().flush() == many.fork().flush()
    assert family.tok.decode(array("I", ids)) == family.tok.decode_bytes(array("i", ids)).decode("utf-8", "replace")


@every_family
@examples(0.2)
@given(data=st.data())
def test_a_refused_extend_changes_nothing(family: Family, data: st.DataObject) -> None:
    """An unknown id anywhere: its position in the argument is named, and the stream goes on as if nothing had come."""
    ids = _any_ids(data, family)
    cut = data.draw(st.integers(0, len(ids)))
    rest = ids[cut:]
    at = data.draw(st.integers(0, len(rest)))
    decoder = cf.StreamDecoder(family.tok)
    head = decoder.extend(ids[:cut])
    with pytest.raises(cf.UnknownTokenError, match=rf"token id 4000000000 at position {at} "):
        decoder.extend([*rest[:at], 4_000_000_000, *rest[at:]])
    assert head + decoder.extend(rest) + decoder.flush() == "".join(_stream(family, ids))


@every_family
@examples(0.2)
@given(data=st.data())
def test_a_fork_goes_its_own_way(family: Family, data: st.DataObject) -> None:
    """`fork` copies: pushing to the copy leaves the stream as it was."""
    ids = _any_ids(data, family)
    cut = data.draw(st.integers(0, len(ids)))
    decoder = cf.StreamDecoder(family.tok)
    head = [decoder.push(n) for n in ids[:cut]]
    copy = decoder.fork()
    for token_id in family.tok.encode("other 😀"):
        copy.push(token_id)
    copy.flush()
    tail = [*(decoder.push(n) for n in ids[cut:]), decoder.flush()]
    assert head + tail == _stream(family, ids)
