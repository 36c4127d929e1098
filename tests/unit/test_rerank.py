from __future__ import annotations

import math

import pytest

from coolfusion.errors import CoolFusionError
from coolfusion.fusion import Fusion, Member
from coolfusion.fusion.selection import arithmetic_mean_perplexity
from coolfusion.models import ScriptedModel
from coolfusion.records import Score
from fusion_parts import BOS, END, Judge, cycle, toy, writer

WORDS, LETTERS = toy(" cat", " sat", " on", " the", " mat"), toy()


def test_all_continuations_are_listed_with_scores_and_the_best_is_the_answer():
    members = [writer(WORDS, "a cat sat", chance=0.6), writer(LETTERS, "a mat", chance=0.9)]
    output = Fusion(members).generate("a", 16, rerank=True)
    assert [each.author for each in output.continuations] == ["fusion", 0, 1]
    assert [each.text for each in output.continuations[1:]] == [" cat sat", " mat"]
    best = min(output.continuations, key=lambda each: each.value)
    assert (output.text, output.author, output.finish_reason) == (best.text, best.author, best.finish_reason)
    assert "".join(step.text for step in output.steps) == output.continuations[0].text


def test_a_continuation_is_scored_whole_with_its_end_under_every_member():
    members = [writer(WORDS, "a cat sat", chance=0.6), writer(LETTERS, "a mat", chance=0.9)]
    output = Fusion(members, rule="paper").generate("a", 16, rerank=True)
    for each in output.continuations:
        assert each.finish_reason == "end"
        for member, score in zip(members, each.scores, strict=True):
            ids = member.tokenizer.encode(each.text)
            prompt = [BOS, *member.tokenizer.encode("a")]
            expected = math.fsum(Judge(member, prompt).score(ids))
            expected += Judge(member, [*prompt, *ids]).next_logprob((END,))
            assert score == Score(pytest.approx(expected), len(ids) + 1, len(each.text))
        assert each.value == arithmetic_mean_perplexity(each.scores)


def test_one_member_agrees_with_itself():
    output = Fusion([writer(WORDS, "a cat sat")]).generate("a", rerank=True)
    fused, alone = output.continuations
    assert (fused.text, fused.scores, fused.value) == (alone.text, alone.scores, alone.value)
    assert output.author == "fusion", "of equal texts the fused one is named"


def test_a_continuation_that_was_cut_has_no_end_in_its_score():
    output = Fusion([writer(WORDS, "a cat sat on the mat")]).generate("a", 2, rerank=True)
    assert output.finish_reason == "length"
    assert [score.n_tokens for score in output.continuations[0].scores] == [2]


def test_a_stop_string_cuts_all_continuations_and_scores_the_cut_text():
    members = [writer(WORDS, "a cat sat"), writer(LETTERS, "a cat on")]
    output = Fusion(members).generate("a", stop_strings=["t s", " on"], rerank=True)
    assert {each.text for each in output.continuations} == {" ca", " cat"}
    for each in output.continuations:
        assert each.finish_reason == "stop"
        ids = [member.tokenizer.encode(each.text) for member in members]
        assert [score.n_tokens for score in each.scores] == [len(each_ids) for each_ids in ids]


def test_an_empty_continuation_that_nobody_ended_is_listed_but_not_scored():
    output = Fusion([writer(WORDS, "a cat sat")]).generate("a", stop_strings=" cat", rerank=True)
    assert (output.text, output.finish_reason, output.author) == ("", "stop", "fusion")
    assert {each.rejected.reason for each in output.continuations} == {"empty"}


def test_a_whole_continuation_longer_than_a_limit_is_scored_in_parts_that_are_counted():
    short = writer(LETTERS, cycle(" cot"), limit=10, name="short")
    long = writer(WORDS, cycle(" cot"), name="long")
    output = Fusion([short, long]).generate("x", 24, rerank=True)
    for each in output.continuations:
        assert each.rejected is None
        assert each.scores[0].n_tokens == len(each.text) >= 24
        assert each.context_cuts[0] > 1
        assert each.context_cuts[1] == 0


def test_a_model_that_fails_while_it_writes_alone_leaves_the_fused_text():
    contexts = []

    class Failing(ScriptedModel):
        def new_context(self):
            contexts.append(super().new_context())
            return contexts[-1]

        def prefill(self, prompts):
            # The first context is the fused text's, the second that of the member's own text.
            if any(context is contexts[1] for context, _ in prompts if len(contexts) > 1):
                raise CoolFusionError("worn out")
            super().prefill(prompts)

    steady = writer(WORDS, "a cat")
    failing = Failing(steady.model._logits, steady.model.logits_size, eos_token_ids=(END,))
    with pytest.raises(CoolFusionError, match="worn out") as caught:
        Fusion([Member(failing, WORDS, (BOS,))]).generate("a", rerank=True)
    assert caught.value.partial.text == " cat"
