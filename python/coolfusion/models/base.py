"""What the fusion loop asks of a model: contexts, and one way to learn what a model says behind them.

A *context* is one text under one model: its committed ids. A *path* is a tuple of ids that may stand behind them; it is
*known* once the model has read it, and then the model's row of logits behind it can be asked for without a pass. So
writing, scoring, looking ahead and checking drafts are one operation, `extend`: make these paths known. `commit` makes
a path part of the context and keeps what is known below it. Models know nothing of text, of each other or of fusion.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

Path = tuple[int, ...]


@runtime_checkable
class Context(Protocol):
    """One text under one model: committed ids, and what is known of the ids that may follow.

    All probabilities are natural logarithms of the softmax over *all* rows of the logits, computed in float64. Where
    the row is no distribution (nan, +inf, or no finite logit) `greedy` answers None and the others nan.

    Attributes:
        forward_passes: passes of the model in which this context had a part, since it was opened.
        processed_tokens: its own tokens that went through them.
    """

    forward_passes: int
    processed_tokens: int

    @property
    def length(self) -> int:
        """Number of committed ids."""

    def is_known(self, path: Path) -> bool:
        """Whether the model has read all committed ids and `path`."""

    def greedy(self, path: Path) -> int | None:
        """The most likely id behind a known path that is not banned, the smallest of equals; None if there is none."""

    def logprobs(self, path: Path) -> list[float]:
        """ln p of each id of `path` in turn; all of the path but its last id must be known."""

    def next_logprob(self, path: Path, ids: Sequence[int]) -> float:
        """ln of the summed probability that one of `ids` stands behind a known path; -inf for no ids."""

    def next_logits(self, path: Path) -> Sequence[float]:
        """The row of logits behind a known path, (V,) float64."""

    def commit(self, path: Path) -> None:
        """Append `path`, known or not, to the committed ids. No pass; what is known below it stays known."""

    def clear(self) -> None:
        """Forget every path but the empty one."""

    def close(self) -> None:
        """Give back the memory. A closed context cannot be used."""


@runtime_checkable
class LanguageModel(Protocol):
    """A causal language model over token ids, for any number of contexts at a time.

    One thread at a time may use a model and its contexts. A model may also say in `pass_seconds` what a pass over one
    token, and each token more, is taken to cost; drafts are planned by that, and never by a clock.

    Attributes:
        name: for messages and records.
        n_rows: length V of a row of logits; ids are below it.
        limit: most tokens of context the model can hold, or None.
        end_ids: ids that end a text; a model may have several or none.
        banned: ids that `greedy` never answers; set by the member that the model belongs to.
        device: where the model runs; models on one device take turns.
        forward_passes: passes since it was loaded.
        processed_tokens: tokens that went through them.
    """

    name: str
    n_rows: int
    limit: int | None
    end_ids: tuple[int, ...]
    banned: tuple[int, ...]
    device: str
    forward_passes: int
    processed_tokens: int

    @property
    def packs(self) -> bool:
        """Whether any number of paths costs one pass; where not, nothing is read that may not be needed."""

    def open(self, count: int) -> list[Any]:
        """So many new contexts, empty ones, that can share passes."""

    def prefill(self, prompts: Sequence[tuple[Any, Sequence[int]]]) -> None:
        """Make ids, at least one and at most `limit`, all that is committed in a context, and known.

        Raises:
            ModelError: an id has no row, there are none or too many, or the model fails.
        """

    def extend(self, wanted: Sequence[tuple[Any, Sequence[Path]]]) -> None:
        """Make paths known, of many contexts at once: in one pass, where the model allows.

        Raises:
            ModelError: an id has no row, a path grows over the limit, or the model fails. What was known stays so.
        """

    def describe(self) -> dict[str, Any]:
        """What is known of the model, as values that JSON can hold."""
