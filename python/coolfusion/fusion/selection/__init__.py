"""Selection rules, which are pure functions that decide the candidate of a step to commit."""

from coolfusion.fusion.selection.base import (
    Ranking,
    RowRule,
    Selection,
    SelectionRule,
    StepView,
    granularity_of,
    is_unsure,
    select,
    view_of,
)
from coolfusion.fusion.selection.drawing import drawn, in_order, probabilities
from coolfusion.fusion.selection.mean_perplexity import (
    arithmetic_mean_perplexity,
    geometric_mean_perplexity,
    total_negative_logprob,
)
from coolfusion.fusion.selection.measures import bits_per_byte, log_perplexity, logprob_of, perplexity
from coolfusion.fusion.selection.named import DEFAULT_RULE, RULES, Rule, as_rule
from coolfusion.fusion.selection.power_mean import PowerMean
from coolfusion.fusion.selection.specs import rule_from_spec, spec_of
from coolfusion.fusion.selection.weights import ByEvidence, ByRecentText, Fixed, Uniform, Weights
from coolfusion.fusion.selection.wrappers import Primary, WithoutOutliers

__all__ = [
    "DEFAULT_RULE",
    "RULES",
    "ByEvidence",
    "ByRecentText",
    "Fixed",
    "PowerMean",
    "Primary",
    "Ranking",
    "RowRule",
    "Rule",
    "Selection",
    "SelectionRule",
    "StepView",
    "Uniform",
    "Weights",
    "WithoutOutliers",
    "arithmetic_mean_perplexity",
    "as_rule",
    "bits_per_byte",
    "drawn",
    "geometric_mean_perplexity",
    "granularity_of",
    "in_order",
    "is_unsure",
    "log_perplexity",
    "logprob_of",
    "perplexity",
    "probabilities",
    "rule_from_spec",
    "select",
    "spec_of",
    "total_negative_logprob",
    "view_of",
]
