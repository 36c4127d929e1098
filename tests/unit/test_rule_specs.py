"""Rules as plain values: what a spec says, that it comes back, and what is refused."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolfusion.errors import ArgumentError
from coolfusion.fusion.fields import Fields
from coolfusion.fusion.selection import (
    RULES,
    ByEvidence,
    Fixed,
    PowerMean,
    Primary,
    RowRule,
    StepView,
    Uniform,
    as_rule,
    rule_from_spec,
    spec_of,
)
from coolfusion.records import Candidate, Score
from rule_specs import NAMES, specs

SCORED = Score(-3.0, 2, 4, -0.1)


def view():
    """A step in which members differ."""
    candidates = tuple(Candidate(text, False, (j,), (), ()) for j, text in enumerate((" a", " bc", " def")))
    scores = tuple(
        tuple(Score(-1.0 - abs(i - j) * (1 + j), 1 + j, 2 + i, -0.2 * (i + 1)) for j in range(3)) for i in range(3)
    )
    prompt = tuple(Score(-10.0 - j, 5, 9) for j in range(3))
    return StepView(candidates, scores, (0, 1, 2), NAMES, prompt, prompt)


@given(specs())
def test_a_spec_comes_back_as_it_was(spec):
    read = json.loads(json.dumps(spec, allow_nan=False))
    assert spec_of(rule_from_spec(read)) == spec
    assert spec_of(as_rule(spec)) == spec


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_named_rule_has_a_spec_that_decides_alike(name):
    rule = as_rule(name)
    again = rule_from_spec(json.loads(json.dumps(spec_of(rule), allow_nan=False)))
    assert again.name == rule.name
    flags = ("boundary_mass", "alternatives", "prompt_scores")
    assert [getattr(again, flag) for flag in flags] == [getattr(rule, flag) for flag in flags]
    assert again.values(view()) == rule.values(view())


def test_what_is_left_out_has_the_defaults_of_the_classes():
    rule = rule_from_spec({"kind": "power_mean"})
    assert spec_of(rule) == spec_of(PowerMean()) and isinstance(rule.weights, Uniform)
    rule = rule_from_spec({"kind": "primary", "rule": {"kind": "power_mean", "weights": {"kind": "evidence"}}})
    assert (rule.margin, rule.member, rule.rule.weights.kappa) == (0.0, None, ByEvidence().kappa)
    assert rule_from_spec({"kind": "power_mean", "exponent": 1}).exponent == 1.0


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (3, "rule is 3; expected an object"),
        ({}, r"rule.kind is missing; the object has \[\]"),
        ({"kind": "best"}, "rule.kind is 'best'; expected 'arithmetic_mean_perplexity' or"),
        ({"kind": "power_mean", "exponent": "1"}, "rule.exponent is '1'; expected a number"),
        ({"kind": "power_mean", "exponent": True}, "rule.exponent is True; expected a number"),
        ({"kind": "power_mean", "exponent": math.nan}, "rule.exponent is nan; expected a number"),
        ({"kind": "power_mean", "exponents": 1}, "rule.exponents is unknown"),
        ({"kind": "power_mean", "per": "word"}, "rule.per is 'word'; expected 'segment' or 'token' or 'byte'"),
        ({"kind": "power_mean", "alternatives": -1}, "rule.alternatives is -1; expected a whole number"),
        ({"kind": "power_mean", "boundary_mass": 1}, "rule.boundary_mass is 1; expected true or false"),
        ({"kind": "power_mean", "name": ""}, "rule.name is ''; expected a text"),
        ({"kind": "power_mean", "weights": {"kind": "evidence", "kappa": -1}}, "rule.weights: kappa must be"),
        ({"kind": "power_mean", "weights": {"kind": "fixed", "by_name": [1]}}, r"rule.weights.by_name is \[1\]"),
        ({"kind": "power_mean", "weights": {"kind": "fixed", "by_name": {"a": "b"}}}, "rule.weights.by_name.a is 'b'"),
        ({"kind": "power_mean", "weights": {"kind": "fixed", "by_name": {}}}, "rule.weights: weights must be numbers"),
        ({"kind": "power_mean", "weights": {"kind": "uniform", "kappa": 1}}, "rule.weights.kappa is unknown"),
        ({"kind": "primary", "margin": 1}, "rule.rule is missing"),
        ({"kind": "primary", "rule": {"kind": "x"}}, "rule.rule.kind is 'x'"),
        ({"kind": "primary", "rule": {"kind": "power_mean"}, "margin": -1}, "rule: margin must be at least 0"),
        ({"kind": "arithmetic_mean_perplexity", "margin": 1}, "rule.margin is unknown"),
    ],
)
def test_a_wrong_spec_is_refused_with_the_path_of_the_field(spec, message):
    with pytest.raises(ArgumentError, match=f"^{message}"):
        rule_from_spec(spec)


def test_rules_that_plain_values_cannot_describe_are_refused():
    class Mine(PowerMean):
        pass

    class Heavy(Uniform):
        pass

    def arithmetic_mean_perplexity(row):
        return 0.0

    for rule in (Mine(), RowRule(arithmetic_mean_perplexity), Primary(Mine()), PowerMean(weights=Heavy())):
        with pytest.raises(ArgumentError, match=r"has no spec|have no spec"):
            spec_of(rule)
    assert spec_of(PowerMean(weights=Fixed({"a": 1.0})))["weights"] == {"kind": "fixed", "by_name": {"a": 1.0}}


@given(st.sampled_from(["take", "number", "count", "flag", "text"]))
def test_a_field_is_taken_once(method):
    fields = Fields({"one": 1}, "it")
    assert fields.take("one") == 1
    with pytest.raises(ArgumentError, match=r"it\.one is missing"):
        getattr(fields, method)("one")
    fields.end()
