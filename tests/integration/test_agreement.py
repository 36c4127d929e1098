"""Passes and time against agreement: members that agree on exactly a share of the words, as the benchmarks have them.

Time is virtual, on one device: a pass takes what it is told to, and the loop itself nothing. So what is compared is
the choice of drafts, on any machine.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benches import oracle

import coolfusion as cf
from coolfusion.embedded import folders
from coolfusion.fusion import Fusion
from fusion_parts import literal

PROMPT = "once upon a time"
TEXT = " ".join([PROMPT, *["there was a little girl who lived in a village near the forest with her old dog"] * 12])
SHORT, LONG = (" big", " red", " ball"), (" people", " water", " never")  # one token for all; two to six
WORDS = 120  # four blocks, so that every share is exact


@pytest.fixture(scope="module")
def tokenizers():
    return [cf.Tokenizer.from_pretrained(folder) for folder in folders()]


def written(tokenizers, agreement, drafts, *, forgets=False, seed=0, others=SHORT, **how):
    """The output of so many words of three members, with the share on which they agreed checked."""
    members = oracle.trio(tokenizers, TEXT, agreement, seed=seed, begin=len(PROMPT), others=others, **how)
    fusion = literal(members, rule="paper") if forgets else Fusion(members, drafts=drafts, rule="paper")
    generation = fusion.stream(PROMPT, 10 * WORDS)
    steps = [next(generation) for _ in range(WORDS)]
    assert sum(len(step.candidates) == 1 for step in steps) == pytest.approx(agreement * WORDS)
    return generation.output


def passes(out):
    """Sequential passes per committed token of each member, the prompt's apart."""
    return [(held.forward_passes - 1) / held.committed_tokens for held in out.members]


@pytest.mark.parametrize(("agreement", "most"), [(1.0, 1.0), (0.9, 1.07), (0.8, 1.07), (0.6, 1.3)])
def test_passes_without_drafts(tokenizers, agreement, most):
    out = written(tokenizers, agreement, 0)
    assert max(passes(out)) <= most
    assert out.text == written(tokenizers, agreement, 0, forgets=True).text


@pytest.mark.parametrize("apart", [False, True])
def test_at_full_agreement_the_members_after_the_leader_make_few_passes(tokenizers, apart):
    how = {"seconds": ((2e-3, 0.0), (1e-3, 0.0), (2e-3, 0.0)), "apart": True} if apart else {}
    first, second, leader = sorted(passes(written(tokenizers, 1.0, None, **how)))
    assert first <= second <= 0.5
    assert leader <= 1.2


SECONDS = {
    "a GPU's": ((8e-3, 5e-5), (3.8e-3, 5e-5), (9e-3, 5e-5)),
    "equal models": ((8e-3, 5e-5),) * 3,
    "one small model": ((1e-3, 5e-5), (8e-3, 5e-5), (9e-3, 5e-5)),
    "tokens cost 0.4 passes": ((8e-3, 3.2e-3), (4e-3, 1.6e-3), (9e-3, 3.6e-3)),
    "tokens cost passes": ((8e-3, 8e-3), (4e-3, 4e-3), (9e-3, 9e-3)),
}


@pytest.mark.parametrize("others", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.parametrize("agreement", [1.0, 0.8, 0.6, 0.3])
@pytest.mark.parametrize("name", SECONDS)
def test_drafts_are_never_slower_by_more_than_five_percent(tokenizers, name, agreement, others, monkeypatch):
    now = SimpleNamespace(seconds=0.0)

    def sleep(seconds):
        now.seconds += seconds

    monkeypatch.setattr(oracle, "time", SimpleNamespace(sleep=sleep))
    took = []
    for drafts in (0, None):
        now.seconds = 0.0
        for seed in range(2):
            written(tokenizers, agreement, drafts, seed=seed, others=others, seconds=SECONDS[name])
        took.append(now.seconds)
    assert took[1] <= 1.05 * took[0]
    if name == "a GPU's" and others == SHORT:
        assert took[1] <= {1.0: 0.5, 0.8: 0.7, 0.6: 0.9, 0.3: 1.0}[agreement] * took[0]
