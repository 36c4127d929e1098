"""Reranks with votes, samples and other likelihoods, from the request to the record; all decided again by a twin."""

from __future__ import annotations

import math

import pytest

from coolfusion import FusionEngine, Request, Rerank
from coolfusion.errors import CoolFusionError, FusionError
from coolfusion.fusion import Fusion, Member
from coolfusion.fusion.selection import ByEvidence, Fixed
from coolfusion.models import ScriptedModel
from fusion_parts import BOS, END, Judge, writer
from rerank_parts import LETTERS, WORDS, cast, drawn, gamblers, same


def test_the_paper_is_the_default_and_true_says_the_same():
    prompts = ["a", "the cat"]
    for prompt in prompts:
        expected = Fusion(cast(" cat sat", " mat")).generate(prompt, 8, rerank=True)
        same(Fusion(cast(" cat sat", " mat")).generate(prompt, 8, rerank=Rerank()), expected)
        assert expected.continuations[0].judges == (0, 1)
        assert all(each.answer is None and each.weight == each.votes == 0.0 for each in expected.continuations)


def test_two_members_outvote_a_third_that_likelihood_prefers():
    members = cast(" 1 is 7", " so 7.0", " 8", chance=0.6)
    # The third is sure of its own text, which the others find as unlikely as all else.
    by_likelihood = Fusion(members).generate("a", 8, rerank=Rerank(length="whole"))
    voted = Fusion(cast(" 1 is 7", " so 7.0", " 8", chance=0.6)).generate(
        "a", 8, rerank=Rerank(vote=True, answer="number", length="whole")
    )
    assert by_likelihood.text == " 8"
    chosen = next(each for each in voted.continuations if each.rank == 0)
    assert chosen.answer == "7" and chosen.votes >= 2.0
    loser = next(each for each in voted.continuations if each.text == " 8")
    assert (loser.answer, loser.lost_by) == ("8", "vote")


def test_fixed_weights_let_one_member_outvote_two():
    options = Rerank(vote=True, answer="number", weights=Fixed({"cyd": 9.0, "ann": 1.0, "bob": 1.0}))
    output = Fusion(cast(" 7", " 7", " 8")).generate("a", 8, rerank=options)
    assert output.text == " 8" and output.author in (2, "fusion")
    by_author = {each.author: each.weight for each in output.continuations}
    assert [by_author[n] for n in ("fusion", 0, 1, 2)] == pytest.approx([1.0, 3 / 11, 3 / 11, 27 / 11])


def test_weights_by_evidence_ask_for_the_scores_of_the_prompt_under_any_rule():
    """One member expects the prompt; the paper's rule itself asks for no score of it."""
    knows, doubts = (
        writer(WORDS, "a cat sat 7", name="ann"),
        writer(LETTERS, lambda text: " 8"[len(text) - 9 :], name="bob"),
    )
    options = Rerank(vote=True, answer="number", weights=ByEvidence(5.0))
    output = Fusion([knows, doubts]).generate("a cat sat", 8, rerank=options)
    ballots = {each.author: each.weight for each in output.continuations}
    prompt = [BOS, *WORDS.encode("a cat sat")]
    scored = [
        math.fsum(Judge(member, [BOS]).score(ids)) / 9
        for member, ids in ((knows, prompt[1:]), (doubts, LETTERS.encode("a cat sat")))
    ]
    ratio = math.exp(5.0 * (scored[1] - scored[0]))
    assert ballots[0] == pytest.approx(2 / (1 + ratio)) and ballots[1] == pytest.approx(2 * ratio / (1 + ratio))


def test_end_and_length_change_the_value_as_documented():
    for length, end in (("token", True), ("byte", True), ("whole", True), ("byte", False)):
        members = cast(" cat sat", " mat", chance=0.7)
        output = Fusion(members).generate("a", 16, rerank=Rerank(length=length, end=end, scores="others"))
        for each in output.continuations:
            parts = []
            for j in each.judges:
                ids = members[j].tokenizer.encode(each.text)
                prompt = [BOS, *members[j].tokenizer.encode("a")]
                logprob = math.fsum(Judge(members[j], prompt).score(ids))
                logprob += Judge(members[j], [*prompt, *ids]).next_logprob((END,)) if end else 0.0
                units = {"token": len(ids) + end, "byte": len(each.text) + end, "whole": 1}[length]
                parts.append(-logprob / units)
            assert each.value == pytest.approx(math.fsum(parts) / len(parts))
            assert each.judges == ((0, 1) if each.author == "fusion" else (1 - each.author,))


def test_a_continuation_that_only_its_end_makes_is_rejected_where_end_does_not_count():
    output = Fusion([writer(WORDS, "a")]).generate("a", rerank=Rerank(end=False))
    assert {each.rejected.reason for each in output.continuations} == {"empty"} and output.author == "fusion"
    assert Fusion([writer(WORDS, "a")]).generate("a", rerank=True).continuations[0].rejected is None


def test_an_unfinished_continuation_ranks_after_a_finished_one_and_a_loop_last():
    members = [
        writer(
            WORDS,
            "a cat sat on the mat the sat on cat mat sat on on the cat on mat the the cat sat mat on cat the sat the",
        ),
        writer(LETTERS, "a mat"),
        writer(WORDS, "a" + " on" * 40),
    ]
    options = Rerank(unfinished="last", repetition=0.5)
    output = Fusion(members).generate("a", 20, rerank=options)
    standing = {each.author: each.standing for each in output.continuations if each.author != "fusion"}
    assert standing == {0: "unfinished", 1: "finished", 2: "repetitive"}
    ranks = {each.author: each.rank for each in output.continuations}
    assert ranks[1] < ranks[0] < ranks[2]
    last = next(each for each in output.continuations if each.author == 2)
    assert last.lost_by == "standing"


# Failures.


class Failing(ScriptedModel):
    """Fails in the passes of the context with this number: fused text 0, own text 1, judgement 2, samples from 3."""

    at = -1

    def new_context(self):
        found = super().new_context()
        found.number = self.__dict__["made"] = self.__dict__.get("made", -1) + 1
        return found

    def _look(self, contexts):
        if any(context.number == self.at for context in contexts):
            raise CoolFusionError("worn out")

    def prefill(self, prompts):
        self._look([context for context, _ in prompts])
        super().prefill(prompts)

    def forward(self, wanted):
        self._look([context for context, _ in wanted])
        super().forward(wanted)


def failing(member, at):
    model = Failing(member.runner._logits, member.runner.logits_size, eos_token_ids=(END,), name=member.name)
    model.at = at
    return Member(model, member.tokenizer, member.prefix_ids)


def test_a_member_that_cannot_draw_ends_the_text_or_only_its_samples():
    for at in (3, 4):
        first, second = gamblers()
        options = Rerank(samples=3, vote=True, answer=lambda text: text, stop_at=None)
        output = Fusion([failing(first, at), second]).generate("a", 5, rerank=options, on_failure="continue")
        found = [(each.sample, each.author) for each in drawn(output)]
        assert [n for n, author in found if author == 0] == list(range(at - 3))
        assert output.members[0].failed is None, "it still judges"
        with pytest.raises(CoolFusionError, match="worn out") as caught:
            Fusion([failing(gamblers()[0], at), gamblers()[1]]).generate("a", 5, rerank=options)
        assert caught.value.partial.text == output.continuations[0].text


def test_a_member_that_cannot_judge_is_lost_and_its_texts_stay():
    first, second = gamblers()
    output = Fusion([failing(first, 2), second]).generate("a", 5, rerank=Rerank(scores="others"), on_failure="continue")
    assert output.members[0].failed is not None
    assert {each.judges for each in output.continuations if each.rejected is None} == {(1,)}
    assert [each.author for each in output.continuations] == ["fusion", 0, 1]


def test_a_function_for_answers_that_raises_ends_its_text_alone():
    fusion = Fusion(cast(" 7", " 8"))
    broken = Rerank(vote=True, answer=lambda text: str(1 / 0))
    with pytest.raises(FusionError, match="ZeroDivisionError") as caught:
        fusion.generate("a", 4, rerank=broken)
    assert caught.value.partial.text
    assert fusion.generate("a", 4, rerank=True).continuations


class Remembering(ScriptedModel):
    """Keeps all contexts that it made."""

    def new_context(self):
        found = super().new_context()
        self.__dict__.setdefault("contexts", []).append(found)
        return found


def test_an_aborted_rerank_leaves_no_context_open():
    for n_steps in range(1, 40, 3):
        members = []
        for each in gamblers():
            old = each.runner
            model = Remembering(old._logits, old.logits_size, eos_token_ids=(END,), name=each.name)
            members.append(Member(model, each.tokenizer, each.prefix_ids))
        engine = FusionEngine(members)
        number = engine.add(Request(prompt="a", max_new_tokens=6, rerank=Rerank(samples=3), seed=1))
        for _ in range(n_steps):
            engine.step()
        engine.abort(number)
        engine.step()
        contexts = [context for each in members for context in each.runner.contexts]
        assert len(contexts) >= 6 and all(not context._paths.rows for context in contexts), n_steps


# Prompts are read once.


def test_the_prompt_is_read_once_for_each_context_and_judged_without_a_pass_for_it():
    """A scripted model does not share rows, so each context reads the prompt; the judgement reads only texts."""
    member = writer(WORDS, "a cat sat")
    output = Fusion([member], drafts=0).generate("a cat", 8, rerank=True)
    fused, alone = output.continuations
    assert fused.text == alone.text == " sat"
    # BOS, "a", " cat" by three contexts, then " sat" by each of them.
    assert member.runner.processed_tokens == 3 * (3 + 1)
