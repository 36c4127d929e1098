"""The records of a fusion, which are plain values and never touch a model.

Every decision of the loop is a pure function of these records. So a run can be explained, checked, or decided again by
another rule, without a model. Probabilities are natural logarithms in float64; token counts are tokens of the member
that is named; spans are half-open. Definitions: docs/definitions.md, "score", "candidate", "END".
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, NamedTuple

FinishReason = Literal["end", "length", "stop"]
RejectionReason = Literal["lossy", "vocabulary", "budget", "limit", "invalid", "empty", "numbers", "failed"]
Author = int | Literal["fusion"]
Standing = Literal["finished", "unfinished", "repetitive"]
Criterion = Literal["rejected", "answer", "standing", "vote", "likelihood", "text"]
# The repr of a record is one line, because texts longer than 60 characters are shortened.
SHORT = reprlib.Repr()
SHORT.maxstring = SHORT.maxother = 60


class Score(NamedTuple):
    """The score of one candidate under one member, given the member's own context.

    Only the tokens of the candidate count, never those of the context (arXiv 2407.19807, section 3.2, PPL_u(s)). For
    example, two tokens with the probabilities .5 and .25 have the `logprob` ln .125 = -2.08.

    Attributes:
        logprob: sum of ln p over the candidate's tokens, in nats; for END the ln of the member's whole END set.
        n_tokens: number of tokens of this member in the sum; END is one event and counts as one.
        n_bytes: UTF-8 bytes of the candidate; 0 for END.
        boundary_logprob: ln p that a word ends after the candidate. It is 0 if the candidate ends inside a word, or if
            one member writes alone. None for END, and if the rule does not ask for it.
        start_logprob: ln p that a word starts where the candidate does. None if the rule does not ask for it, or if the
            text before it ends inside a word.
    """

    logprob: float
    n_tokens: int
    n_bytes: int = 0
    boundary_logprob: float | None = None
    start_logprob: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text that may come next, or END.

    For example, " the" is a candidate that the first and the third of three members proposed.

    Attributes:
        text: the segment, "" for END.
        end: True for END, the one candidate without text.
        members: numbers of the members that proposed it, ascending.
        token_ids: for each member, its ids of the text, which are scored and committed; () for END.
        forced: for each member, True if the ids stop or start inside a canonical token (a *forced cut*).
        whole: True if a member that proposed it saw that a word ends after it.
    """

    text: str
    end: bool
    members: tuple[int, ...]
    token_ids: tuple[tuple[int, ...], ...]
    forced: tuple[bool, ...]
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """A proposal that was listed but neither scored nor selected.

    Attributes:
        text: the text of the proposal. It holds U+FFFD if `reason` is "invalid", and is "" if `reason` is "numbers".
        members: numbers of the members that proposed it.
        member: number of the member that cannot commit it, or could not propose.
        reason: "lossy" means that no tokens of `member` represent the text. "vocabulary" means a token without a row in
            the model. "budget" means more tokens than are left, and "limit" a text longer than the model's positions.
            "invalid" means bytes that are no UTF-8, and "empty" means tokens without any text. "numbers" means that the
            model's logits are not numbers. "failed" means that the model raised, or took longer than the time limit.
        detail: one sentence with the values.
    """

    text: str
    members: tuple[int, ...]
    member: int
    reason: RejectionReason
    detail: str


class Seconds(NamedTuple):
    """Wall-clock seconds of one step, by phase."""

    propose: float
    evaluate: float
    select: float
    commit: float


@dataclass(frozen=True, slots=True)
class MemberStep:
    """The cost of one step for one member, and the context under which its scores hold.

    Attributes:
        context: half-open range of positions in prompt_ids + token_ids, the context of every score of this step.
            Scores can be computed again from it without any cache.
        forward_passes: number of calls of the model with tokens of this text. A draft counts in the step that writes
            it.
        processed_tokens: number of this text's tokens in those calls.
        forced_cut: True if the committed ids are a forced cut.
    """

    context: tuple[int, int]
    forward_passes: int
    processed_tokens: int
    forced_cut: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One round of the loop, with its candidates, their scores, and the text that was committed.

    Attributes:
        index: number of the step, from 0.
        text: the text that this step adds to the output, mostly the winner's. The last step of a budget may add only
            its beginning. With stop strings, a tail that could begin one is held back until a later step shows that it
            does not.
        winner: index of the chosen candidate in `candidates`.
        candidates: the candidates that every member can commit, in the order of their bytes (END first).
        scores: scores[i][j] is the score of candidate i under member j, which is nan if the member is lost.
        values: the selection rule's value of each candidate; the least wins.
        margin: the second least value minus the least; inf for a single candidate.
        excluded: numbers of the members whose scores are not numbers. Their columns were left out of the selection.
        rejected: proposals that could not be scored or committed.
        members: costs and contexts, one per member.
        seconds: wall-clock times by phase.
        weights: the rule's weight of each member, 0 if the member was left out; () for a rule without weights.
        primary: number of the member that the others had to outbid, or None for a rule without one.
        probabilities: the probability of each candidate by the rule, from which the winner of a sampled step was drawn.
            () for a greedy step, unless `logprobs` asks for them.
    """

    index: int
    text: str
    winner: int
    candidates: tuple[Candidate, ...]
    scores: tuple[tuple[Score, ...], ...]
    values: tuple[float, ...]
    margin: float
    excluded: tuple[int, ...]
    rejected: tuple[Rejection, ...]
    members: tuple[MemberStep, ...]
    seconds: Seconds
    weights: tuple[float, ...] = ()
    primary: int | None = None
    probabilities: tuple[float, ...] = ()

    @property
    def logprob(self) -> float | None:
        """Returns ln of the winner's probability among the candidates, or None without probabilities."""
        return math.log(self.probabilities[self.winner]) if self.probabilities else None

    @property
    def overridden(self) -> bool:
        """Returns whether a member overrode the primary one, which did not propose the winner."""
        return self.primary is not None and self.primary not in self.candidates[self.winner].members

    def __repr__(self) -> str:
        authors = self.candidates[self.winner].members
        return f"Step({self.index}, {SHORT.repr(self.text)}, by {authors}, 1 of {len(self.candidates)} candidates)"


@dataclass(frozen=True, slots=True)
class MemberOutput:
    """The ids and costs of one member at the end.

    Attributes:
        name: the name of the model in messages.
        prompt_ids: the prompt in the member's own ids, after the ids that its tokenizer puts before a text.
        token_ids: the committed ids, never rewritten. END is an event and leaves no id.
        dropped_context: number of tokens at the left of prompt_ids + token_ids that were no longer context at the end.
        forced_cuts: number of segments whose ids are a forced cut.
        forward_passes: number of passes of the model with tokens of this text.
        processed_tokens: number of this text's tokens in those passes, prompt and drafts included.
        failed: the reason why the member was lost, or None. The ids of a lost member end at its last commit.
        prompt_score: the score of the prompt without its first id and control tokens, or None if the rule does not ask
            for it.
    """

    name: str
    prompt_ids: list[int]
    token_ids: list[int]
    dropped_context: int
    forced_cuts: int
    forward_passes: int = 0
    processed_tokens: int = 0
    failed: str | None = None
    prompt_score: Score | None = None

    def __repr__(self) -> str:
        failed = "" if self.failed is None else f", failed={SHORT.repr(self.failed)}"
        written = f"{len(self.prompt_ids)} tokens of prompt, {len(self.token_ids)} written"
        return f"MemberOutput({self.name!r}, {written}{failed})"

    @property
    def committed_tokens(self) -> int:
        """Returns the number of committed ids."""
        return len(self.token_ids)


@dataclass(frozen=True, slots=True)
class Continuation:
    """A whole continuation of the prompt, one of those among which a rerank chooses.

    Attributes:
        author: "fusion", or the number of the member that wrote it alone.
        text: the continuation.
        finish_reason: the reason why its author stopped.
        scores: one score for each member, over the whole continuation; () if it was rejected.
        value: minus its likelihood, in the unit of the rerank's settings. The least value wins. inf if it was rejected.
        rejected: the refusal with its reason, if the text was not scored, or None.
        context_cuts: for each member, the number of cuts at the left of the context that its score needed.
        sample: index of the text among its author's drawn texts, from 0; None for the fused and the greedy ones.
        judges: numbers of the members whose scores made the value.
        answer: the answer in the text, for which its ballot counts; "" if it has none, None without a vote.
        weight: the weight of its ballot, 0 if it does not vote.
        votes: the sum of the weights of all ballots for its answer, 0 if it does not vote.
        standing: "unfinished" or "repetitive" if the settings of the rerank look for it, else "finished".
        rank: its place in the order of the rerank, 0 for the chosen one.
        lost_by: the first criterion by which the chosen one is ahead of it; None for the chosen one.
    """

    author: Author
    text: str
    finish_reason: FinishReason
    scores: tuple[Score, ...] = ()
    value: float = float("inf")
    rejected: Rejection | None = None
    context_cuts: tuple[int, ...] = ()
    sample: int | None = None
    judges: tuple[int, ...] = ()
    answer: str | None = None
    weight: float = 0.0
    votes: float = 0.0
    standing: Standing = "finished"
    rank: int = 0
    lost_by: Criterion | None = None

    def __repr__(self) -> str:
        return f"Continuation({SHORT.repr(self.text)}, author={self.author!r}, value={self.value:.6g})"


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a text, which is its prompt, its rule and its options.

    Attributes:
        prompt: one text for all members, or one for each. None for a member whose prompt was given as ids, and for a
            conversation.
        rule: the name of the selection rule.
        spec: the rule as `rule_from_spec` reads it, or None if plain values cannot describe it.
        options: the options of the request and of its fusion, as plain values.
        messages: the conversation that was given in place of a prompt, or None.
    """

    prompt: str | tuple[str | None, ...] | None
    rule: str
    spec: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    messages: tuple[Mapping[str, Any], ...] | None = None

    def __repr__(self) -> str:
        asked = self.prompt if self.messages is None else f"{len(self.messages)} messages"
        return f"Origin({SHORT.repr(asked)}, rule={SHORT.repr(self.rule)})"


@dataclass(frozen=True, slots=True)
class Output:
    """The result of a generation.

    Attributes:
        text: the text, which is the joined texts of the steps unless a rerank chose another continuation.
        steps: the steps of the fused text.
        finish_reason: "end" (END won), "length" (the budget ends), "stop" (a stop string). None while
            the generation is unfinished, as in `error.partial`.
        members: the members' ids for the fused text.
        rejected: the proposals of a last round that could commit nothing, with the reasons.
        author: "fusion", or the member whose own continuation a rerank chose.
        continuations: all continuations of a rerank, the fused one first, then those of the members, then samples by
            round. () without a rerank.
        error: the message of the error that ended the text or prevented its start, or None.
        reasoning: for each member the text that it wrote for itself before the answer, with its closing marker. It is
            the end of the member's `prompt_ids`. "" for a member that did not reason, () if none was asked to.
        notes: changes that were made to the messages, for example for a template without a system message.
        seed: the seed of a sampled text, with which it can be written again; None for a greedy text.
        others: the outputs of the other texts if `n` is above 1.
        origin: the prompt, rule and options, or None if they are unknown. Outputs that differ in it alone are equal.
    """

    text: str
    steps: tuple[Step, ...]
    finish_reason: FinishReason | None
    members: tuple[MemberOutput, ...]
    rejected: tuple[Rejection, ...] = ()
    author: Author = "fusion"
    continuations: tuple[Continuation, ...] = field(default=())
    error: str | None = None
    reasoning: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seed: int | None = None
    others: tuple[Output, ...] = ()
    origin: Origin | None = field(default=None, compare=False)

    @property
    def choices(self) -> tuple[Output, ...]:
        """Returns the outputs of all `n` texts, this one first."""
        return (self, *self.others)

    def __repr__(self) -> str:
        error = "" if self.error is None else f", error={SHORT.repr(self.error)}"
        text = f"{SHORT.repr(self.text)}, {len(self.steps)} steps"
        return f"Output({text}, finish_reason={self.finish_reason!r}{error})"

    def to_trace(self, seconds: float | None = None) -> str:
        """Returns the text with all its steps as JSON lines, which `coolfusion.traces` reads back.

        Args:
            seconds: wall-clock seconds that the writing took; None takes the sum of the steps.

        Raises:
            ArgumentError: the options hold a number that JSON cannot hold.

        Complexity: O(size of the output).

        Example:
            >>> Output("", (), "end", ()).to_trace().count("\\n")
            2
        """
        from coolfusion.traces.lines import lines_of

        return "".join(lines_of(self, seconds))

    def _repr_html_(self) -> str:
        """Returns HTML for a notebook, with each segment in the colour of its author."""
        from coolfusion.traces.card import card

        names = [member.name for member in self.members]
        segments = [(step.text, step.candidates[step.winner].members) for step in self.steps]
        return card(names, segments, self.text, self.finish_reason, self.error)


def to_jsonable(value: Any) -> Any:
    """Returns a record as values that strict JSON can hold; nan and infinities become null."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: to_jsonable(each) for name, each in value._asdict().items()}
    if is_dataclass(value):
        return {each.name: to_jsonable(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, list | tuple):
        return [to_jsonable(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
