"""Selection rules: pure functions that decide which candidate of a step is committed."""

from coolfusion.fusion.selection.base import RowRule, Selection, SelectionRule, StepView, as_rule, select
from coolfusion.fusion.selection.mean_perplexity import (
    arithmetic_mean_perplexity,
    geometric_mean_perplexity,
    total_negative_logprob,
)
from coolfusion.fusion.selection.measures import bits_per_byte, log_perplexity, perplexity

__all__ = [
    "RowRule",
    "Selection",
    "SelectionRule",
    "StepView",
    "arithmetic_mean_perplexity",
    "as_rule",
    "bits_per_byte",
    "geometric_mean_perplexity",
    "log_perplexity",
    "perplexity",
    "select",
    "total_negative_logprob",
]
