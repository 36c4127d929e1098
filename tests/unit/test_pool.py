"""The check of a pool: columns, honest comparisons, margins, verdicts, recipes, and scripted pools as a whole."""

from __future__ import annotations

import json
import math
import random

import pytest

from coolfusion.errors import ArgumentError
from coolfusion.evaluation.next_words import positions
from coolfusion.evaluation.pool import check_next_words, check_steps, check_task
from coolfusion.evaluation.pool.columns import Columns, MemberColumn, RuleColumn, gain_of
from coolfusion.evaluation.pool.grid import grid_of, named_specs
from coolfusion.evaluation.pool.of_steps import member_columns, primary_column, rule_column
from coolfusion.evaluation.pool.report import best_member, report_of
from coolfusion.evaluation.pool.verdict import FEWEST_GROUPS, recipe_of, verdict_of
from coolfusion.evaluation.replay import replay
from coolfusion.evaluation.sample_file import SampleFile
from coolfusion.evaluation.statistics import is_development
from coolfusion.evaluation.steps import Round, StepFile, StepRecord
from coolfusion.evaluation.tasks import items_of, task_named
from coolfusion.fusion import Fusion, Member
from coolfusion.fusion.recipe import read_recipe
from coolfusion.fusion.selection import RULES, Primary, as_rule, rule_from_spec
from coolfusion.models import ScriptedModel
from coolfusion.records import Candidate, Score
from fusion_parts import BOS, END, byte_id, lean, toy, writer

DEVELOPMENT = [str(n) for n in range(400) if is_development(str(n))]
REPORT = [str(n) for n in range(400) if not is_development(str(n))]
PRODUCT = named_specs()["product"]
DICE = random.Random(5)
WORDS = sorted({"".join(DICE.choices("abcdefghijk", k=4)) for _ in range(300)})
STORIES = [" ".join(DICE.choices(WORDS, k=18)) for _ in range(48)]


def columns(*rights, rules=(), groups=None, own=()):
    """Columns of members that answer `yes` where they are right."""
    groups = [*DEVELOPMENT[:20], *REPORT[:30]] if groups is None else groups
    members = tuple(
        MemberColumn(f"m{j}", tuple("yes" if each else f"no{j % 2}" for each in right), tuple(right), *own[j : j + 1])
        for j, right in enumerate(rights)
    )
    found = tuple(
        RuleColumn(name, spec, tuple(right), tuple((bool(at % 2), False) for at in range(len(right))), named)
        for name, spec, right, named in rules
    )
    return Columns(tuple(groups), members, found)


def share(right, n, of):
    """`right` ones among `n` items."""
    return [1.0] * right + [0.0] * (n - right) if of else []


def halves(development, report):
    return [*share(development, 20, True), *share(report, 30, True)]


def test_the_best_member_and_the_best_rule_are_chosen_on_the_development_half_only():
    ours = columns(
        halves(10, 3),
        halves(8, 25),
        rules=[
            ("a", PRODUCT, halves(12, 1), True),
            ("b", PRODUCT, halves(12, 9), True),
            ("c", PRODUCT, halves(5, 30), True),
        ],
    )
    report = report_of("t", ours)
    assert (report.primary, report.chosen.name, report.chosen.baseline) == ("m0", "a", "m0")
    assert [line.development for line in report.rules] == [0.6, 0.6, 0.25]
    assert [line.report for line in report.rules] == pytest.approx([1 / 30, 0.3, 1.0])
    assert (report.n_development, report.n_report, report.n_groups) == (20, 30, 30)
    assert report.chosen.gain.difference == pytest.approx((1 - 3) / 30)
    assert [name for name, _ in report.rivals] == ["m0", "m1"]
    assert report.rivals[1][1].difference == pytest.approx((1 - 25) / 30)
    assert report.chosen.overrides == 0.5


def test_agreement_oracle_and_vote_are_counted():
    first, second, third = halves(10, 20), halves(10, 10), [*share(0, 20, True), *[0.0] * 20, *[1.0] * 10]
    report = report_of("t", columns(first, second, third, rules=[("a", PRODUCT, first, True)]))
    # Of 30 items: ten by the first two, ten by the first alone, ten by the third alone.
    assert report.oracle == 1.0 and report.co_failure == 0.0
    # Where all answers differ the primary breaks the tie.
    assert report.vote == pytest.approx(20 / 30)
    pairs = {(one, other): value for one, other, value in report.agreement}
    assert pairs["m0", "m1"] == pytest.approx((10 + 10) / 50)
    assert pairs["m0", "m2"] == pytest.approx((10 + 0) / 50)
    two = report_of("t", columns(first, second, rules=[("a", PRODUCT, first, True)]))
    assert math.isnan(two.vote) and two.co_failure == pytest.approx(1 / 3)


def test_a_rule_with_alternatives_is_compared_with_most_probable_words():
    greedy, own = (halves(10, 5), halves(4, 4)), (tuple(halves(3, 9)), tuple(halves(9, 20)))
    wide = {**named_specs()["mixture"], "alternatives": 1}
    rules = [("wide", wide, halves(12, 21), True), ("plain", PRODUCT, halves(11, 21), True)]
    report = report_of("t", columns(*greedy, rules=rules, own=own))
    lines = {line.name: line for line in report.rules}
    assert (lines["wide"].baseline, lines["plain"].baseline) == ("m1", "m0")
    assert lines["wide"].gain.difference == pytest.approx(1 / 30)
    assert lines["plain"].gain.difference == pytest.approx(16 / 30)
    assert report.rivals[0][1].difference == pytest.approx((21 - 9) / 30)


def test_items_of_one_paragraph_are_drawn_together():
    many = [str(n // 2) for n in range(80)]
    ours, theirs = [float(n // 2 % 2) for n in range(80)], [0.0] * 80
    pairs, single = (
        gain_of(ours, theirs, many, range(80)),
        gain_of(ours, theirs, [str(n) for n in range(80)], range(80)),
    )
    assert pairs.difference == single.difference == 0.5
    assert pairs.high - pairs.low > 1.2 * (single.high - single.low)


@pytest.mark.parametrize(
    ("first", "second", "rule", "fuse"),
    [
        ((10, 10), (8, 10), (15, 20), True),
        ((10, 10), (8, 10), (15, 11), False),
        # The member that is best on the report half was not the best before, and no rule beats it.
        ((10, 10), (8, 25), (15, 20), False),
    ],
)
def test_the_verdict_is_to_fuse_only_where_every_member_is_beaten(first, second, rule, fuse):
    report = report_of("t", columns(halves(*first), halves(*second), rules=[("a", PRODUCT, halves(*rule), True)]))
    verdict = verdict_of(report)
    assert verdict.fuse is fuse
    assert verdict.text.startswith("Fuse. The rule 'a'" if fuse else "Fusing is not shown to pay.")
    recipe = recipe_of(report, verdict, facts={"data": "0f"})
    assert read_recipe(json.loads(json.dumps(recipe.as_dict(), allow_nan=False))) == recipe
    assert recipe.members == (("m0", "m1") if fuse else ("m0",))
    assert recipe.measured["data"] == "0f" and recipe.measured["fuse"] is fuse
    if fuse:
        assert dict(recipe.rule) == PRODUCT and verdict.rule.name == "a"


def test_few_documents_are_never_enough():
    n = FEWEST_GROUPS - 1
    groups = [*DEVELOPMENT[:20], *REPORT[:n]]
    rights = [0.0] * len(groups), [0.0] * len(groups)
    report = report_of("t", columns(*rights, rules=[("a", PRODUCT, [1.0] * len(groups), True)], groups=groups))
    verdict = verdict_of(report)
    assert report.chosen.gain.low == 1.0 and not verdict.fuse
    assert f"The report half has {n} documents; an interval needs {FEWEST_GROUPS}" in verdict.text


def test_weak_members_overrides_and_errors_are_named():
    report = report_of("t", columns(halves(15, 20), halves(2, 3), rules=[("a", PRODUCT, halves(15, 20), True)]))
    text = verdict_of(report._replace(errors=3)).text
    assert "below the best member: m1" in text and "overrides the primary on 50%" in text and "wrong: 3" in text


def step(item, group, values, gold, *, alternatives=0):
    """A step in which member j proposes word j; `values[i][j]` is ln p of word i under member j."""
    words = [" a", " b", " c"][: len(values)]
    candidates = tuple(Candidate(word, False, (j,), (), (), True) for j, word in enumerate(words))
    scores = tuple(tuple(Score(value, 1, 2, -0.01) for value in row) for row in values)
    names = tuple(f"m{j}" for j in range(len(values)))
    prompt = (Score(-5.0, 4, 9),) * len(values)
    return StepRecord(item, group, "p", gold, names, Round(candidates, scores), None, prompt, (), alternatives, True)


def random_steps(n=120, seed=0, skill=0.6):
    dice = random.Random(seed)
    groups = [*DEVELOPMENT[: n // 2], *REPORT[: n // 2]]
    found = []
    for at, group in enumerate(groups):
        right = dice.random() < skill
        sure = dice.uniform(0.0, 4.0)
        values = [[-1.0, -2.0 - sure], [-1.0 - (0.5 - right) * sure, -0.5]]
        found.append(step(str(at), group, values, "b" if right else "a"))
    return found


def test_a_calibrated_margin_decides_as_a_primary_with_that_margin():
    records = random_steps()
    ours = Columns(tuple(each.group for each in records), member_columns(records), ())
    spec = named_specs()["boldest"]
    found = primary_column(spec, records, ours, 0)
    margin = found.spec["margin"]
    assert found.spec["member"] == "m0" and isinstance(margin, float) and margin >= 0.0
    rule = Primary(as_rule("boldest"), margin, "m0")
    assert list(found.right) == [float(replay(each, rule).winner.text.strip() == each.gold) for each in records]
    places = ours.half(True)
    gain = gain_of(found.right, ours.members[0].right, ours.groups, places)
    assert gain.low > 0.0
    # No other margin of a fine grid gains more on the development half without a doubt.
    for n in range(60):
        other = rule_column("x", {"kind": "primary", "rule": spec, "margin": n / 10, "member": "m0"}, records)
        tried = gain_of(other.right, ours.members[0].right, ours.groups, places)
        assert tried.difference <= gain.difference + 1e-9 or tried.low <= 0.0


def test_without_a_gain_the_margin_is_infinite_and_the_primary_decides():
    records = random_steps(skill=0.1)
    ours = Columns(tuple(each.group for each in records), member_columns(records), ())
    assert best_member(ours) == 0
    found = primary_column(named_specs()["boldest"], records, ours, 0)
    assert found.spec["margin"] == "inf" and found.right == ours.members[0].right
    assert not any(each[0] for each in found.differs)


def test_a_step_that_failed_is_wrong_for_everyone():
    records = [*random_steps(20), step("x", "x", [[-1.0, -1.0], [-1.0, -1.0]], "a")._replace(error="broken")]
    assert [each.right[-1] for each in member_columns(records)] == [0.0, 0.0]
    assert rule_column("p", PRODUCT, records).right[-1] == 0.0
    assert check_steps(records).report.errors == 1


def test_the_grid_has_each_of_its_rules_once():
    found = dict(grid_of({"a": 0.3, "b": 0.1}))
    assert len(found) == 144 and len({json.dumps(spec) for spec in found.values()}) == 144
    assert len(dict(grid_of({"a": 0.0}))) == 108, "no weights by scores of nothing"
    assert not any(spec["alternatives"] for _, spec in grid_of({"a": 1.0}, alternatives=0))
    assert all(rule_from_spec(spec) for spec in found.values()) and set(named_specs()) == set(RULES)
    assert {spec["exponent"] for spec in found.values()} == {0.0, 0.5, 1.0, 2.0, 16.0, "inf"}


# Whole checks.


def knower(name, tokenizer, knows):
    """A member that writes the next word of a story if it knows the word, surely; else `zz`, with a doubt."""

    def row(ids):
        text = tokenizer.decode([each for each in ids if each != BOS])
        story = next((each for each in STORIES if each.startswith(text)), None)
        before = text.rsplit(" ", 1)[-1]
        if story is None:
            letter = {"z": "z", "zz": " "}.get(before, " ")
            return lean(tokenizer.vocab_size, {byte_id(ord(letter)): 0.9})
        if len(text) == len(story):
            return lean(tokenizer.vocab_size, {END: 0.9})
        start = text.rfind(" ") + 1
        letter, chance = story[len(text)], 0.9
        if letter != " " and not knows(story[start:].split(" ")[0]):
            letter, chance = "z", 0.3
        return lean(tokenizer.vocab_size, {byte_id(ord(letter)): chance})

    model = ScriptedModel(row, tokenizer.vocab_size, eos_token_ids=[END], name=name)
    return Member(model, tokenizer, (BOS,))


def checked(*members):
    places = positions("\n".join(STORIES), seed=3)
    return places, check_next_words(Fusion(members), places, StepFile(None, {}))


@pytest.mark.slow
def test_specialists_are_fused():
    one = knower("one", toy(), lambda word: word[0] < "f")
    other = knower("other", toy(), lambda word: word[0] >= "f")
    places, (report, verdict) = checked(one, other)
    assert report.n_development + report.n_report == len(places) and report.errors == 0
    golds = [place for place in places if not is_development(place.group)]
    known = sum(place.gold[0] < "f" for place in golds) / len(golds)
    assert [each.report for each in report.members] == pytest.approx([known, 1.0 - known])
    assert report.oracle == 1.0 and report.chosen.report == 1.0
    assert verdict.fuse and verdict.rule.gain.low > 0.0
    assert recipe_of(report, verdict).members == ("one", "other")


@pytest.mark.slow
def test_a_weak_partner_is_left_out():
    strong = knower("strong", toy(), lambda word: word[0] < "h")
    weak = knower("weak", toy(), lambda word: False)
    _, (report, verdict) = checked(strong, weak)
    assert report.primary == "strong" and report.members[1].report == 0.0
    assert not verdict.fuse and verdict.alone and "below the best member: weak" in verdict.text
    assert recipe_of(report, verdict).members == ("strong",)


def test_a_task_with_written_answers_is_checked():
    words = {"tac": "cat", "tam": "mat", "god": "dog", "nus": "sun"}
    records = [{"context": f"{key} =", "completion": f" {word}"} for key, word in words.items()]

    def speller(name, knows):
        def follow(text):
            key, _, written = text.rpartition(" =")
            wanted = f" {words[key[-3:]] if key[-3:] in knows else 'no'}\n\n"
            return wanted[len(written) :] if wanted.startswith(written) else ""

        return writer(toy(), follow, name=name)

    task = task_named("unscramble")
    items = items_of(task, records)
    fusion = Fusion([speller("all", words), speller("some", ["tac"])])
    file, counted = SampleFile(None, {}), []
    report, verdict = check_task(fusion, task, items, file, max_new_tokens=6, progress=counted.append)
    assert sum(counted) == 7 * 4
    assert [each.report for each in report.members] == [1.0, pytest.approx(report.members[1].report)]
    assert [line.name for line in report.rules] == ["paper", "confident", "mixture", "boldest", "primary"]
    assert not verdict.fuse and recipe_of(report, verdict).members == ("all",)
    with pytest.raises(ArgumentError, match="has no written answers"):
        check_task(fusion, task_named("bits_per_byte"), items, file)
    with pytest.raises(ArgumentError, match="expected two or more, not 1"):
        check_task(Fusion([speller("all", words)]), task, items, file)
    with pytest.raises(ArgumentError, match="there are no items"):
        check_next_words(fusion, [], StepFile(None, {}))
