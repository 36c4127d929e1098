"""The cost of a pass by a fixed rule: what decides which tokens share a pass has to be the same at every run."""

from __future__ import annotations

from typing import NamedTuple

from coolfusion.models.base import LanguageModel


class PassCost(NamedTuple):
    """The cost of a pass, a straight line in the number of its tokens; never measured (docs/proofs/same-passes.md).

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
