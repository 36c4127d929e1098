from __future__ import annotations

from types import SimpleNamespace

import pytest

from coolfusion.fusion.speculation import LENGTHS, WORDS_BETWEEN_PLANS, Speculation
from coolfusion.members.cost import PassCost


def costs(*seconds, slope=0.0):
    return [PassCost(single, single * slope) for single in seconds]


def after(drafting, *texts, winner, rounds=60):
    for turn in range(rounds):
        drafting.plan(range(len(texts)))
        drafting.observe(dict(enumerate(texts)), winner[turn % len(winner)], dict.fromkeys(range(len(texts)), 1))
    return drafting.plan(range(len(texts)))


def test_full_agreement_drafts_far_and_with_the_cheapest_leader():
    leader, words = after(Speculation(costs(8.0, 3.8, 9.0)), "a", "a", "a", winner="a")
    assert (leader, words) == (1, max(LENGTHS))


def test_a_leader_that_never_wins_is_not_followed():
    leader, words = after(Speculation(costs(1.0, 9.0, 9.0)), "a", "b", "b", winner="b")
    assert words == 0 or leader != 0


def test_no_agreement_drafts_little_or_not_at_all():
    _, words = after(Speculation(costs(1.0, 1.0, 1.0, slope=0.5)), "a", "b", "c", winner="abc")
    assert words <= 1


def test_where_every_token_costs_a_pass_nothing_is_drafted():
    _, words = after(Speculation(costs(1.0, 1.0, 1.0, slope=1.0)), "a", "a", "a", winner="a")
    assert words <= 1


def test_nothing_is_drafted_for_members_that_read_token_by_token():
    assert after(Speculation(costs(1.0, 1.0), batches_paths=[False, False]), "a", "a", winner="a")[1] == 0
    leader, words = after(Speculation(costs(1.0, 1.0), batches_paths=[False, True]), "a", "a", winner="a")
    assert leader == 0 and words > 1, "the one that can read drafts follows"


def test_a_plan_holds_for_some_words():
    drafting = Speculation(costs(1.0, 1.0))
    assert drafting.plan([0, 1]) == (0, 0), "the first word is written without a draft"
    drafting.observe({0: "a", 1: "a"}, "a", {0: 1, 1: 1})
    first = drafting.plan([0, 1])
    assert first[1] > 0
    for _ in range(WORDS_BETWEEN_PLANS - 1):
        drafting.observe({0: "a", 1: "b"}, "b", {0: 1, 1: 1})
        assert drafting.plan([0, 1]) == first


@pytest.mark.parametrize("drafts", [0, 1, 5])
def test_a_length_that_was_asked_for_is_kept(drafts):
    assert after(Speculation(costs(1.0, 1.0), drafts=drafts), "a", "b", winner="a")[1] == drafts


def test_one_member_has_nobody_to_draft_for():
    assert Speculation(costs(1.0)).plan([0]) == (0, 0)


def test_on_devices_of_their_own_the_fastest_leads_if_it_is_faster():
    assert after(Speculation(costs(8.0, 3.8, 9.0), concurrent=True), "a", "a", "a", winner="a") == (1, max(LENGTHS))
    assert after(Speculation(costs(1.0, 1.0), concurrent=True), "a", "a", winner="a")[1] == 0
    assert after(Speculation(costs(8.0, 3.8, 9.0), concurrent=True), "a", "b", "a", winner="a")[1] == 0


def test_a_pass_costs_what_its_runner_says_and_else_one():
    cost = PassCost.of_runner(SimpleNamespace())
    assert (cost.of(1), cost.of(9)) == (1.0, 1.0)
    cost = PassCost.of_runner(SimpleNamespace(pass_seconds=(2.0, 0.5)))
    assert (cost.of(0), cost.of(1), cost.of(7)) == (2.0, 2.0, 5.0)
