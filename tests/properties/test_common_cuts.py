"""Common cuts of a pool: decided by the text up to the next byte, and token boundaries whatever follows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coolfusion import toy
from coolfusion.evaluation.words import common_cuts
from coolfusion.members.endings import ASCII_WHITE_SPACE
from fixtures import Family, every_family, examples
from strategies import texts

PLAIN, SPACED = toy.tokenizer(), toy.spaced_tokenizer()


def boundaries(family: Family, text: str) -> set[int]:
    """The places of a text, in bytes, where a token ends; the text comes back."""
    ends, found = 0, set()
    ids = family.tok.encode(text)
    extra = sum(len(family.tok.token_bytes(i)) for i in ids) - len(text.encode())
    for token_id in ids:
        ends += len(family.tok.token_bytes(token_id))
        found.add(ends - extra)
    return found


def literal(family: Family, before: bytes, text: bytes) -> dict[int, bytes]:
    """The cuts as the definition says them, each asked for after the whole text before it."""
    found = {}
    for at in range(1, len(text)):
        if text[at] in ASCII_WHITE_SPACE and text[at - 1] not in ASCII_WHITE_SPACE:
            whole = [before + text[:at] + bytes([byte]) for byte in ASCII_WHITE_SPACE]
            cuts = family.tok.settled_cuts(whole)
            ends = [byte for byte, own in zip(ASCII_WHITE_SPACE, cuts, strict=True) if len(before) + at in own]
            if text[at] in ends:
                found[at] = bytes(sorted(ends))
    return found


@every_family
@examples(0.4)
@given(head=texts(max_pieces=3), text=texts(max_pieces=5), suffix=texts(max_pieces=3))
def test_no_later_text_moves_a_cut_or_makes_one(family: Family, head: str, text: str, suffix: str) -> None:
    if not text:
        return
    data, before = text.encode(), head.encode()
    cuts = {cut.position: cut.followers for cut in common_cuts([family.tok], [before], data)}
    # A cut is asked for after the last one; the literal question, after the whole text, has the same answer.
    assert {cut.position: cut.followers for cut in common_cuts([family.tok], [before], data, span=4)} == cuts
    assert literal(family, before, data) == cuts
    later = {cut.position: cut.followers for cut in common_cuts([family.tok], [before], (text + suffix).encode())}
    assert {at: found for at, found in later.items() if at < len(data)} == cuts
    for at, followers in cuts.items():
        assert data[at] in followers and set(followers) <= set(ASCII_WHITE_SPACE)
        for follower in followers:
            whole = head + data[:at].decode() + chr(follower) + suffix
            if family.tok.represents(whole):
                assert len(before) + at in boundaries(family, whole), (at, follower)


@given(words=st.lists(st.sampled_from(["the", "cat", "sat", "on", "mat", "on the", "a"]), min_size=2, max_size=6))
def test_a_pool_has_the_cuts_that_all_its_members_have(words):
    text = " ".join(words).encode()
    own = [{cut.position for cut in common_cuts([one], [b""], text)} for one in (PLAIN, SPACED)]
    both = {cut.position for cut in common_cuts([PLAIN, SPACED], [b"", b""], text)}
    assert both == own[0] & own[1]
    assert all(not text[:at].endswith(b" on") for at in both), "a token of one member may go on with ` the`"


@every_family
def test_a_long_text_before_changes_nothing(family: Family) -> None:
    before = ("It was late. The cat's 12 mats\n sat\ton it, " * 12).encode()
    text = b"and then the dog came.\nNobody knew  why; it was 7 o'clock. "
    assert {cut.position: cut.followers for cut in common_cuts([family.tok], [before], text)} == literal(
        family, before, text
    )
