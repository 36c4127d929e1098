"""Recorded steps: a replay decides as `Fusion` does in its first step, for each rule and each part of the members."""

from __future__ import annotations

import json
import math
from itertools import combinations

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

import coolfusion as cf
from coolfusion.errors import ArgumentError
from coolfusion.evaluation.collect import collect_steps, setup_of
from coolfusion.evaluation.next_words import Position
from coolfusion.evaluation.replay import own_words, replay
from coolfusion.evaluation.steps import Round, StepFile, StepRecord
from coolfusion.fusion import Fusion, Request
from coolfusion.fusion.selection import ByEvidence, PowerMean, Uniform, as_rule, rule_from_spec
from coolfusion.records import Candidate, Score
from fusion_parts import gambler, toy, toy_inner, writer
from rule_specs import specs

PROMPTS = (
    "Once upon a time there was a little girl who",
    "Question: Tom has 23 apples. He gives away 9. How many apples are left? Answer: 23 -",
    "Puzzle: What is tiger spelled backwards? Answer:",
    "The dog ran to the",
    "hello zebra",
)
TOKENIZERS = (toy(" the", " cat", "ab"), toy(), toy(" a", "bc", ". "))


def places(prompts=PROMPTS):
    return [Position(f"p{n}", f"p{n}", prompt, "x") for n, prompt in enumerate(prompts)]


def parts(n):
    return [list(part) for size in range(1, n + 1) for part in combinations(range(n), size)]


def first_step(fusion, prompt, rule, members, *, whole_prompt=True):
    """What the loop itself does."""
    engine = fusion.engine
    request = Request(prompt=prompt, max_new_tokens=256, whole_prompt=whole_prompt)
    entry = engine.open(request, members=members, rule=rule, granularity=fusion.granularity)
    engine.submit(entry)
    engine.step_until(lambda: bool(entry.running.steps) or entry.running.is_finished)
    engine.abort(entry.number)
    assert entry.running.error is None
    return entry.running.steps[0]


def same_decision(replayed, step, tolerance=1e-9):
    """Asserts that a replay saw and chose what the loop did."""
    view, selection = replayed
    assert [(c.text, c.members, c.token_ids) for c in view.candidates] == [
        (c.text, c.members, c.token_ids) for c in step.candidates
    ]
    for row, expected in zip(view.scores, step.scores, strict=True):
        for score, wanted in zip(row, expected, strict=True):
            assert score == pytest.approx(wanted, abs=tolerance)
    assert selection.values == pytest.approx(step.values, rel=tolerance, abs=tolerance)
    assert selection.weights == pytest.approx(step.weights, rel=tolerance, abs=tolerance)
    assert (selection.winner, selection.primary) == (step.winner, step.primary) or step.margin < 1e-7


@pytest.fixture(scope="module")
def embedded():
    pytest.importorskip("torch", reason="runs the embedded models")
    pytest.importorskip("transformers", reason="runs the embedded models")
    from coolfusion.embedded import folders

    options = {"device": "cpu", "dtype": "float64", "threads": 1, "granularity": "word"}
    with Fusion.from_pretrained(folders(), **options) as fusion:
        yield fusion, collect_steps(fusion, places(), StepFile(None, {}))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@settings(deadline=None, max_examples=40)
@given(
    at=st.integers(0, len(PROMPTS) - 1),
    members=st.sampled_from(parts(3)),
    spec=specs(names=("ash", "birch", "cedar")),
)
def test_a_replay_of_the_embedded_models_commits_what_the_fusion_commits(embedded, at, members, spec):
    fusion, records = embedded
    assert records[at].error is None and records[at].divisible
    step = first_step(fusion, PROMPTS[at], spec, members)
    same_decision(replay(records[at], rule_from_spec(spec), members), step)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_embedded_models_differ_somewhere_and_have_alternatives(embedded):
    _, records = embedded
    assert any(len(record.greedy.candidates) > 1 for record in records)
    wider = [record for record in records if record.wider is not None]
    assert wider and all(len(record.wider.candidates) > len(record.greedy.candidates) for record in wider)
    alternatives = [c for record in wider for c in record.wider.candidates if record.is_alternative(c)]
    assert alternatives and all(record.wider is not None or len(record.greedy.candidates) == 1 for record in records)


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    members=st.sampled_from(parts(3)),
    spec=specs(names=("g0", "g1", "g2")),
    whole_prompt=st.booleans(),
    granularity=st.sampled_from(["word", "pre_token"]),
)
def test_a_replay_of_random_members_commits_what_the_fusion_commits(seed, members, spec, whole_prompt, granularity):
    pool = [gambler(TOKENIZERS[n], seed + n, name=f"g{n}") for n in range(3)]
    fusion = Fusion(pool, granularity=granularity)
    [record] = collect_steps(fusion, places(["ab the"]), StepFile(None, {}), whole_prompt=whole_prompt)
    rule = rule_from_spec(spec)
    if whole_prompt and granularity == "word":
        proposed = [each for found in (record.greedy, record.wider) if found for each in found.candidates]
        assert all(each.end or each.text[0].isspace() for each in proposed)
    if record.error is None and (record.divisible or len(members) == 3):
        step = first_step(fusion, "ab the", rule, members, whole_prompt=whole_prompt)
        same_decision(replay(record, rule, members), step)
    elif record.error is None:
        with pytest.raises(ArgumentError, match="is indivisible"):
            replay(record, rule, members)


@pytest.mark.parametrize("members", parts(3))
@pytest.mark.parametrize("unsure_below", [0.15, 2.0])
def test_alternatives_are_replayed(members, unsure_below):
    rule, wider = PowerMean(1.0, alternatives=1, unsure_below=unsure_below), 0
    for seed in range(4):
        fusion = Fusion([gambler(TOKENIZERS[n], seed + n, name=f"g{n}") for n in range(3)], granularity="word")
        [record] = collect_steps(fusion, places(["ab the"]), StepFile(None, {}))
        if record.divisible:
            found = replay(record, rule, members)
            same_decision(found, first_step(fusion, "ab the", rule, members))
            wider += any(record.is_alternative(each) for each in found.view.candidates)
    assert wider or len(members) == 1, "some step has alternatives"


class Spy(PowerMean):
    """Keeps the last step that it saw."""

    def values(self, step):
        self.seen = step
        return super().values(step)


@pytest.mark.parametrize("members", parts(2))
@pytest.mark.parametrize("weights", [Uniform(), ByEvidence()])
@pytest.mark.parametrize("mass", [False, True])
def test_a_rule_sees_the_step_that_it_asked_for_and_no_more(members, weights, mass):
    fusion = Fusion([gambler(TOKENIZERS[n], n + 7, name=f"g{n}") for n in range(2)], granularity="word")
    [record] = collect_steps(fusion, places(["ab the"]), StepFile(None, {}))
    assert record.divisible
    rule = Spy(1.0, weights, boundary_mass=mass)
    first_step(fusion, "ab the", rule, members)
    wanted = rule.seen
    replay(record, rule, members)
    assert rule.seen is not wanted
    for name in ("candidates", "members", "names", "prompt", "so_far", "history", "seed"):
        assert getattr(rule.seen, name) == getattr(wanted, name), name
    assert (rule.seen.prompt != ()) is (weights.prompt_scores and len(members) > 1)
    flat = [score for row in rule.seen.scores for score in row]
    assert any(score.boundary_logprob is not None for score in flat) is mass


def test_a_boundary_that_only_some_members_have_makes_a_step_indivisible():
    """One tokenizer has a boundary after `.`, the other glues `.` and the newline."""
    inner = toy_inner(".\n")
    words = tokenizers.pre_tokenizers.Split(tokenizers.Regex(r" ?\p{L}+| ?[^\s\p{L}]+[\r\n]*|\s+"), "isolated")
    letters = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([words, letters])
    plain, glued = toy(), cf.Tokenizer.wrap(inner)
    one = writer(plain, lambda text: "a cat.\nb dog"[len(text) :], name="one")
    two = writer(glued, lambda text: "a cat.\nb dog"[len(text) :], name="two")
    [record] = collect_steps(Fusion([one, two], granularity="word"), places(["a"]), StepFile(None, {}))
    [alone] = collect_steps(Fusion([one], granularity="word"), places(["a"]), StepFile(None, {}))
    assert [c.text for c in record.greedy.candidates] == [" cat.\nb"] != [c.text for c in alone.greedy.candidates]
    assert not record.divisible and alone.divisible
    with pytest.raises(ArgumentError, match="item p0 is indivisible"):
        replay(record, as_rule("paper"), [0])
    assert replay(record, as_rule("paper")).winner.text == " cat.\nb"
    shortest = Fusion([one, two], alignment="shortest", granularity="word")
    [record] = collect_steps(shortest, places(["a"]), StepFile(None, {}))
    assert record.divisible and replay(record, as_rule("paper"), [0]).winner.text == " cat."


def test_what_a_replay_cannot_answer_is_refused():
    [record] = collect_steps(
        Fusion([gambler(TOKENIZERS[0], 1), gambler(TOKENIZERS[1], 2)]),
        places(["a"]),
        StepFile(None, {}),
        alternatives=2,
    )
    with pytest.raises(ArgumentError, match=r"asks for 1 alternatives, and the record holds 2; expected that or 0"):
        replay(record, PowerMean(alternatives=1))
    replay(record, PowerMean(alternatives=2))
    for members in ([], [1, 0], [0, 0], [2]):
        with pytest.raises(ArgumentError, match=r"expected ascending numbers out of 0\.\.1"):
            replay(record, as_rule("paper"), members)
    with pytest.raises(ArgumentError, match="item p0 has no step: it broke"):
        replay(record._replace(error="it broke"), as_rule("paper"))
    with pytest.raises(ArgumentError, match="has no step"):
        own_words(record._replace(error="it broke"))


def test_an_item_that_fails_has_its_error_and_the_others_go_on():
    fusion = Fusion([writer(toy(specials=("<s>", "</s>")), " b", name="w", prefix_ids=())])
    records = collect_steps(fusion, places(["a", "", "a"]), StepFile(None, {}))
    assert [record.error is None for record in records] == [True, False, True]
    assert records[1].error.startswith("EmptyPromptError: ")
    assert not fusion.engine.has_unfinished


def candidate(text, *members):
    return Candidate(text, not text, members, (), (), bool(text))


def test_the_own_words_of_members_are_greedy_and_most_probable():
    greedy = Round((candidate(" a", 0), candidate(" b", 1)), ((Score(-2.0, 1, 2, -0.1),) * 2,) * 2)
    scores = ((Score(-2.0, 1, 2, -3.0), Score(-9.0, 1, 2, 0.0)), (Score(-9.0, 1, 2, 0.0), Score(-1.0, 1, 2, -0.1)))
    more = ((Score(-3.0, 1, 2, -0.1), Score(-0.5, 1, 2, 0.0)),)  # likelier under the second, who did not propose it
    wider = Round((*greedy.candidates, candidate(" c", 0)), (*scores, *more))
    record = StepRecord("i", "g", "p", "a", ("x", "y"), greedy, wider, (), (), 1, True)
    assert own_words(record) == ((" a", " c"), (" b", " b"))
    assert own_words(record._replace(wider=None)) == ((" a", " a"), (" b", " b"))
    # A member alone says what the others cannot say.
    lone = record._replace(greedy=Round(greedy.candidates[:1], greedy.scores[:1]), wider=None, gold="w")
    assert own_words(lone)[1] == ("", "")
    assert own_words(lone._replace(refused=(("\nv", (1,)), ("\nw", (1,)), (" w", (0,)))))[1] == ("\nw", "\nw")


def test_a_file_of_steps_is_resumed_and_nothing_is_collected_twice(tmp_path):
    def pool():
        return Fusion([gambler(TOKENIZERS[n], n, name=f"g{n}") for n in range(2)])

    prompts, path = places([f"a{'b' * n}" for n in range(5)]), tmp_path / "steps.jsonl"
    setup = setup_of(pool(), 1, data="x")
    counted = []
    whole = collect_steps(pool(), prompts, StepFile(tmp_path / "whole.jsonl", setup), chunk=2, progress=counted.append)
    assert sum(counted) == 5
    lines = (tmp_path / "whole.jsonl").read_text().splitlines(keepends=True)
    assert len(lines) == 6
    path.write_text("".join(lines[:3]) + lines[3][:50])  # a run that was killed while it wrote
    collect_steps(pool(), prompts, StepFile(path, setup), chunk=2)
    assert sorted(path.read_text().splitlines()[1:]) == sorted(line.strip() for line in lines[1:])
    fresh = pool()
    assert collect_steps(fresh, prompts, StepFile(path, setup)) == whole
    assert [member.runner.forward_passes for member in fresh.members] == [0, 0]
    with pytest.raises(ArgumentError, match="another set-up: data was 'x' and is 'y'"):
        StepFile(path, setup_of(pool(), 1, data="y"))


def test_records_come_back_as_they_were(tmp_path):
    scores = ((Score(-math.inf, 1, 2, -math.inf, None), Score(-0.1, 2, 2, 0.0, -1.5)),)
    found = Round((Candidate(" \u2028é", False, (0, 1), ((1, 2), (3,)), (False, True), True),), scores)
    end = Round((Candidate("", True, (1,), ((), ()), (False, False)),), ((Score(-1.0, 1), Score(-2.0, 1)),))
    record = StepRecord(
        "i", "g", "p", "w", ("a", "b"), found, end, (Score(-3.0, 2, 5),) * 2, (("z", (1,)),), 1, False, None
    )
    StepFile(tmp_path / "f", {}).add([record, record._replace(item="j", wider=None, error="why")])
    assert list(StepFile(tmp_path / "f", {}).records.values()) == [
        record,
        record._replace(item="j", wider=None, error="why"),
    ]
    for line in (tmp_path / "f").read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not strict JSON"))
    broken = (tmp_path / "f").read_text().replace('"scores"', '"score"')
    (tmp_path / "f").write_text(broken)
    with pytest.raises(ArgumentError, match="line 2: no recorded step"):
        StepFile(tmp_path / "f", {})
