"""The loop on the models of the package itself, so that it is tested without any other data."""

from __future__ import annotations

import itertools
import math

import pytest

torch = pytest.importorskip("torch", reason="the loop on real models needs torch: pip install 'coolfusion[hf]'")
pytest.importorskip("transformers", reason="the loop on real models needs transformers")

from loop_parts import after, full_rows, plain_greedy, twin  # noqa: E402

from coolfusion import Rerank  # noqa: E402 - after the skip
from coolfusion.embedded import folders  # noqa: E402
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
        one = Fusion([member], rule="paper").generate(prompt, 24)
        two = Fusion([member, twin(member)], rule="paper").generate(prompt, 24)
        kept = one.members[0].token_ids
        # An incomplete character at the budget's end is dropped.
        assert kept == expected[: len(kept)] and len(expected) - len(kept) < 4
        assert [held.token_ids for held in two.members] == [kept, kept]
        assert one.text == two.text == after(member, prompt, kept)


def test_all_members_tokens_are_the_same_text_in_any_order(fusion):
    for prompt in PROMPTS:
        output = fusion.generate(prompt, 48)
        for member, held in zip(fusion.members, output.members, strict=True):
            assert after(member, prompt, held.token_ids) == output.text
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


def test_a_rerank_reads_each_prompt_once(fusion):
    """The fused text, the member's own and the judgement share the rows of one reading."""
    [member] = Fusion([twin(fusion.members[0])], drafts=0).members
    prompt = PROMPTS[1]
    alone = Fusion([member], drafts=0)
    before = member.runner.processed_tokens
    alone.generate(prompt, 12)
    written = member.runner.processed_tokens - before
    before = member.runner.processed_tokens
    reranked = alone.generate(prompt, 12, rerank=True)
    n_prompt = len(reranked.members[0].prompt_ids)
    # Two texts are written, and the judgement reads their common path once, without its last token where END is open.
    n_judged = len(reranked.members[0].token_ids) - (reranked.continuations[0].finish_reason != "end")
    assert member.runner.processed_tokens - before == n_prompt + 2 * (written - n_prompt) + n_judged


def test_samples_are_the_same_in_a_list_and_alone(fusion):
    rule = Rerank(samples=2, temperature=0.8, top_p=0.9)
    together = fusion.generate(list(PROMPTS[:3]), 10, rerank=rule, seed=4)
    for prompt, output in zip(PROMPTS[:3], together, strict=True):
        single = fusion.generate(prompt, 10, rerank=rule, seed=4)
        assert [each.text for each in output.continuations] == [each.text for each in single.continuations]
        assert [each.rank for each in output.continuations] == [each.rank for each in single.continuations]
    assert len({each.text for each in together[0].continuations}) > 2


def test_an_answer_after_a_reasoning_is_that_of_the_prompts_with_it(fusion):
    question = PROMPTS[1].removesuffix(" Answer:")
    output = fusion.generate(question, 12, think=("Question:", "Answer:"))
    assert all(trace.endswith("Answer:") for trace in output.reasoning)
    again = fusion.generate(tuple(list(held.prompt_ids) for held in output.members), 12)
    assert again.text == output.text
