"""Segments at the end of a text: honest levels, and only END ids end; T' begins without a dummy prefix."""

from __future__ import annotations

import json

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

import coolfusion as cf
from coolfusion.adapters.wrap import wrap
from fixtures import FAMILIES, Family, every_family, examples
from strategies import texts

KEEPING = [family for family in FAMILIES if family.lossless]


def segments_of(segmenter: cf.Segmenter, ids: list[int]) -> tuple[list[cf.Segment], list[cf.Segment]]:
    """Those that `push` gave and those that `finish` gave."""
    pushed = [segment for n in ids if (segment := segmenter.push(n)) is not None]
    finished = []
    while (segment := segmenter.finish()) is not None:
        finished.append(segment)
    return pushed, finished


@pytest.mark.parametrize("family", KEEPING, ids=repr, scope="session")
@examples(2)
@given(text=texts(5), group=st.lists(st.sampled_from(KEEPING), max_size=2))
def test_a_segment_of_level_word_ends_at_a_common_boundary_of_the_whole_text(
    family: Family, text: str, group: list[Family]
) -> None:
    """Also where `finish` gave it: at the end of the text a mere token cut is of level token."""
    if not family.certified or not all(other.certified for other in group):
        return
    toks = [family.tok, *(other.tok for other in group)]
    if not all(tok.represents(text) for tok in toks):
        return
    common = {*cf.common_boundaries(toks, text)}
    pushed, finished = segments_of(cf.Segmenter(toks[0], toks[1:]), list(toks[0].encode(text)))
    at = 0
    for segment in [*pushed, *finished]:
        at += len(segment.text)
        assert segment.level != "word" or at in common, (segment, at)


def unigram(*pieces: str, pre_tokenizer: object = None, **model: object) -> cf.Tokenizer:
    """A Unigram tokenizer with `<unk>` 0 and `</s>` 1."""
    vocab = [["<unk>", 0.0], ["</s>", 0.0], *([piece, -1.0 - number / 64] for number, piece in enumerate(pieces))]
    added = [
        {
            "id": n,
            "content": c,
            "special": True,
            "normalized": False,
            "lstrip": False,
            "rstrip": False,
            "single_word": False,
        }
        for n, c in enumerate(("<unk>", "</s>"))
    ]
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    definition = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": pre_tokenizer or metaspace,
        "post_processor": None,
        "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": 0, "vocab": vocab, **model},
    }
    return wrap(tokenizers.Tokenizer.from_str(json.dumps(definition)), name="made")


def test_the_unknown_token_is_not_the_end() -> None:
    """It stands for no text, belongs to a segment, and the next push goes on."""
    tok = unigram("▁", "a", "b", "▁a", "▁b")
    ids = list(tok.encode("a/b a"))
    assert 0 in ids
    assert 0 in tok.control_ids
    pushed, finished = segments_of(cf.Segmenter(tok), ids)
    assert [n for segment in [*pushed, *finished] for n in segment.token_ids] == ids
    assert not any(segment.end for segment in [*pushed, *finished])
    pushed, finished = segments_of(cf.Segmenter(tok), [*ids, 1])
    assert [*pushed, *finished][-1].token_ids == [1]
    assert [*pushed, *finished][-1].end


def test_the_caller_may_say_which_ids_end() -> None:
    """`end_ids` may be empty, and may hold ids of text."""
    tok = unigram("▁", "a", "b", "▁a", "▁b")
    ids = [*tok.encode("a b"), 1, *tok.encode(" a", continues=True)]
    pushed, finished = segments_of(cf.Segmenter(tok, end_ids=[]), ids)
    assert [n for segment in [*pushed, *finished] for n in segment.token_ids] == ids
    assert not any(segment.end for segment in [*pushed, *finished])
    last = tok.encode("a b")[-1]
    pushed, finished = segments_of(cf.Segmenter(tok, end_ids=[last]), list(tok.encode("a b")))
    assert [*pushed, *finished][-1].end


class Unknowing:
    """Holds the letters a to z, a space, an END and an unknown token."""

    unk_token_id, eos_token_id, vocab_size = 0, 1, 30

    def encode(self, text: str) -> list[int]:
        return [2 if c == " " else ord(c) - 94 if "a" <= c <= "z" else 0 for c in text]

    def decode(self, ids: list[int]) -> str:
        return "".join("" if n < 2 else " " if n == 2 else chr(n + 94) for n in ids)


def test_the_unknown_token_of_a_wrapped_object_is_not_the_end() -> None:
    """Which token that is shows in how the object encodes rare characters."""
    tok = wrap(Unknowing())
    ids = list(tok.encode("a/b"))
    pushed, finished = segments_of(cf.Segmenter(tok), ids)
    assert [n for segment in [*pushed, *finished] for n in segment.token_ids] == ids
    assert not any(segment.end for segment in [*pushed, *finished])


def test_a_text_after_others_begins_without_a_dummy_prefix() -> None:
    """T5's rule: the mark stands for the white space before a word, and there is none before the first."""
    split = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "WhitespaceSplit"},
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        ],
    }
    tok = unigram("▁", "a", "b", "▁a", "▁b", "ab", "▁ab", pre_tokenizer=split)
    whole = [tok.token_bytes(n).decode() for n in tok.encode("ab ab")]
    assert whole == [" ab", " ab"]
    for text, pieces in (
        ("ab ab", ["ab", " ab"]),
        (" ab ab", [" ab", " ab"]),
        ("  ab", [" ab"]),
        ("\tab", [" ab"]),
        ("", []),
    ):
        assert [tok.token_bytes(n).decode() for n in tok.encode(text, continues=True)] == pieces, text


@every_family
@examples(2)
@given(text=texts(4))
def test_what_follows_a_settled_cut_is_the_encoding_of_a_text_that_continues(family: Family, text: str) -> None:
    """The others are T' of the rest, with or without white space before it."""
    tok = family.tok
    if not family.restarts:
        return
    whole = list(tok.encode(text))
    for at in tok.settled_cuts(text):
        rest = list(tok.encode(text[at:], continues=True))
        assert rest == whole[len(whole) - len(rest) :], (text, at)


@examples(4)
@given(
    words=st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3),
    scheme=st.sampled_from(("always", "first", "never")),
)
def test_the_library_without_the_prefix_says_the_same(words: list[str], scheme: str) -> None:
    """Metaspace of each scheme: T' is what the library gives with the scheme `never`."""
    pre = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": True}
    tok = unigram("▁", "a", "b", "▁a", "▁b", "ab", "▁ab", "ba", pre_tokenizer=pre)
    never = tokenizers.Tokenizer(
        tokenizers.models.Unigram(
            [
                (tok_piece, score)
                for tok_piece, score in [
                    ("<unk>", 0.0),
                    ("</s>", 0.0),
                    *((piece, -1.0 - n / 64) for n, piece in enumerate(("▁", "a", "b", "▁a", "▁b", "ab", "▁ab", "ba"))),
                ]
            ],
            0,
        )
    )
    never.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace("▁", "never", True)
    text = " ".join(words)
    assert list(tok.encode(text, continues=True)) == never.encode(text).ids
