"""Gives names to rules, because the command line and recipes hold no code. For example, "mixture" is a power mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from coolfusion.errors import ArgumentError
from coolfusion.fusion.selection.base import RowRule, SelectionRule
from coolfusion.fusion.selection.mean_perplexity import (
    arithmetic_mean_perplexity,
    geometric_mean_perplexity,
    total_negative_logprob,
)
from coolfusion.fusion.selection.power_mean import PowerMean
from coolfusion.fusion.selection.specs import rule_from_spec
from coolfusion.fusion.selection.weights import ByEvidence, ByRecentText
from coolfusion.fusion.selection.wrappers import Primary, WithoutOutliers

# The forms of a rule that callers may give. `as_rule` converts each of them to a `SelectionRule`.
Rule = str | SelectionRule | Callable[..., float] | Mapping[str, Any]
# The rule of every text that names none, because of its results in docs/results.md.
DEFAULT_RULE = "confident"

# Each entry makes a rule. docs/concepts.md explains them, and docs/results.md measures them.
RULES: dict[str, Callable[[], SelectionRule]] = {
    "paper": lambda: arithmetic_mean_perplexity,
    "geometric": lambda: geometric_mean_perplexity,
    "per_word": lambda: total_negative_logprob,
    "per_byte": lambda: PowerMean(0.0, per="byte", boundary_mass=False, name="per_byte"),
    "log_linear": lambda: PowerMean(0.0, ByEvidence(), name="log_linear"),
    "mixture": lambda: PowerMean(1.0, ByEvidence(), name="mixture"),
    "confident": lambda: PowerMean(8.0, ByEvidence(), per="byte", name="confident"),
    "quadratic": lambda: PowerMean(2.0, ByEvidence(), name="quadratic"),
    "boldest": lambda: PowerMean(math.inf, name="boldest"),
    "product": lambda: PowerMean(0.0, name="product"),
    "minimum": lambda: PowerMean(-math.inf, name="minimum"),
    "primary": lambda: Primary(PowerMean(2.0, ByEvidence()), 1.0),
    "without_outliers": lambda: WithoutOutliers(PowerMean(2.0, ByEvidence())),
    "history": lambda: PowerMean(2.0, ByRecentText(), name="history"),
}


def as_rule(rule: Any) -> SelectionRule:
    """Returns the rule of a name, a spec, a `SelectionRule`, or a function of one candidate's scores.

    Args:
        rule: the rule. A spec is an object as `rule_from_spec` reads it, a `SelectionRule` stays as it is, and a
            function becomes a `RowRule`.

    Raises:
        ArgumentError: the name is unknown, a spec has a wrong field, or the rule is none of these.

    Example:
        >>> as_rule("mixture")
        PowerMean(1, ByEvidence(kappa=3), per='segment')
    """
    if isinstance(rule, str):
        if rule not in RULES:
            raise ArgumentError(f"rule {rule!r} is unknown; expected one of {', '.join(sorted(RULES))}")
        return RULES[rule]()
    if isinstance(rule, Mapping):
        return rule_from_spec(rule)
    if isinstance(rule, SelectionRule) and not isinstance(rule, type):
        return rule
    if callable(rule) and not isinstance(rule, type):
        return RowRule(rule)
    raise ArgumentError(
        f"rule must be a name, a spec, a SelectionRule or a function of one candidate's scores, not {rule!r}"
    )
