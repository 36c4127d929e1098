"""The cost of a pass by a fixed rule, so that the same tokens share a pass at every run."""

from __future__ import annotations

from typing import NamedTuple

from coolfusion.models.base import LanguageModel


class PassCost(NamedTuple):
    """The cost of a pass, a straight line in the number of its tokens.

    The cost is declared and never measured, so that it is the same at every run (docs/proofs/same-passes.md). For
    example, .01 s for one token and .001 s for each further one make .012 s for three.

    Attributes:
        single: seconds of a pass over one token.
        further: seconds of each token more.
    """

    single: float = 1.0
    further: float = 0.0

    @classmethod
    def of_runner(cls, runner: LanguageModel) -> PassCost:
        """Returns the cost that a runner declares in `pass_seconds`; every pass of the others costs the same."""
        declared = getattr(runner, "pass_seconds", None)
        return cls() if declared is None else cls(float(declared[0]), float(declared[1]))

    def of(self, tokens: float) -> float:
        """Returns the seconds of a pass over `tokens` tokens."""
        return self.single + self.further * max(0.0, tokens - 1.0)
