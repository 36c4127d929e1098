"""Reranks with votes, samples and other likelihoods, from the request to the record; all decided again by a twin."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coolfusion import FusionEngine, Request, Rerank
from coolfusion.errors import CoolFusionError, FusionError
from coolfusion.fusion import Fusion, Member
from coolfusion.fusion.selection import ByEvidence, Fixed
from coolfusion.fusion.voting import leads
from coolfusion.members.sampling import draw
from coolfusion.models import ForgetfulModel, ScriptedModel
from fusion_parts import BOS, END, Judge, again, gambler, toy, writer

SLOW = settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
WORDS, LETTERS = toy(" cat", " sat", " on", " the", " mat"), toy()


def cast(*texts, chance=0.9):
    """Members that each write a text after "a"; tokenizers alternate."""
    tokenizers = (WORDS, LETTERS)
    return [
        writer(tokenizers[n % 2], f"a{text}", chance=chance, name=name)
        for n, (text, name) in enumerate(zip(texts, ("ann", "bob", "cyd"), strict=False))
    ]


def same(one, other):
    assert one.text == other.text and one.author == other.author
    assert one.continuations == other.continuations


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


# Samples.


def drawn(output):
    return [each for each in output.continuations if each.sample is not None]


def gamblers(seed=0):
    return [gambler(tokenizer, seed + n, name=f"g{n}") for n, tokenizer in enumerate((WORDS, LETTERS))]


def test_every_member_draws_its_samples_in_the_order_of_rounds():
    output = Fusion(gamblers()).generate("a", 6, rerank=Rerank(samples=3), seed=5)
    assert [(each.sample, each.author) for each in drawn(output)] == [(n, j) for n in range(3) for j in range(2)]
    assert len({each.text for each in drawn(output)}) > 2
    for each in drawn(output):
        assert each.rejected is not None or len(each.scores) == 2


def plain_sample(member, prompt, seed, budget, temperature, top_p):
    """Draws a text by full rows and a search through the cumulated distribution, without the library's draw."""
    ids, dice, new = [BOS, *member.tokenizer.encode(prompt)], random.Random(seed), []
    context = member.runner.new_context()
    while len(new) < budget:
        member.runner.prefill([(context, ids + new)])
        row = list(context.next_logits(()))
        for banned in member.suppress_tokens:
            row[banned] = -math.inf
        powers = [math.exp((value - max(row)) / temperature) for value in row]
        order = sorted((-power / sum(powers), i) for i, power in enumerate(powers) if power)
        cumulated = list(itertools.accumulate(-minus for minus, _ in order))
        n_kept = next((n for n, mass in enumerate(cumulated, 1) if mass >= top_p), len(order))
        wanted = dice.random() * cumulated[n_kept - 1]
        token = next(i for (_, i), mass in zip(order, cumulated, strict=True) if mass > wanted)
        if token in member.runner.eos_token_ids:
            return new, True
        new.append(token)
    return new, False


@pytest.mark.parametrize(("temperature", "top_p"), [(0.7, 1.0), (1.5, 0.8), (0.3, 0.5)])
def test_a_sample_is_drawn_from_the_members_own_probabilities(temperature, top_p):
    options = Rerank(samples=2, temperature=temperature, top_p=top_p)
    output = Fusion(gamblers(3)).generate("a", 6, rerank=options, seed=11)
    twins = gamblers(3)
    for each in drawn(output):
        ids, end = plain_sample(twins[each.author], "a", f"11/{each.author}/{each.sample}", 6, temperature, top_p)
        assert each.text == twins[each.author].tokenizer.decode(ids)
        assert each.finish_reason == ("end" if end else "length")
        own = len(ids) + end
        assert each.rejected is not None or each.scores[each.author].n_tokens == own


@given(st.integers(0, 1000), st.integers(1, 3))
@SLOW
def test_the_same_seed_gives_the_same_samples_whatever_else_is_written(seed, most):
    options = Rerank(samples=2, vote=True, answer=lambda text: text.strip()[:1])
    prompts = ["a", "the cat", "q", "a"]
    engine = FusionEngine([again(each) for each in gamblers(seed)], max_concurrent_requests=most)
    numbers = [engine.add(Request(prompt=p, max_new_tokens=5, rerank=options, seed=seed)) for p in prompts]
    outputs = {event.request_id: event.output for event in _events(engine) if event.output is not None}
    for number, prompt in zip(numbers, prompts, strict=True):
        same(outputs[number], Fusion(gamblers(seed), drafts=0).generate(prompt, 5, rerank=options, seed=seed))
    other = Fusion(gamblers(seed)).generate("a", 5, rerank=Rerank(samples=2), seed=seed + 1)
    assert [each.text for each in drawn(other)] != [each.text for each in drawn(outputs[numbers[0]])] or seed < 0


def _events(engine):
    while engine.has_unfinished:
        yield from engine.step()


def test_a_model_without_a_cache_draws_the_same():
    options = Rerank(samples=2)
    twins = [Member(ForgetfulModel(each.runner), each.tokenizer, each.prefix_ids, each.name) for each in gamblers()]
    expected = Fusion(gamblers()).generate("a", 6, rerank=options, seed=2)
    same(Fusion(twins).generate("a", 6, rerank=options, seed=2), expected)


def test_stop_strings_cut_samples_exactly():
    members = gamblers(8)
    free = Fusion(gamblers(8)).generate("a", 12, rerank=Rerank(samples=4), seed=1)
    stop = "e"
    output = Fusion(members).generate("a", 12, rerank=Rerank(samples=4), seed=1, stop_strings=stop)
    stopped = 0
    for each, whole in zip(drawn(output), drawn(free), strict=True):
        if stop in whole.text:
            assert (each.text, each.finish_reason) == (whole.text[: whole.text.index(stop)], "stop")
            stopped += 1
        else:
            assert (each.text, each.finish_reason) == (whole.text, whole.finish_reason)
    assert 0 < stopped < len(drawn(output))


def test_a_context_that_is_too_long_for_a_sample_is_cut_as_in_a_generation():
    members = [gambler(LETTERS, 4, limit=8)]
    output = Fusion(members).generate("a cat", 20, rerank=Rerank(samples=2), seed=3)
    assert any(len(each.text) > 8 for each in drawn(output))


def test_an_undecided_vote_draws_all_rounds_and_a_decided_one_none():
    vote = {"vote": True, "answer": "number", "samples": 3}
    sure = Fusion(cast(" 7", " 7", " 7")).generate("a", 8, rerank=Rerank(**vote))
    assert drawn(sure) == [] and leads(4, 0) >= 0.95
    never = Fusion(cast(" 7", " 7", " 7")).generate("a", 8, rerank=Rerank(**vote, stop_at=None, temperature=0.05))
    # Seven votes are cast after one round, and the six that are left cannot turn them.
    assert len(drawn(never)) == 3
    open_ = Fusion(cast(" 7", " 8")).generate("a", 8, rerank=Rerank(**vote, temperature=0.05))
    assert len(drawn(open_)) == 6
    plain = Fusion(cast(" 7", " 7", " 7")).generate("a", 8, rerank=Rerank(samples=2))
    assert len(drawn(plain)) == 6, "without a vote nothing says when it is enough"


def test_rounds_stop_where_the_records_say_so():
    """The twin counts the ballots after each round again."""
    options = Rerank(vote=True, answer=lambda text: text.strip()[:1], samples=6, temperature=1.0, stop_at=0.8)
    stopped = set()
    for seed in range(12):
        output = Fusion(gamblers(2)).generate("a", 4, rerank=options, seed=seed)
        rounds = max((each.sample for each in drawn(output)), default=-1) + 1
        for after in range(rounds + 1):
            votes: dict[str, int] = {}
            for each in output.continuations:
                if each.answer and each.rejected is None and (each.sample is None or each.sample < after):
                    votes[each.answer] = votes.get(each.answer, 0) + 1
            first, second, *_ = [*sorted(votes.values(), reverse=True), 0, 0]
            enough = leads(first, second) >= 0.8 or first > second + 2 * (6 - after)
            assert enough == (after == rounds) or (after == rounds == 6), (seed, after, votes)
        stopped.add(rounds)
    assert len(stopped) > 1


def test_the_number_at_which_a_draw_passes():
    row = [math.log(p) for p in (0.1, 0.4, 0.3, 0.2)]
    assert [draw(row, set(), 1.0, 1.0, n / 10 + 0.05) for n in range(10)] == [1, 1, 1, 1, 2, 2, 2, 3, 3, 0]
    assert {draw(row, {1}, 1.0, 0.4, n / 10) for n in range(10)} == {2}
    assert draw([math.nan, 1.0], set(), 1.0, 1.0, 0.5) is None
    assert draw([0.0, 1.0], {0, 1}, 1.0, 1.0, 0.5) is None
    assert draw([0.0, -math.inf], set(), 1.0, 1.0, 0.999) == 0


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
