"""I19: an alignment is the common cuts of its encodings, loses no token, and does not depend on their order."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import coolfusion as cf
from fixtures import FAMILIES, Family, every_family, examples, family, is_control, sayable
from reference import aligned, byte_spans, decode, space_starts, token_bytes
from strategies import broken_bytes, texts

pytest.importorskip("numpy", reason="the arrays of an alignment are NumPy's")

GPT2, LLAMA2 = family("made_gpt2"), family("made_llama2")
OTHERS = [
    family(f"made_{name}") for name in ("gpt2", "llama2", "llama3", "qwen", "multi_word", "unigram", "t5", "bert")
]


@cache
def _pieces(family: Family) -> dict[bytes, list[int]]:
    """The tokens of a vocabulary by their bytes."""
    found: dict[bytes, list[int]] = {}
    for token_id in family.known:
        found.setdefault(family.tok.token_bytes(token_id), []).append(token_id)
    return found


def _segmentation(draw: st.DrawFn, family: Family, data: bytes) -> list[int] | None:
    """Ids that decode to ``data``, cut at random, with control tokens between; None where the draw has no way on."""
    pieces, ids = _pieces(family), []
    drops = family.described["decode_drops_first_space"]
    rest = b" " + data if drops else data
    longest = draw(st.integers(1, 8))
    while rest:
        sizes = [size for size in range(1, min(longest, len(rest)) + 1) if rest[:size] in pieces]
        if not sizes:
            return None
        size = draw(st.sampled_from(sizes))
        ids += pieces[rest[:size]][:1]
        rest = rest[size:]
        if pieces.get(b"") and draw(st.integers(0, 9)) == 0:
            ids.append(draw(st.sampled_from(pieces[b""])))
    return ids


def _spans(family: Family, ids: list[int]) -> list[tuple[int, int]]:
    if family.suffixed:
        # A word owes a space, which stands before the next token.
        table = token_bytes(family.definition, is_control)
        ends = [len(decode(family.definition, table, ids[:count])) for count in range(len(ids) + 1)]
        return list(pairwise(ends))
    return byte_spans(family.tok.token_bytes, ids, family.described["decode_drops_first_space"])


def _as_lists(alignment: cf.Alignment) -> list[tuple[int, list[int]]]:
    counts = zip(*(each.tolist() for each in alignment.token_boundaries), strict=True)
    return [(at, list(each)) for at, each in zip(alignment.byte_boundaries.tolist(), counts, strict=True)]


def _check_shape(alignment: cf.Alignment) -> None:
    """What holds for every alignment: no token is lost, none comes twice, every group has one."""
    cuts = alignment.byte_boundaries.tolist()
    assert cuts[0] == 0
    assert cuts[-1] == len(alignment.text_bytes)
    assert len(cuts) == len(alignment) + 1 >= 2
    assert all(left < right for left, right in pairwise(cuts)) or cuts == [0, 0]
    for number, (counts, ids) in enumerate(zip(alignment.token_boundaries, alignment.ids, strict=True)):
        assert counts.tolist() == sorted(counts.tolist())
        assert (counts[0], counts[-1]) == (0, len(ids))
        groups = alignment.groups(number)
        assert [token for start, end in groups.tolist() for token in range(start, end)] == list(range(len(ids)))
        values = [2.0**-n for n in range(len(ids) % 50)] + [1.0] * (len(ids) - len(ids) % 50)
        assert alignment.sum(number, values).tolist() == [sum(values[start:end]) for start, end in groups.tolist()]
    if len(alignment) > 1:
        widths = [(counts[1:] - counts[:-1]).tolist() for counts in alignment.token_boundaries]
        assert all(any(each) for each in zip(*widths, strict=True))


@every_family
@examples(0.5)
@given(data=st.data())
def test_ids_of_one_text_equal_the_twin(family: Family, data: st.DataObject) -> None:
    """Any segmentations of any bytes, canonical or not, with control tokens between: the cuts are those of the twin."""
    text = data.draw(st.one_of(texts(3).map(str.encode), broken_bytes))
    members = [family, *data.draw(st.lists(st.sampled_from(OTHERS), max_size=2))]
    encodings = []
    for member in members:
        ids = _segmentation(data.draw, member, text)
        if ids is None and text.decode("utf-8", "ignore").encode() == text:
            ids = member.tok.encode(text)  # its bytes may still be others
        assume(ids is not None and member.tok.decode_bytes(ids) == text)
        encodings.append((member, ids))
    characters = data.draw(st.booleans())
    given_text = data.draw(st.sampled_from([None, text]))
    found = cf.align([(member.tok, ids) for member, ids in encodings], given_text, characters=characters)
    expected = aligned(text, [_spans(member, ids) for member, ids in encodings], characters)
    assert _as_lists(found) == expected
    assert found.text_bytes == text
    assert found.text == text.decode("utf-8", "replace")
    _check_shape(found)
    # A group's tokens say the group's text.
    for number, (member, ids) in enumerate(encodings):
        ends = found.token_boundaries[number].tolist()
        data_of = [member.tok.decode_bytes(ids[:end]) for end in ends]
        assert [text[:cut] for cut in found.byte_boundaries.tolist()] == data_of


@every_family
@examples(0.5)
@given(data=st.data())
def test_every_family_aligns_its_canonical_encoding(family: Family, data: st.DataObject) -> None:
    """Lossy ones too: nothing is lost, the order does not matter, and a common word boundary is a common cut."""
    text = data.draw(texts(5))
    toks = [family.tok, *(other.tok for other in data.draw(st.lists(st.sampled_from(OTHERS), max_size=2)))]
    found = cf.align(toks, text)
    _check_shape(found)
    assert found.text == text
    assert [ids.tolist() for ids in found.ids] == [tok.encode(text) for tok in toks]
    back = cf.align(toks[::-1], text)
    assert _as_lists(back) == [(at, counts[::-1]) for at, counts in _as_lists(found)]
    given_ids = cf.align([(tok, ids) for tok, ids in zip(toks, found.ids, strict=True)], text)
    assert _as_lists(given_ids) == _as_lists(found)
    cuts = dict(_as_lists(found))
    last = max((at for at, counts in cuts.items() if at < len(text.encode())), default=0)
    for at in cf.common_boundaries(toks, text.encode()):
        before = [len(tok.encode(text.encode()[:at].decode())) for tok in toks]
        assert at in cuts or at > last or before in cuts.values(), "only where no token parts it from a cut is it none"


PLAIN_WORDS = ("the", " cat", "  ", " sat", "!", "dog", "Q", "zqx", " ")
LOSSY = [family(f"made_{name}") for name in ("bert", "bert_uncased", "t5", "word_level")]


@pytest.mark.parametrize("family", LOSSY, ids=repr)
@given(text=st.lists(st.sampled_from(PLAIN_WORDS), min_size=1, max_size=6).map("".join))
def test_lossy_encodings_of_plain_words_equal_the_twin(family: Family, text: str) -> None:
    """Spans are the library's own offsets, which can be trusted as long as there are only words and spaces."""
    ids = family.tok.encode(text)
    if family.tok.decode_bytes(ids) == text.encode():
        return  # as ids of any other text
    found = family.oracle.encode(text, add_special_tokens=False)
    assert found.ids == ids
    for members in ([family], [family, family], [family, GPT2], [GPT2, family, LLAMA2]):
        spans = [found.offsets if each is family else _spans(each, each.tok.encode(text)) for each in members]
        assert _as_lists(cf.align([each.tok for each in members], text)) == aligned(text.encode(), spans)


@every_family
@examples(0.5)
@given(text=texts(5))
def test_the_tokens_before_a_settled_cut(family: Family, text: str) -> None:
    """By the definition of a settled cut: after it stands T' of the rest, so the others stand before it."""
    if not (family.restarts and family.certified):
        assert not family.certified or not family.described["window"]["factorises_at_word_boundaries"]
        return
    (counts,) = cf.align([family.tok], text).token_boundaries
    cuts = dict(zip(cf.align([family.tok], text).byte_boundaries.tolist(), counts.tolist(), strict=True))
    settled = [at for at in space_starts(text) if at in family.tok.settled_cuts(text)]
    for at in settled:
        byte = len(text[:at].encode())
        if byte in cuts:
            rest = family.tok.encode(text[at:], continues=True)
            assert cuts[byte] == counts[-1] - len(rest)


@every_family
@examples(0.3)
@given(data=st.data())
def test_control_tokens_around_a_lossy_encoding(family: Family, data: st.DataObject) -> None:
    """[CLS] and [SEP] of BERT: with them the cuts are the same, and they go with the first and the last group."""
    text = data.draw(texts(4, min_pieces=1))
    tok, ids = family.tok, family.tok.encode(text)
    # The unknown token is one too, but where it stands for text nobody could tell which is which.
    control = [token_id for token_id in tok.control_ids if token_id not in ids][:1]
    assume(ids)
    plain = cf.align([tok, GPT2.tok], text)
    framed = cf.align([(tok, [*control, *ids, *control]), GPT2.tok], text)
    _check_shape(framed)
    assert framed.byte_boundaries.tolist() == plain.byte_boundaries.tolist()
    before, after = plain.token_boundaries[0].tolist(), framed.token_boundaries[0].tolist()
    extra = len(control)  # some have none
    assert after == [0, *(count + extra for count in before[1:-1]), before[-1] + 2 * extra]


@pytest.mark.parametrize("family", [each for each in FAMILIES if not each.lossless], ids=repr)
@examples(0.5)
@given(data=st.data())
def test_other_ids_of_the_same_normalised_bytes(family: Family, data: st.DataObject) -> None:
    """What a lossy model wrote in its own way: never more cuts than the canonical ids have in the same places."""
    text = data.draw(texts(3)) + data.draw(
        st.sampled_from(["e\u0301 x", "ﬁ b", "  a", "\u2581b", "\u212b\u0301", "\x03"])
    )
    normal = family.tok.decode_bytes(family.tok.encode(text))
    ids = _segmentation(data.draw, family, normal)
    assume(ids and family.tok.decode_bytes(ids) == normal)
    found = cf.align([(family.tok, ids), GPT2.tok], text)
    _check_shape(found)
    assert found.text == text
    if normal == text.encode():
        return  # as any other ids of the text
    canonical = cf.align([family.tok, GPT2.tok], text)
    own = [*found.byte_boundaries.tolist()][1:-1]
    assert set(own) <= set(canonical.byte_boundaries.tolist()) | set(canonical_ends(family.tok, text))


def canonical_ends(tok: cf.Tokenizer, text: str) -> list[int]:
    """The cuts of a canonical encoding alone: where it meets an encoding of single bytes."""
    everywhere = [GPT2.tok, GPT2.tok]
    ids: Any = [next(iter(_pieces(GPT2)[bytes([byte])])) for byte in text.encode()]
    return cf.align([tok, (everywhere[0], ids)], text).byte_boundaries.tolist()


@pytest.mark.parametrize("family", [each for each in FAMILIES if each.lossless], ids=repr)
@examples(0.2)
@given(text=texts(3).map(sayable))
def test_what_is_not_the_text_is_refused(family: Family, text: str) -> None:
    """The encoding and the first byte that differs are named."""
    other = f"zq{text}zq"
    at = next(n for n, byte in enumerate(other.encode()) if text.encode()[n : n + 1] != bytes([byte]))
    refused = rf"^encoding 1 \(.*\) is not one of the text: at byte {at} it says .*, expected "
    with pytest.raises(cf.AlignmentError, match=refused):
        cf.align([GPT2.tok, (family.tok, family.tok.encode(other))], text)
