"""The loop on the models of the package itself, so that it is tested without any other data."""

from __future__ import annotations

import itertools
import math

import pytest

torch = pytest.importorskip("torch", reason="the loop on real models needs torch: pip install 'coolfusion[hf]'")
pytest.importorskip("transformers", reason="the loop on real models needs transformers")

from loop_parts import behind, full_rows, plain_greedy, twin  # noqa: E402

from coolfusion.embedded import folders  # noqa: E402 - behind the skip
from coolfusion.fusion import Fusion  # noqa: E402

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.usefixtures("one_thread")]

PROMPTS = (
    "Once upon a time",
    "Question: Ann has 9 pens. She buys 8 more. How many pens does Ann have? Answer:",
    "Puzzle: How do you spell lamp? Answer:",
    "Puzzle: What is the opposite of hot? Answer:",
    "There once was a shy girl. Her name was",
    "Emoji \U0001f600 and caf\u00e9,\n\tthen",
)


@pytest.fixture(scope="module")
def fusion() -> Fusion:
    found = folders()
    assert len(found) == 3
    return Fusion.from_pretrained(found, device="cpu", dtype="float32")


def test_three_architectures_and_three_tokenizer_families(fusion):
    assert len({member.runner.describe()["kind"] for member in fusion.members}) == 3
    families = {member.tokenizer.describe()["family"] for member in fusion.members}
    assert families == {"byte-level BPE", "SentencePiece BPE with byte fallback", "Unigram with byte fallback"}


def test_one_model_and_a_model_with_itself_write_its_greedy_text(fusion):
    for member, prompt in itertools.product(fusion.members, PROMPTS):
        expected = plain_greedy(member, prompt, 24)
        one = Fusion([member]).generate(prompt, 24)
        two = Fusion([member, twin(member)]).generate(prompt, 24)
        kept = one.members[0].token_ids
        # An incomplete character at the budget's end is dropped.
        assert kept == expected[: len(kept)] and len(expected) - len(kept) < 4
        assert [held.token_ids for held in two.members] == [kept, kept]
        assert one.text == two.text == behind(member, prompt, kept)


def test_all_members_tokens_are_the_same_text_in_any_order(fusion):
    for prompt in PROMPTS:
        output = fusion.generate(prompt, 48)
        for member, held in zip(fusion.members, output.members, strict=True):
            assert behind(member, prompt, held.token_ids) == output.text
        turned = Fusion(fusion.members[::-1]).generate(prompt, 48)
        assert turned.text == output.text


def test_scores_equal_a_pass_without_cache(fusion):
    output = fusion.generate(PROMPTS[0], 40)
    compared = 0
    for number, (member, held) in enumerate(zip(fusion.members, output.members, strict=True)):
        ids = held.prompt_ids + held.token_ids
        for step in output.steps:
            start, end = step.members[number].context
            for candidate, scores in zip(step.candidates, step.scores, strict=True):
                own = list(candidate.token_ids[number])
                rows = full_rows(member, ids[start:end] + own)
                expected = sum(float(rows[end - start - 1 + at, token_id]) for at, token_id in enumerate(own))
                if candidate.end:
                    expected = float(rows[-1, list(member.runner.eos_token_ids)].logsumexp(0))
                assert math.isclose(scores[number][0], expected, rel_tol=1e-4, abs_tol=1e-4)
                assert scores[number][1] == max(1, len(own))
                compared += 1
    assert compared > 30


def test_rerank_chooses_among_the_fused_text_and_each_members_own(fusion):
    output = fusion.generate(PROMPTS[1], 32, rerank=True)
    assert len(output.continuations) == 4
    assert output.text in [continuation.text for continuation in output.continuations]


def test_the_models_know_their_trade(fusion):
    """Not a benchmark: the published weights are those that were measured (training/README.md)."""
    assert fusion.generate(PROMPTS[1], 32).text.startswith(" 9 + 8 = 17.")
    assert fusion.generate(PROMPTS[3], 32).text.startswith(" cold.")
