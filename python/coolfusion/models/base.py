"""The protocols of a language model: contexts, and one operation that computes logits after token paths.

A *context* holds the committed ids of one text under one model. A *path* is a tuple of ids that may follow them. A path
is *computed* once the model has read it; the logits after it can then be asked for without a forward pass. Writing,
scoring, looking ahead and checking drafts are therefore one operation, `forward`. `commit` appends a path to the
context and keeps the computed paths below it. A model knows nothing of text, of other models or of fusion.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

TokenPath = tuple[int, ...]


@runtime_checkable
class Context(Protocol):
    """The committed ids of one text under one model, with the logits after the computed paths.

    Probabilities are natural logarithms of the softmax over *all* logits, in float64. Logits that are no distribution
    (nan, +inf, or no finite value) make `greedy` return None and the other methods return nan.
    """

    @property
    def forward_passes(self) -> int:
        """Returns the number of the model's passes in which the context took part."""

    @property
    def processed_tokens(self) -> int:
        """Returns the number of the context's tokens in those passes."""

    @property
    def length(self) -> int:
        """Returns the number of committed ids."""

    def is_computed(self, path: TokenPath) -> bool:
        """Returns whether the model has read all committed ids and `path`."""

    def greedy(self, path: TokenPath) -> int | None:
        """Returns the most likely id after a computed path, without `suppress_tokens`; None if there is none.

        Of equally likely ids the smallest is returned.
        """

    def logprobs(self, path: TokenPath) -> list[float]:
        """Returns ln p of each id of `path` in turn; all of the path but its last id must be computed."""

    def next_logprob(self, path: TokenPath, ids: Sequence[int]) -> float:
        """Returns ln of the summed probability of `ids` after a computed path; -inf for no ids."""

    def next_logits(self, path: TokenPath) -> Sequence[float]:
        """Returns the logits after a computed path, (V,) float64."""

    def commit(self, path: TokenPath) -> None:
        """Appends `path`, computed or not, to the committed ids. No pass is made; computed paths below it are kept."""

    def clear(self) -> None:
        """Discards every computed path but the empty one."""

    def close(self) -> None:
        """Frees the memory. A closed context cannot be used."""


@runtime_checkable
class LanguageModel(Protocol):
    """A causal language model over token ids that serves any number of contexts.

    One thread at a time may use a model and its contexts. A model may also have an attribute `pass_seconds`, a pair of
    floats. They are the assumed seconds of a pass over one token, and of each further token. Drafts are planned with
    these costs and never with a clock.

    Attributes:
        suppress_tokens: ids that `greedy` never returns; the member that owns the model sets them.
    """

    suppress_tokens: frozenset[int]

    @property
    def name(self) -> str:
        """Returns the name in messages and records."""

    @property
    def logits_size(self) -> int:
        """Returns the length V of a row of logits; ids are below it."""

    @property
    def max_model_len(self) -> int | None:
        """Returns the most tokens of one context, or None without a limit."""

    @property
    def eos_token_ids(self) -> tuple[int, ...]:
        """Returns the ids that end a text, in ascending order; a model may have several or none."""

    @property
    def device(self) -> str:
        """Returns the device of the model; models on one device take turns."""

    @property
    def forward_passes(self) -> int:
        """Returns the number of passes since the model was loaded."""

    @property
    def processed_tokens(self) -> int:
        """Returns the number of tokens in those passes."""

    @property
    def batches_paths(self) -> bool:
        """Returns whether any number of paths costs one pass; else callers ask only for paths that they need."""

    def new_context(self) -> Any:
        """Returns a new empty context. Contexts share passes, whenever they were made."""

    def prefill(self, prompts: Sequence[tuple[Any, Sequence[int]]]) -> None:
        """Replaces the committed ids of contexts and reads them, of all contexts in one pass where the model allows.

        Args:
            prompts: contexts, each with at least one id and at most `max_model_len`.

        Raises:
            ModelError: an id has no logit, there are no ids or too many, or the model fails.
        """

    def forward(self, wanted: Sequence[tuple[Any, Sequence[TokenPath]]]) -> None:
        """Computes paths, of all contexts in one pass where the model allows.

        Args:
            wanted: contexts, each with the paths to compute. The empty path () is always computed.

        Raises:
            ModelError: an id has no logit, a path grows over `max_model_len`, or the model fails. Paths that were
                computed before remain so.
        """

    def describe(self) -> dict[str, Any]:
        """Returns the facts about the model as values that JSON can hold."""
