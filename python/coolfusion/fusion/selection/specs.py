"""Converts rules to plain values and back, so that a file can hold them without code.

A spec is an object with the field `kind`. Weights are an object of the same sort inside of it::

    {"kind": "primary", "margin": 0.5, "member": "smollm2",
     "rule": {"kind": "power_mean", "exponent": 0.5, "weights": {"kind": "evidence", "kappa": 3.0}}}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from coolfusion.errors import ArgumentError
from coolfusion.fusion.fields import Fields, plain_number
from coolfusion.fusion.selection.base import RowRule, SelectionRule
from coolfusion.fusion.selection.mean_perplexity import (
    arithmetic_mean_perplexity,
    geometric_mean_perplexity,
    total_negative_logprob,
)
from coolfusion.fusion.selection.power_mean import PowerMean
from coolfusion.fusion.selection.weights import ByEvidence, ByRecentText, Fixed, Uniform, Weights
from coolfusion.fusion.selection.wrappers import Primary, WithoutOutliers

Spec = Mapping[str, Any]
_ROW_RULES: dict[str, RowRule] = {
    "arithmetic_mean_perplexity": arithmetic_mean_perplexity,
    "geometric_mean_perplexity": geometric_mean_perplexity,
    "total_negative_logprob": total_negative_logprob,
}


def rule_from_spec(spec: Spec, where: str = "rule") -> SelectionRule:
    """Returns the rule that a spec describes, with the defaults of the classes for fields that are left out.

    Args:
        spec: plain values.
        where: the path of the spec, for messages.

    Raises:
        ArgumentError: a field is missing, unknown or outside its range; the message has its path.

    Complexity: O(size of the spec).

    Example:
        >>> rule_from_spec({"kind": "power_mean", "exponent": 1.0, "weights": {"kind": "evidence", "kappa": 5.0}})
        PowerMean(1, ByEvidence(kappa=5), per='segment')
    """
    rule: SelectionRule = _made(spec, where, _RULES)
    return rule


def spec_of(rule: SelectionRule) -> dict[str, Any]:
    """Returns the spec of a rule with all of its parameters, as plain values of JSON.

    Args:
        rule: a rule that is made of the classes of this package.

    Raises:
        ArgumentError: the rule is another one, which plain values cannot describe.

    Complexity: O(size of the spec).

    Example:
        >>> spec_of(Primary(arithmetic_mean_perplexity, 0.5, "ash"))["rule"]
        {'kind': 'arithmetic_mean_perplexity'}
    """
    if isinstance(rule, RowRule) and _ROW_RULES.get(rule.name) is rule:
        return {"kind": rule.name}
    if type(rule) is PowerMean:
        return _spec_of_power_mean(rule)
    if type(rule) is Primary:
        margin = plain_number(rule.margin)
        return {"kind": "primary", "rule": spec_of(rule.rule), "margin": margin, "member": rule.member}
    if type(rule) is WithoutOutliers:
        return {"kind": "without_outliers", "rule": spec_of(rule.rule), "tolerance": plain_number(rule.tolerance)}
    raise ArgumentError(f"rule {rule.name} has no spec; expected one made of {', '.join(sorted(_RULES))}")


def _made(spec: Any, where: str, makers: Mapping[str, Callable[[Fields], Any]]) -> Any:
    """Returns the object that a spec describes, and adds the path of the spec to errors of its constructor."""
    fields = Fields(spec, where)
    make = makers[fields.choice("kind", sorted(makers))]
    try:
        found = make(fields)
    except ArgumentError as err:
        if str(err).startswith(where):
            raise
        raise ArgumentError(f"{where}: {err}") from err
    fields.end()
    return found


def _power_mean(fields: Fields) -> PowerMean:
    return PowerMean(
        fields.number("exponent", 0.5),
        _made(fields.take("weights", {"kind": "uniform"}), fields.path("weights"), _WEIGHTS),
        per=fields.choice("per", ("segment", "token", "byte"), "segment"),
        boundary_mass=fields.flag("boundary_mass", True),
        alternatives=fields.count("alternatives", 0),
        unsure_below=fields.number("unsure_below", 0.15),
        name=fields.text("name", None),
    )


def _spec_of_power_mean(rule: PowerMean) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "kind": "power_mean",
        "exponent": plain_number(rule.exponent),
        "weights": _spec_of_weights(rule.weights),
        "per": rule.per,
        "boundary_mass": rule.boundary_mass,
        "alternatives": rule.alternatives,
        "unsure_below": plain_number(rule.unsure_below),
    }
    formula = PowerMean(rule.exponent, rule.weights, per=rule.per).name
    return spec if rule.name == formula else {**spec, "name": rule.name}


def _primary(fields: Fields) -> Primary:
    inner = rule_from_spec(fields.take("rule"), fields.path("rule"))
    return Primary(inner, fields.number("margin", 0.0), fields.text("member", None))


def _without_outliers(fields: Fields) -> WithoutOutliers:
    inner = rule_from_spec(fields.take("rule"), fields.path("rule"))
    return WithoutOutliers(inner, fields.number("tolerance", 1.0))


def _fixed(fields: Fields) -> Fixed:
    names = fields.take("by_name")
    inner = Fields(names, fields.path("by_name"))
    return Fixed({name: inner.number(name) for name in names})


def _spec_of_weights(weights: Weights) -> dict[str, Any]:
    if type(weights) is Uniform:
        return {"kind": "uniform"}
    if type(weights) is Fixed:
        return {"kind": "fixed", "by_name": dict(weights.by_name)}
    if type(weights) is ByEvidence:
        return {"kind": "evidence", "kappa": weights.kappa}
    if type(weights) is ByRecentText:
        return {"kind": "recent", "kappa": weights.kappa, "decay": weights.decay}
    raise ArgumentError(f"weights {weights!r} have no spec; expected one of {', '.join(sorted(_WEIGHTS))}")


_WEIGHTS: dict[str, Callable[[Fields], Weights]] = {
    "uniform": lambda fields: Uniform(),
    "fixed": _fixed,
    "evidence": lambda fields: ByEvidence(fields.number("kappa", 3.0)),
    "recent": lambda fields: ByRecentText(fields.number("kappa", 3.0), fields.number("decay", 0.9)),
}
_RULES: dict[str, Callable[[Fields], SelectionRule]] = {
    **{name: lambda fields, rule=rule: rule for name, rule in _ROW_RULES.items()},  # type: ignore[misc]
    "power_mean": _power_mean,
    "primary": _primary,
    "without_outliers": _without_outliers,
}
