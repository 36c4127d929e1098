"""Answers, votes, standings and the order of continuations, each against a slow twin that reads the definitions."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolfusion import Rerank
from coolfusion.errors import ArgumentError, FusionError
from coolfusion.fusion.answers import ANSWERS, as_extractor, choice, number
from coolfusion.fusion.ranking import Pool, ranked
from coolfusion.fusion.selection import ByEvidence, Fixed, Uniform, as_rule
from coolfusion.fusion.standing import loop_share, standing_of
from coolfusion.fusion.voting import ballot_weights, is_settled, leads, tally, with_ballots
from coolfusion.records import Continuation, Rejection, Score

NAMES = ("ann", "bob", "cyd")
REFUSED = Rejection("x", (), 0, "lossy", "why")

# `st.builds` would fill fields that have defaults.
scores = st.tuples(
    st.sampled_from([-math.inf, -40.0, -3.0, -2.0, -1.0, -0.5, 0.0]), st.integers(1, 4), st.integers(1, 8)
).map(lambda parts: Score(*parts))
continuations = st.tuples(
    st.sampled_from(["fusion", 0, 1, 2]),
    st.sampled_from(["7", "7.0", "8", "a 8", "none", "word", "very " * 9 + "7", "7 " * 20]),
    st.sampled_from(["end", "length", "stop"]),
    st.tuples(scores, scores, scores),
    st.just(math.inf),
    st.sampled_from([None, None, None, REFUSED]),
).map(lambda parts: Continuation(*parts))
settings_of_all_kinds = st.builds(
    Rerank,
    scores=st.sampled_from(["all", "others"]),
    length=st.sampled_from(["rule", "token", "byte", "whole"]),
    end=st.booleans(),
    margin=st.sampled_from([0.0, 0.0, 0.1, 1.0]),
    unfinished=st.sampled_from(["same", "last"]),
    repetition=st.sampled_from([None, 0.3, 0.8]),
    vote=st.booleans(),
    answer=st.just("number"),
)
weights = st.tuples(*[st.sampled_from([0.25, 0.5, 1.0, 2.0])] * 3)


def pool(weights=(1.0, 1.0, 1.0), rule="paper"):
    return Pool(NAMES, as_rule(rule), (), tuple(weights), None)


def loop_by_trial(each):
    """The share of the loop, by trying every start and every unit."""
    text, loop = each.text, 0
    for start, period in itertools.product(range(len(text)), range(1, len(text) + 1)):
        tail = text[start:]
        periodic = all(tail[n] == tail[n + period] for n in range(len(tail) - period))
        if periodic and len(tail) >= 3 * period:
            loop = max(loop, len(tail))
    return loop / len(text) if loop >= 24 else 0.0


def expected(found, settings, ballot):
    """The winner and all values, one criterion after the other."""
    left = [at for at, each in enumerate(found) if each.rejected is None]
    if not left:
        return 0, {}
    values = {}
    for at in left:
        each = found[at]
        judges = [j for j in range(3) if settings.scores == "all" or j != each.author]
        parts = []
        for j in judges:
            logprob, n_tokens, n_bytes, *_ = each.scores[j]
            ended = each.finish_reason == "end" and settings.end
            units = {"token": n_tokens, "byte": n_bytes + ended, "whole": 1, "rule": n_tokens}[settings.length]
            parts.append(-logprob / units)
        if settings.length == "rule":
            parts = [math.exp(part) for part in parts]
        values[at] = sum(parts) / len(parts)
        if settings.length == "rule":
            values[at] = math.log(values[at])
    if settings.vote:
        answers = {at: number(found[at].text) for at in left}
        left = [at for at in left if answers[at]] or left

    def standing(each):
        if settings.repetition is not None and loop_by_trial(each) > settings.repetition:
            return 2
        return int(settings.unfinished == "last" and each.finish_reason == "length")

    best = min(standing(found[at]) for at in left)
    left = [at for at in left if standing(found[at]) == best]
    if settings.vote and answers[left[0]]:
        votes = {}
        for at in left:
            author = found[at].author
            votes.setdefault(answers[at], []).append(1.0 if author == "fusion" else ballot[author])
        most = max(math.fsum(each) for each in votes.values())
        left = [at for at in left if math.fsum(votes[answers[at]]) == most]
    bids = {at: values[at] + (0.0 if found[at].author == "fusion" else settings.margin) for at in left}
    least = min(bids.values())
    close = [at for at in left if bids[at] == least or math.isclose(bids[at], least, rel_tol=1e-12)]
    return min(close, key=lambda at: (bids[at], found[at].text.encode(), at)), values


@given(st.lists(continuations, min_size=1, max_size=7), settings_of_all_kinds, weights)
def test_the_choice_is_that_of_the_definition(found, settings, ballot):
    order = ranked(found, settings, pool(ballot))
    winner, values = expected(found, settings, ballot)
    [chosen] = [at for at, each in enumerate(order) if each.rank == 0]
    for at, value in values.items():
        assert order[at].value == pytest.approx(value, rel=1e-12)
    # Equal values may differ in the last bit between the two ways of summing.
    assert chosen == winner or order[chosen].value == pytest.approx(order[winner].value, rel=1e-12)
    assert order[chosen].lost_by is None
    assert sorted(each.rank for each in order) == list(range(len(found)))
    assert [each.text for each in order] == [each.text for each in found]


@given(st.lists(continuations, min_size=2, max_size=7), settings_of_all_kinds, weights, st.randoms())
def test_the_reason_of_a_rank_is_the_first_criterion_in_which_it_differs(found, settings, ballot, dice):
    order = ranked(found, settings, pool(ballot))
    best = next(each for each in order if each.rank == 0)
    for each in order:
        if each.rank == 0:
            continue
        pairs = {
            "rejected": (each.rejected is not None, False),
            "answer": (each.answer == "", best.answer == ""),
            "standing": (each.standing, best.standing),
            "vote": (each.votes, best.votes),
            "likelihood": (each.value, best.value),
        }
        names = list(pairs)
        reason = next((name for name in names if pairs[name][0] != pairs[name][1]), "text")
        assert each.lost_by == reason
    if best.rejected:
        assert order[0] is best, "the fused text stays if none could be scored"
        return
    # The choice does not depend on where equal texts stand.
    shuffled = list(found)
    dice.shuffle(shuffled)
    again = next(each for each in ranked(shuffled, settings, pool(ballot)) if each.rank == 0)
    assert (again.text, again.value) == (best.text, best.value)


@given(st.lists(continuations, min_size=1, max_size=7), weights)
def test_a_text_without_an_answer_never_wins_over_one_with_an_answer(found, ballot):
    order = ranked(found, Rerank(vote=True, answer="number", unfinished="last"), pool(ballot))
    best = next(each for each in order if each.rank == 0)
    able = any(each.rejected is None and number(each.text) for each in found)
    assert bool(best.answer) == able
    assert math.fsum(each.weight for each in order) == pytest.approx(
        math.fsum({each.answer: each.votes for each in order if each.weight}.values())
    )


def test_scores_of_others_leave_out_the_author_and_a_sole_member_judges_itself():
    own, other = Score(0.0, 1, 1), Score(-4.0, 2, 2)
    found = [
        Continuation("fusion", "a", "stop", (other, other, other)),
        Continuation(0, "b", "stop", (own, other, other)),
        Continuation(1, "c", "stop", (other, other, own)),
    ]
    order = ranked(found, Rerank(scores="others", length="token"), pool())
    assert [each.judges for each in order] == [(0, 1, 2), (1, 2), (0, 2)]
    assert [each.value for each in order] == [2.0, 2.0, 1.0]
    sole = [Continuation("fusion", "a", "stop", (own,)), Continuation(0, "b", "stop", (own,))]
    one = Pool(("ann",), as_rule("paper"), (), (1.0,), None)
    assert [each.judges for each in ranked(sole, Rerank(scores="others"), one)] == [(0,), (0,)]


def test_a_member_without_numbers_judges_nothing():
    broken = Score(math.nan, 0, 1)
    found = [Continuation(n, text, "stop", (Score(-1.0, 1, 1), broken)) for n, text in enumerate("ab")]
    two = Pool(("ann", "bob"), as_rule("paper"), (), (1.0, 1.0), None)
    # Without its own score the first is left with nobody, so the only number counts.
    assert [each.judges for each in ranked(found, Rerank(scores="others"), two)] == [(0,), (0,)]


@pytest.mark.parametrize(
    ("name", "text", "answer"),
    [
        ("number", "The total is $1,234.50.", "1234.5"),
        ("number", "#### 18\nso 20", "18"),
        ("number", "minus -0.0", "0"),
        ("number", "1e5 is -.5", "-0.5"),
        ("number", "12345678901234567890123.", "12345678901234567890123"),
        ("choice", "the answer is: d", "D"),
        ("choice", "(A) or (C)", "C"),
        ("choice", "B", "B"),
        ("choice", "Because A cat", ""),
        ("choice", "Well\nE) last", "E"),
        ("first_line", "\n\n one \ntwo", "one"),
        ("last_line", "one\n two \n\n", "two"),
        ("exact", "  a b ", "a b"),
    ],
)
def test_answers_are_read(name, text, answer):
    assert ANSWERS[name](text) == answer


@given(st.text(alphabet="0123456789.,-$# aA(B)\n:", max_size=30))
def test_extractors_take_any_text_and_answer_themselves(text):
    for name, read in ANSWERS.items():
        found = read(text)
        assert isinstance(found, str)
        if name != "choice":
            assert read(found) == found, name
    assert choice(text) in ("", *"ABCDE")


def test_a_function_that_reads_answers_badly_is_named():
    with pytest.raises(FusionError, match=r"the answer of 'x' failed: ZeroDivisionError"):
        as_extractor(lambda text: str(1 / 0))("x")
    with pytest.raises(ArgumentError, match=r"the answer of 'x' must be a text, .* not None"):
        as_extractor(lambda text: None)("x")  # type: ignore[arg-type, return-value]
    with pytest.raises(ArgumentError, match="answer 'numbers' is unknown; expected one of choice, exact"):
        as_extractor("numbers")


@given(st.integers(0, 30), st.integers(0, 30))
def test_the_posterior_is_the_mass_of_the_beta_distribution_above_a_half(first, second):
    """The twin expands x^first (1 - x)^second and integrates it from 1/2 to 1 in exact fractions."""

    def integral(low):
        return sum(
            Fraction((-1) ** n * math.comb(second, n), first + n + 1) * (1 - low ** (first + n + 1))
            for n in range(second + 1)
        )

    assert leads(first, second) == pytest.approx(float(integral(Fraction(1, 2)) / integral(Fraction(0))), abs=1e-12)


@given(st.lists(st.sampled_from("abc"), max_size=8), st.integers(0, 4))
def test_a_vote_that_is_settled_without_a_posterior_cannot_turn(cast, left):
    votes = {answer: float(cast.count(answer)) for answer in set(cast)}
    ends = set()
    for rest in itertools.product("abcd", repeat=left):
        total = {answer: [*cast, *rest].count(answer) for answer in "abcd"}
        most = max(total.values())
        ends.add(tuple(answer for answer in "abcd" if total[answer] == most))
    unchanged = len(ends) == 1 and len(next(iter(ends))) == 1
    assert is_settled(votes, float(left), None) == (unchanged and bool(cast))


def test_the_posterior_rounds_weighted_votes_against_the_leader():
    assert is_settled({"a": 4.9, "b": 0.1}, 99.0, leads(4, 1)) and not is_settled({"a": 4.9}, 99.0, 0.97)
    assert not is_settled({}, 0.0, 0.6)


def test_ballots_weigh_by_member_with_the_mean_1():
    prompt = [Score(-10.0, 5, 10), Score(-20.0, 5, 10), Score(-30.0, 5, 10)]
    assert ballot_weights(Uniform(), NAMES, (), [0, 1, 2]) == [1.0, 1.0, 1.0]
    assert ballot_weights(Fixed({"ann": 3.0, "bob": 1.0}), NAMES, (), [0, 1, 2]) == [2.25, 0.75, 0.0]
    found = ballot_weights(ByEvidence(2.0), NAMES, prompt, [0, 2])
    ratio = math.exp(-2.0 * (3.0 - 1.0))
    assert found == [pytest.approx(2 / (1 + ratio)), 1.0, pytest.approx(2 * ratio / (1 + ratio))]
    assert ballot_weights(Uniform(), NAMES, (), []) == [1.0, 1.0, 1.0]


@given(st.text(alphabet="ab", max_size=40), st.text(alphabet="ab", min_size=1, max_size=9), st.integers(0, 12))
def test_a_loop_is_the_longest_end_that_repeats(start, unit, times):
    text = start + unit * times
    if text:
        assert loop_share(text) == loop_by_trial(Continuation(0, text, "stop"))


def test_standings_count_only_where_they_are_asked_for():
    loop = "no, " * 20
    assert standing_of(loop, "length", Rerank()) == "finished"
    assert standing_of(loop, "length", Rerank(unfinished="last")) == "unfinished"
    assert standing_of(loop, "stop", Rerank(unfinished="last", repetition=0.5)) == "repetitive"
    found = [replace(Continuation(n, "7", "stop"), finish_reason=why) for n, why in enumerate(("length", "end"))]
    voted = with_ballots(found, Rerank(vote=True, answer="number", unfinished="last"), (1.0, 1.0))
    assert [each.weight for each in voted] == [0.0, 1.0] and tally(voted) == {"7": 1.0}


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"scores": "own"}, "scores 'own' is unknown; expected 'all' or 'others'"),
        ({"length": "word"}, "length 'word' is unknown"),
        ({"unfinished": "first"}, "unfinished 'first' is unknown"),
        ({"vote": 1}, "vote must be True or False, not 1"),
        ({"answer": 3}, "answer must be a name or a function, not 3"),
        ({"weights": "even"}, "weights must be Uniform"),
        ({"margin": -0.1}, "margin must be a number of at least 0, not -0.1"),
        ({"margin": math.nan}, "margin must be a number of at least 0, not nan"),
        ({"samples": -1}, "samples must be a whole number from 0 on, not -1"),
        ({"temperature": 0.0}, "temperature must be a number above 0 and below inf, not 0.0"),
        ({"top_p": 1.5}, "top_p must be a number above 0 and at most 1, not 1.5"),
        ({"repetition": 1.0}, "repetition must be a number above 0 and below 1, not 1.0"),
        ({"stop_at": math.nan}, "stop_at must be a number above 0.5 and below 1, not nan"),
    ],
)
def test_settings_outside_their_range_are_named(given_, message):
    with pytest.raises(ArgumentError, match=message):
        Rerank(**given_)


def test_random_numbers_of_a_test_are_fixed():
    """The twin above compares floats, so the strategies draw from few values; this one draws from many."""
    dice = random.Random(7)
    for _ in range(300):
        rows = [tuple(Score(-dice.expovariate(0.2), dice.randint(1, 9), 5) for _ in NAMES) for _ in range(5)]
        found = [
            Continuation(author, str(dice.randint(1, 3)), "end", row)
            for author, row in zip(["fusion", 0, 1, 2, 2], rows, strict=True)
        ]
        settings = Rerank(vote=dice.random() < 0.5, answer="number", scores=dice.choice(["all", "others"]))
        best = next(each for each in ranked(found, settings, pool()) if each.rank == 0)
        winner, _ = expected(found, settings, (1.0, 1.0, 1.0))
        assert best.text == found[winner].text and best.scores == found[winner].scores
