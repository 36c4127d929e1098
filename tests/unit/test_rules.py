"""Selection rules: each against its formula, written out here without the product's code."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolfusion.errors import ArgumentError
from coolfusion.fusion import Fusion, SelectionRule
from coolfusion.fusion.selection import (
    RULES,
    ByEvidence,
    ByRecentText,
    Fixed,
    PowerMean,
    Primary,
    Ranking,
    StepView,
    Uniform,
    WithoutOutliers,
    as_rule,
    select,
    view_of,
)
from coolfusion.models.numerics import log_softmax
from coolfusion.records import Candidate, Score
from fusion_parts import gambler, toy

WORDS, LETTERS = toy(" the", " cat", "ab"), toy()
NAMES = ("ann", "bob", "cid", "dan")


@st.composite
def steps(draw, members=(2, 4)):
    """A step as rules see it: any candidates, scores, and scores of the prompt."""
    n_members = draw(st.integers(*members))
    logprobs = st.floats(-60.0, -1e-6)
    texts = draw(st.lists(st.text("ab .", min_size=1, max_size=5), min_size=1, max_size=4, unique=True))
    texts = [*([""] if draw(st.booleans()) else []), *sorted(texts, key=str.encode)]
    scores = tuple(
        tuple(
            Score(draw(logprobs), draw(st.integers(1, 4)), len(text), draw(logprobs) if text else None)
            for _ in range(n_members)
        )
        for text in texts
    )
    proposers = st.sets(st.integers(0, n_members - 1), min_size=1)
    candidates = tuple(Candidate(text, not text, tuple(sorted(draw(proposers))), (), ()) for text in texts)
    prompt = tuple(Score(draw(logprobs), 9, draw(st.integers(1, 40))) for _ in range(n_members))
    return StepView(candidates, scores, tuple(range(n_members)), NAMES[:n_members], prompt, prompt)


def chances(step, candidate, per="segment"):
    """The probabilities that the members give to a candidate and to the end of its word."""
    found = []
    for score in step.scores[candidate]:
        logprob = score.logprob + (score.boundary_logprob or 0.0)
        found.append(math.exp(logprob / {"segment": 1, "token": score.n_tokens, "byte": max(score.n_bytes, 1)}[per]))
    return found


@given(steps(), st.sampled_from([-2.0, -1.0, 0.5, 1.0, 3.0]), st.sampled_from(["segment", "token", "byte"]))
def test_the_power_mean_is_its_formula(step, exponent, per):
    values = PowerMean(exponent, per=per).values(step).values
    for at, value in enumerate(values):
        terms = [chance**exponent for chance in chances(step, at, per)]
        assert value == pytest.approx(-math.log(math.fsum(terms) / len(terms)) / exponent, rel=1e-9, abs=1e-9)


@given(steps())
def test_the_exponents_0_and_infinity_are_the_limits(step):
    for at in range(len(step.candidates)):
        logs = [math.log(chance) for chance in chances(step, at)]
        for exponent, limit in ((0.0, math.fsum(logs) / len(logs)), (math.inf, max(logs)), (-math.inf, min(logs))):
            assert PowerMean(exponent).values(step).values[at] == pytest.approx(-limit)
        near = PowerMean(1e-9).values(step).values[at]
        assert near == pytest.approx(PowerMean(0.0).values(step).values[at], abs=1e-4)


@given(steps(), st.floats(0.0, 10.0))
def test_weights_by_evidence_are_a_tempered_posterior(step, kappa):
    ranking = PowerMean(1.0, ByEvidence(kappa)).values(step)
    raw = [math.exp(kappa * score.logprob / score.n_bytes) for score in step.prompt]
    if math.fsum(raw) > 1e-250:
        expected = [each / math.fsum(raw) for each in raw]
        assert list(ranking.weights) == pytest.approx(expected, rel=1e-6, abs=1e-12)
        for at, value in enumerate(ranking.values):
            mean = math.fsum(w * p for w, p in zip(expected, chances(step, at), strict=True))
            assert value == pytest.approx(-math.log(mean), rel=1e-6, abs=1e-9)
    assert math.fsum(ranking.weights) == pytest.approx(1.0)


@given(steps(), st.sampled_from(sorted(RULES)), st.data())
def test_no_rule_depends_on_the_order_of_the_members(step, name, data):
    order = data.draw(st.permutations(step.members))
    place = {old: new for new, old in enumerate(order)}
    moved = StepView(
        tuple(
            Candidate(each.text, each.end, tuple(sorted(place[j] for j in each.members)), (), ())
            for each in step.candidates
        ),
        tuple(tuple(row[j] for j in order) for row in step.scores),
        step.members,
        tuple(step.names[j] for j in order),
        tuple(step.prompt[j] for j in order),
        tuple(step.so_far[j] for j in order),
    )
    one, other = (
        select(
            as_rule(name),
            view_of(each.candidates, each.scores, each.names, prompt=each.prompt, so_far=each.so_far),
        )
        for each in (step, moved)
    )
    assert one.values == pytest.approx(other.values)
    assert one.winner == other.winner or one.margin < 1e-9
    assert [one.weights[j] for j in order] == pytest.approx(list(other.weights)) if one.weights else not other.weights
    assert one.primary is None or place[one.primary] == other.primary


@given(steps(), st.sampled_from([0.0, 0.7, math.inf]))
def test_a_primary_is_outbid_by_the_margin_only_and_ends_the_text(step, margin):
    rule = PowerMean(0.5)
    plain = rule.values(step).values
    found = select(Primary(rule, margin, "bob"), step)
    winner = step.candidates[found.winner]
    end = next((each for each in step.candidates if each.end), None)
    if end is not None and 1 in end.members:
        assert winner.end
    elif any(not each.end for each in step.candidates):
        assert not winner.end
        own = [v for v, each in zip(plain, step.candidates, strict=True) if 1 in each.members and not each.end]
        others = [v for v, each in zip(plain, step.candidates, strict=True) if 1 not in each.members and not each.end]
        if own and others and 1 not in winner.members:
            assert min(others) + margin <= min(own)
        if own and others and 1 in winner.members:
            assert min(own) <= min(others) + margin
    assert found.primary == 1


def test_the_primary_by_prompt_is_the_member_with_the_fewest_nats_per_byte():
    step = StepView(
        (Candidate("a", False, (0,), (), ()), Candidate("b", False, (1,), (), ())),
        ((Score(-1.0, 1, 1), Score(-2.0, 1, 1)), (Score(-2.0, 1, 1), Score(-1.5, 1, 1))),
        (0, 1),
        NAMES[:2],
        (Score(-10.0, 5, 10), Score(-5.0, 5, 9)),
    )
    ranking = Primary(PowerMean(0.0), 0.3).values(step)
    assert ranking.primary == 1 and ranking.values == pytest.approx((1.5 + 0.3, 1.75))
    assert Primary(PowerMean(0.0), 0.3, "absent").values(step).primary is None


def test_an_outlier_is_left_out_where_there_is_a_majority():
    rows = tuple((Score(-1.0 - at, 1, 2), Score(-1.2, 1, 2), Score(-9.0, 1, 2)) for at in range(2))
    candidates = tuple(Candidate(text, False, (at,), (), ()) for at, text in enumerate("ab"))
    ranking = WithoutOutliers(PowerMean(0.0)).values(StepView(candidates, rows, (0, 1, 2), NAMES[:3]))
    assert ranking.weights == (0.5, 0.5, 0.0)
    assert ranking.values == pytest.approx((1.1, 1.6))
    pair = tuple(row[1:] for row in rows)
    assert WithoutOutliers(PowerMean(0.0)).values(StepView(candidates, pair, (0, 1), NAMES[:2])).weights == (0.5, 0.5)


def test_weights_by_recent_text_forget():
    def history(*nats):
        scored = [Candidate("abcd", False, (0,), (), ())]
        from types import SimpleNamespace

        return [
            SimpleNamespace(candidates=scored, winner=0, scores=((Score(-a, 1, 4), Score(-b, 1, 4)),)) for a, b in nats
        ]

    def weights(*nats):
        return ByRecentText(2.0, 0.5).of(StepView((), (), (0, 1), NAMES[:2], history=history(*nats)))

    assert weights() == [0.5, 0.5]
    losses = [(0.5 * 8.0 + 4.0) / 6.0, (0.5 * 4.0 + 8.0) / 6.0]
    raw = [math.exp(-2.0 * loss) for loss in losses]
    assert weights((8.0, 4.0), (4.0, 8.0)) == pytest.approx([each / sum(raw) for each in raw])


def test_fixed_weights_go_by_name_and_over_the_members_that_count():
    step = StepView((), (), (0, 2), NAMES[:3])
    assert Fixed({"ann": 1.0, "bob": 5.0, "cid": 3.0}).of(step) == [0.25, 0.75]
    assert Fixed({"bob": 5.0}).of(step) == [0.5, 0.5]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fixed({"ann": -1.0}), "weights must be"),
        (lambda: Fixed({}), "weights must be"),
        (lambda: ByEvidence(-1.0), "kappa"),
        (lambda: ByEvidence(math.nan), "kappa"),
        (lambda: ByRecentText(decay=1.0), "decay"),
        (lambda: PowerMean(math.nan), "exponent"),
        (lambda: PowerMean(per="word"), "per 'word'"),
        (lambda: Primary(PowerMean(), -1.0), "margin"),
        (lambda: WithoutOutliers(PowerMean(), -1.0), "tolerance"),
        (lambda: as_rule("papre"), "rule 'papre' is unknown; expected one of"),
        (lambda: as_rule(PowerMean), "rule must be"),
    ],
)
def test_values_outside_their_range_are_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_rule_writes_and_its_decisions_can_be_derived_from_the_records(name):
    members = [gambler(WORDS, 1, name="ann"), gambler(LETTERS, 2, name="bob"), gambler(toy(" a", "the"), 3, name="cid")]
    output = Fusion(members, rule=name).generate("the cat", 10, seed=1)
    rule = as_rule(name)
    assert ".." not in repr(rule) and "\n" not in repr(rule) and "object at" not in repr(rule)
    prompt = tuple(each.prompt_score for each in output.members)
    assert all(score is not None for score in prompt) is rule.prompt_scores
    so_far = list(prompt) if rule.prompt_scores else [Score(0.0, 0)] * 3
    assert output.steps
    for number, step in enumerate(output.steps):
        view = StepView(
            step.candidates,
            step.scores,
            (0, 1, 2),
            ("ann", "bob", "cid"),
            prompt if rule.prompt_scores else (),
            tuple(so_far),
            output.steps[:number],
            1,
        )
        found = rule.values(view)
        ranking = found if isinstance(found, Ranking) else Ranking(tuple(found))
        assert step.values == ranking.values and step.weights == ranking.weights and step.primary == ranking.primary
        assert step.overridden == (
            step.primary is not None and step.primary not in step.candidates[step.winner].members
        )
        so_far = [
            Score(old.logprob + new.logprob, old.n_tokens + new.n_tokens, old.n_bytes + new.n_bytes)
            for old, new in zip(so_far, step.scores[step.winner], strict=True)
        ]


@pytest.mark.filterwarnings("ignore::coolfusion.errors.CoolFusionWarning")  # the prompt is cut
def test_the_score_of_a_prompt_is_the_models_own_and_changes_no_text():
    members = [gambler(WORDS, 4), gambler(LETTERS, 5, limit=12)]

    class Asks(SelectionRule):
        name, prompt_scores = "asks", True

        def values(self, step):
            return [-min(score.logprob for score in step.row(at)) for at in range(len(step.candidates))]

    class AsksNot(Asks):
        prompt_scores = False

    prompt = "the cat ab the cat"
    output = Fusion(members, rule=Asks()).generate(prompt, 8)
    assert output.text == Fusion(members, rule=AsksNot()).generate(prompt, 8).text
    for member, written in zip(members, output.members, strict=True):
        ids = written.prompt_ids
        limit = member.runner.max_model_len
        if limit is not None and len(ids) > limit:
            ids = ids[-(limit // 2) :]
        expected = [log_softmax(member.runner._logits(tuple(ids[:n])))[ids[n]] for n in range(1, len(ids))]
        assert written.prompt_score.logprob == pytest.approx(math.fsum(expected))
        assert written.prompt_score.n_tokens == len(expected)
        assert written.prompt_score.n_bytes == sum(len(member.tokenizer.token_bytes(i)) for i in ids[1:])


def test_the_named_rules_differ():
    step_values = set()
    rows = ((Score(-1.0, 1, 4, -0.5), Score(-6.0, 2, 4, -0.1)), (Score(-3.0, 1, 6, -0.2), Score(-3.5, 1, 6, -2.0)))
    candidates = tuple(Candidate(text, False, (at,), (), ()) for at, text in enumerate((" one", " other")))
    prompt = (Score(-9.0, 3, 10), Score(-12.0, 3, 10))
    for name in sorted(set(RULES) - {"product", "without_outliers", "history"}):
        found = select(as_rule(name), view_of(candidates, rows, NAMES[:2], prompt=prompt, so_far=prompt))
        step_values.add(tuple(round(value, 6) for value in found.values))
    assert len(step_values) == len(RULES) - 3


def test_uniform_weights_are_uniform():
    assert Uniform().of(StepView((), (), (0, 1, 3), NAMES)) == [1 / 3] * 3
