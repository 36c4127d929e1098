"""A member of a fusion: a model with its tokenizer, and what it holds during one generation.

`Member` does not change. `MemberState` belongs to one generation: the ids (append-only), the part of them that is the
model's context, the stream of canonical ids that other members' texts are read from, and the segmenter that cuts what
the model writes. Definitions: docs/design.md, "member", "context", "forced cut".

What the model is asked for is said, not done: a task of a member yields each `Need`, and whoever runs the task sees to
it. So tasks of many texts share passes, and the thread that owns a device runs all its models.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from coolfusion import Segmenter, StreamEncoder, Tokenizer
from coolfusion.errors import CoolFusionError, EmptyPromptError, ModelError, UnrepresentableTextError
from coolfusion.models.base import Context, LanguageModel, Path
from coolfusion.prompts import Prompt
from coolfusion.records import MemberOutput, Rejection, RejectionReason

Answer = TypeVar("Answer")


class Need(NamedTuple):
    """What must be known before a task can go on.

    Attributes:
        context: whose.
        paths: the paths to make known.
        prompt: ids that become the whole context first, or None.
    """

    context: Context
    paths: tuple[Path, ...]
    prompt: Sequence[int] | None = None


Task = Generator[Need, None, Answer]


@dataclass(frozen=True, slots=True)
class Member:
    """One model and the tokenizer it was trained with.

    Attributes:
        runner: what runs the model; no two members of a fusion may share it.
        tokenizer: a `coolfusion.Tokenizer`.
        prefix_ids: ids that stand in front of every prompt, such as BOS.
        name: for messages and records; the runner's name if empty.
        banned: ids that are never written: control tokens that do not end a text, holes of the vocabulary and rows
            above it. They stay in the softmax, so that a probability is the model's own.
    """

    runner: LanguageModel
    tokenizer: Any
    prefix_ids: tuple[int, ...] = ()
    name: str = ""
    banned: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        tokenizer, rows = self.tokenizer, self.runner.n_rows
        if not isinstance(tokenizer, Tokenizer):
            tokenizer = Tokenizer.wrap(tokenizer)
            object.__setattr__(self, "tokenizer", tokenizer)
        unwritable = {*tokenizer.control_ids, *tokenizer.unused_ids, *range(tokenizer.vocab_size, rows)}
        written = (i for i in unwritable - set(self.runner.end_ids) if i < rows)
        object.__setattr__(self, "banned", tuple(sorted(written)))
        object.__setattr__(self, "name", self.name or self.runner.name)

    @property
    def model(self) -> Any:
        """The model itself: the torch module where there is one, so that anyone can hook into it."""
        return getattr(self.runner, "module", self.runner)

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
        wrong = next((at for at, token_id in enumerate(ids) if not 0 <= token_id < self.runner.n_rows), None)
        if wrong is not None:
            raise ModelError(
                f"member {self.name}: prompt id {ids[wrong]} at position {wrong} has no row, "
                f"expected 0..{self.runner.n_rows - 1}"
            )
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


class Ahead(NamedTuple):
    """The segments that a member would write if all of them won.

    Attributes:
        commits: how many segments were committed before the first of them.
        texts: the segments.
    """

    commits: int
    texts: tuple[str, ...]


class MemberState:
    """What one member holds during one generation.

    Attributes:
        member: the member.
        number: its place in the fusion.
        prompt: the prompt, a text or ids.
        context: the text under the model.
        ids: prompt and committed ids in a row; only ever appended to.
        n_prompt: how many of them are the prompt.
        start: the context is ids[start:].
        forced_cuts: committed segments whose ids are a forced cut.
        texts: the committed segments.
        ahead: what it would write next; the model's thread replaces it, any thread may read it.
        failed: why the member is lost and the others go on without it, or None.
    """

    def __init__(
        self, member: Member, number: int, prompt: Prompt, align_with: Sequence[Any], context: Context
    ) -> None:
        self.member = member
        self.number = number
        self.prompt = prompt
        self.context = context
        self.ids = member.prompt_ids(prompt)
        self.n_prompt = len(self.ids)
        self.start = 0
        self.forced_cuts = 0
        self.texts: list[str] = []
        self.ahead = Ahead(0, ())
        self.failed: str | None = None
        self.encoder = member.encoder(prompt)
        self.segmenter = Segmenter(member.tokenizer, align_with=list(align_with), prompt_ids=list(self.ids))
        self._unsettled: deque[tuple[Path, str]] = deque()

    @property
    def n_written(self) -> int:
        """Number of committed ids behind the prompt."""
        return len(self.ids) - self.n_prompt

    @property
    def n_context(self) -> int:
        """Number of tokens of context."""
        return len(self.ids) - self.start

    @property
    def commits(self) -> int:
        """Number of committed segments."""
        return len(self.texts)

    def known_ahead(self) -> tuple[str, ...]:
        """The segments of `ahead` that are still to come, if all before them were committed."""
        commits, texts = self.ahead
        done = self.texts[commits:]
        return texts[len(done) :] if list(texts[: len(done)]) == done else ()

    def begin(self) -> Task[None]:
        """Read the prompt; one that is longer than the limit is cut at the left."""
        self.member.runner.banned = self.member.banned
        limit = self.member.runner.limit
        if limit is not None and len(self.ids) > limit:
            self.start = len(self.ids) - self.kept_after_cut
        yield self._anew()

    def need(self, *paths: Path) -> Need:
        """These paths, behind the context."""
        return Need(self.context, paths)

    def commit(self, ids: Path, text: str, *, forced: bool) -> None:
        """Append a segment to the record. The model's side follows in `settle`, on the thread of the model."""
        self.ids.extend(ids)
        self.forced_cuts += forced
        self.texts.append(text)
        self.encoder.push(text)
        self._unsettled.append((ids, text))

    def settle(self) -> None:
        """What every task begins with: the context and the segmenter catch up with the record."""
        while self._unsettled:  # taken one by one: another thread may append while a leader writes ahead
            ids, text = self._unsettled.popleft()
            self.context.commit(ids)
            self.segmenter.restart(text)

    @property
    def kept_after_cut(self) -> int:
        """How many tokens a cut keeps, if nothing else asks for room: the newest half of the limit, rounded down."""
        limit = self.member.runner.limit
        return len(self.ids) if limit is None else max(1, limit // 2)

    def fits(self, n_tokens: int) -> bool:
        """Whether so many tokens can be read behind the context."""
        limit = self.member.runner.limit
        return limit is None or self.n_context + n_tokens <= limit

    def make_room(self, n_tokens: int) -> Task[None]:
        """Cut the context at the left, if it must be, so that `n_tokens` (below the limit) fit.

        The newest half of the limit is kept, less if the tokens need more. Deterministic, and the cache is built
        anew from the ids that are left, so that a score can be computed again from the range alone.
        """
        limit = self.member.runner.limit
        if limit is not None and not self.fits(n_tokens):
            self.start = len(self.ids) - min(self.kept_after_cut, limit - n_tokens)
            yield self._anew()

    def reject(self, reason: RejectionReason, text: str, members: Sequence[int], detail: str) -> Rejection:
        """A rejection by this member."""
        return Rejection(text, tuple(members), self.number, reason, f"{self.member.name}: {detail}")

    def lose(self, error: CoolFusionError) -> None:
        """The member cannot go on, and the others do without it."""
        self.failed = str(error)

    def output(self) -> MemberOutput:
        """What stands in the output, as copies."""
        prompt, written = self.ids[: self.n_prompt], self.ids[self.n_prompt :]
        context = self.context
        return MemberOutput(
            self.member.name,
            prompt,
            written,
            self.start,
            self.forced_cuts,
            context.forward_passes,
            context.processed_tokens,
            self.failed,
        )

    def _anew(self) -> Need:
        return Need(self.context, (), self.ids[self.start :])
