"""A member of a fusion: a model with its tokenizer, and what it holds during one generation.

`Member` does not change. `MemberState` belongs to one generation: the ids (append-only), the part of them that is the
model's context, the stream of canonical ids that other members' texts are read from, and the segmenter that cuts what
the model writes. Definitions: docs/design.md, "member", "context", "forced cut".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from coolfusion import Segmenter, StreamEncoder, Tokenizer
from coolfusion.errors import EmptyPromptError, ModelError, UnrepresentableTextError
from coolfusion.models.base import LanguageModel
from coolfusion.records import MemberOutput, Rejection, RejectionReason

Prompt = str | Sequence[int]


@dataclass(frozen=True, slots=True)
class Member:
    """One model and the tokenizer it was trained with.

    Attributes:
        model: the runner; a runner holds one context, so no two members of a fusion may share it.
        tokenizer: a `coolfusion.Tokenizer`.
        prefix_ids: ids that stand in front of every prompt, such as BOS.
        name: for messages and records; the runner's name if empty.
        banned: ids that are never written: control tokens that do not end a text, holes of the vocabulary and rows
            above it. They stay in the softmax, so that a probability is the model's own.
    """

    model: LanguageModel
    tokenizer: Any
    prefix_ids: tuple[int, ...] = ()
    name: str = ""
    banned: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        tokenizer, rows = self.tokenizer, self.model.n_rows
        if not isinstance(tokenizer, Tokenizer):
            tokenizer = Tokenizer.wrap(tokenizer)
            object.__setattr__(self, "tokenizer", tokenizer)
        unwritable = {*tokenizer.control_ids, *tokenizer.unused_ids, *range(tokenizer.vocab_size, rows)}
        written = (i for i in unwritable - set(self.model.end_ids) if i < rows)
        object.__setattr__(self, "banned", tuple(sorted(written)))
        object.__setattr__(self, "name", self.name or self.model.name)

    def prompt_ids(self, prompt: Prompt) -> list[int]:
        """The prompt in this member's ids, with the prefix in front of a text; ids are taken as they are.

        Raises:
            EmptyPromptError: nothing to start from.
            UnrepresentableTextError: the tokenizer cannot say the prompt.
            ModelError: an id without a row in the model.
        """
        if isinstance(prompt, str):
            try:
                ids = [*self.prefix_ids, *self.tokenizer.encode(prompt, errors="strict")]
            except UnrepresentableTextError as err:
                raise UnrepresentableTextError(f"member {self.name} cannot say the prompt: {err}") from err
        else:
            ids = list(prompt)
        if not ids:
            raise EmptyPromptError(
                f"the prompt is empty and member {self.name} has no BOS to start from; expected at least one token"
            )
        wrong = [i for i in ids if not 0 <= i < self.model.n_rows]
        if wrong:
            raise ModelError(f"member {self.name}: prompt id {wrong[0]} has no row, expected 0..{self.model.n_rows}")
        return ids

    def encoder(self, prompt: Prompt) -> Any:
        """A `StreamEncoder` that stands behind the prompt.

        Text starts anew behind a control token, so of a prompt given as ids only what follows the last one counts.
        """
        encoder = StreamEncoder(self.tokenizer)
        if isinstance(prompt, str):
            encoder.push(prompt)
            return encoder
        control = set(self.tokenizer.control_ids)
        last = max((at for at, token_id in enumerate(prompt) if token_id in control), default=-1)
        encoder.push(self.tokenizer.decode(list(prompt[last + 1 :])))
        return encoder


class Proposal(NamedTuple):
    """What one member would write next.

    Attributes:
        text: the segment, "" for END, None if the member proposes nothing.
        end: whether it is END.
        ids: the generated ids of the segment; () for END.
        logprobs: ln p of each of `ids`, from the pass that generated it.
        context: the half-open range that was the context of `logprobs`.
        rejected: what the member wrote that has no text and was therefore left out.
    """

    text: str | None
    end: bool
    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    context: tuple[int, int] = (0, 0)
    rejected: tuple[Rejection, ...] = ()


class MemberState:
    """What one member holds during one generation.

    Attributes:
        member: the member.
        number: its place in the fusion.
        prompt: the prompt, a text or ids.
        ids: prompt and committed ids in a row; only ever appended to.
        n_prompt: how many of them are the prompt.
        start: the context is ids[start:].
        forced_cuts: committed segments whose ids are a forced cut.
    """

    def __init__(self, member: Member, number: int, prompt: Prompt, align_with: Sequence[Any]) -> None:
        self.member = member
        self.number = number
        self.prompt = prompt
        self.ids = member.prompt_ids(prompt)
        self.n_prompt = len(self.ids)
        self.start = 0
        self.forced_cuts = 0
        self.encoder = member.encoder(prompt)
        self.segmenter = Segmenter(member.tokenizer, align_with=list(align_with), prompt_ids=list(self.ids))

    @property
    def n_written(self) -> int:
        """Number of committed ids behind the prompt."""
        return len(self.ids) - self.n_prompt

    @property
    def n_context(self) -> int:
        """Number of tokens of context."""
        return len(self.ids) - self.start

    def begin(self) -> None:
        """Read the prompt; one that is longer than the limit is cut at the left."""
        limit = self.member.model.limit
        if limit is not None and len(self.ids) > limit:
            self.start = len(self.ids) - self.kept_after_cut
        self.member.model.prefill(self.ids[self.start :])

    @property
    def kept_after_cut(self) -> int:
        """How many tokens a cut keeps, if nothing else asks for room: the newest half of the limit, rounded down."""
        limit = self.member.model.limit
        return len(self.ids) if limit is None else max(1, limit // 2)

    def fits(self, n_tokens: int) -> bool:
        """Whether so many tokens can be read behind the context."""
        limit = self.member.model.limit
        return limit is None or self.n_context + n_tokens <= limit

    def make_room(self, n_tokens: int) -> bool:
        """Cut the context at the left, if it must be, so that `n_tokens` (below the limit) fit; whether it was cut.

        The newest half of the limit is kept, less if the tokens need more. Deterministic, and the cache is built
        anew from the ids that are left, so that a score can be computed again from the range alone.
        """
        limit = self.member.model.limit
        if limit is None or self.fits(n_tokens):
            return False
        self.start = len(self.ids) - min(self.kept_after_cut, limit - n_tokens)
        self.member.model.prefill(self.ids[self.start :])
        return True

    def reject(self, reason: RejectionReason, text: str, members: Sequence[int], detail: str) -> Rejection:
        """A rejection by this member."""
        return Rejection(text, tuple(members), self.number, reason, f"{self.member.name}: {detail}")

    def output(self) -> MemberOutput:
        """What stands in the output, as copies."""
        prompt, written = self.ids[: self.n_prompt], self.ids[self.n_prompt :]
        return MemberOutput(self.member.name, prompt, written, self.start, self.forced_cuts)
