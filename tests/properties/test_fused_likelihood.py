"""The fused likelihood on every tokenizer family: the formula of the definition, read from full rows, says the same."""

from __future__ import annotations

import math
import random
from functools import lru_cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolfusion.errors import UnrepresentableTextError
from coolfusion.evaluation import score_texts
from coolfusion.evaluation.words import common_cuts
from coolfusion.fusion import Fusion, Member
from coolfusion.models import ScriptedModel
from coolfusion.models.numerics import log_softmax
from coolfusion.toy import spaced_tokenizer
from fixtures import Family, examples, some_families
from strategies import texts

END = 2  # of the small tokenizer


def dicer(tokenizer, end: int, name: str) -> Member:
    """A member whose logits are random, fixed by the last two ids."""

    @lru_cache(maxsize=4096)
    def row(ids: tuple[int, ...]) -> list[float]:
        dice = random.Random(f"{name}/{ids}")
        return [dice.uniform(-3.0, 3.0) for _ in range(tokenizer.vocab_size)]

    model = ScriptedModel(lambda ids: row(ids[-2:]), tokenizer.vocab_size, eos_token_ids=(end,), name=name)
    return Member(model, tokenizer)


def logprobs(member: Member, ids: list[int]) -> list[float]:
    return log_softmax(member.runner._logits(tuple(ids)))


def reading(member: Member, context: str, text: str) -> tuple[list[int], list[int]]:
    """The ids of the context, and of the text after it: canonical for both where the context's stay, else alone."""
    encode = member.tokenizer.encode
    before, both = encode(context), encode(context + text)
    return before, both[len(before) :] if both[: len(before)] == before else encode(text, continues=True)


def literal(members: list[Member], context: str, text: str) -> float:
    """The fused likelihood as docs/definitions.md defines it, for equal weights."""
    data, readings = text.encode(), [reading(member, context, text) for member in members]
    pairs = list(zip(members, readings, strict=True))
    joined = [member.tokenizer.encode(context + text)[: len(ids)] == ids for member, (ids, _) in pairs]
    heads = [context.encode() if whole else b"" for whole in joined]
    cuts = common_cuts([member.tokenizer for member in members], heads, data)
    columns = []
    for member, (before, ids) in zip(members, readings, strict=True):
        ends, at = {0: 0}, 0
        for n, token_id in enumerate(ids, 1):
            at += len(member.tokenizer.token_bytes(token_id))
            ends[at] = n
        if b"".join(map(member.tokenizer.token_bytes, ids)) != data:  # CLIP holds the space after a word
            ends = {0: 0, len(data): len(ids)}
        columns.append((member, before, ids, ends))
    cuts = [cut for cut in cuts if all(cut.position in ends for *_, ends in columns)]
    masses = [[0.0] * (len(cuts) + 2) for _ in members]
    for (member, before, ids, ends), own in zip(columns, masses, strict=True):
        for t, cut in enumerate(cuts, 1):
            row = logprobs(member, [*before, *ids[: ends[cut.position]]])
            control = {*member.tokenizer.control_ids, *member.tokenizer.unused_ids}
            starts = [
                i
                for i in range(len(row))
                if (i not in control and member.tokenizer.token_bytes(i)[:1] in [bytes([f]) for f in cut.followers])
                or i in member.runner.eos_token_ids
            ]
            own[t] = math.log(math.fsum(math.exp(row[i]) for i in starts))
    edges = [0, *(cut.position for cut in cuts), len(data)]
    total = 0.0
    for t, (start, end) in enumerate(pairwise(edges)):
        terms = []
        for (member, before, ids, ends), own in zip(columns, masses, strict=True):
            part = range(ends[start], ends[end])
            log_p = math.fsum(logprobs(member, [*before, *ids[:n]])[ids[n]] for n in part)
            terms.append(math.exp(log_p + own[t + 1] - own[t]) / len(members))
        total += math.log(math.fsum(terms))
    return total


@st.composite
def prose(draw: st.DrawFn) -> str:
    """Words with white space of all kinds between them, after text that goes on or stops."""
    words = st.sampled_from(["the", "cat", "on", "don't", "mat.", "naïve", "12", "dog,", "日本"])
    spaces = st.sampled_from([" ", " ", " ", "\n", "  ", "\t", " \n"])
    pieces = draw(st.lists(st.tuples(spaces, words), min_size=1, max_size=5))
    return "".join(space + word for space, word in pieces)


@some_families(lambda family: family.made)
@examples(0.2)
@given(context=prose() | texts(max_pieces=2), text=prose() | texts(max_pieces=3))
def test_the_likelihood_is_that_of_the_definition(family: Family, context: str, text: str) -> None:
    context, text = f"x{context}"[:40], text[:40]
    end = (family.tok.control_ids or [0])[-1]
    members = [dicer(family.tok, end, "one"), dicer(spaced_tokenizer(), END, "two")]
    sayable = all(member.tokenizer.represents(context) for member in members)
    if not text or not sayable:
        return
    try:
        [alone] = score_texts(Fusion([members[0]]), [(context, text)])
        [found] = score_texts(Fusion(members, rule="paper"), [(context, text)])
    except UnrepresentableTextError:
        whole = [member.tokenizer.represents(context + text) for member in members]
        parts = [member.tokenizer.represents(text, continues=True) for member in members]
        assert not all(whole) or not all(parts)
        return
    before, ids = reading(members[0], context, text)
    expected = math.fsum(logprobs(members[0], [*before, *ids[:n]])[i] for n, i in enumerate(ids))
    assert alone.logprob == pytest.approx(expected, abs=1e-9)
    assert alone.members == (pytest.approx(expected, abs=1e-9),)
    assert "".join(found.words) == text
    assert found.logprob == pytest.approx(literal(members, context, text), abs=1e-9)
