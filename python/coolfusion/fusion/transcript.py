"""A transcript, which is one text under one member on the engine's side.

A transcript holds ids and text, and nothing that touches a model. Its counterpart in the worker is the `Session`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from coolfusion.members.commands import Commit, Refusal, Usage
from coolfusion.members.endings import Ending
from coolfusion.members.member import Member, Prompt
from coolfusion.members.session import still_ahead
from coolfusion.models.base import TokenPath
from coolfusion.records import MemberOutput, Rejection, RejectionReason, Score


class Transcript:
    """The ids and segments that one member has read and committed of one text.

    Args:
        member: the member.
        number: the number of the member among those of the text.
        prompt: a text or ids.

    Attributes:
        member: the member.
        number: the number of the member among those of the text.
        prompt: the prompt.
        ids: prompt and committed ids, which are only ever appended to.
        n_prompt: number of ids of the prompt.
        read_from: number of ids at the start that are a prefix which the member leaves out.
        forced_cuts: number of committed segments whose ids are a forced cut.
        texts: the committed segments.
        usage: the usage of the session in the worker, by its last reply.
        failed: the reason why the member is lost and the others continue without it, or None.
        prompt_score: the score of the prompt, if the rule asks for it.
        so_far: the score of the prompt, if it is known, and of all committed segments.

    Raises:
        EmptyPromptError: the prompt has no id, and the member has no prefix to start from.
        UnrepresentableTextError: the tokenizer cannot represent the prompt.
        ModelError: an id without a row of logits.
    """

    def __init__(self, member: Member, number: int, prompt: Prompt) -> None:
        self.member = member
        self.number = number
        self.prompt = prompt
        self.ids = member.prompt_ids(prompt)
        self.n_prompt = len(self.ids)
        self.read_from = self.forced_cuts = 0
        self.texts: list[str] = []
        self.usage = Usage(0, 0, 0)
        self.failed: str | None = None
        self.prompt_score: Score | None = None
        self.so_far = Score(0.0, 0)
        self.encoder = member.encoder(prompt)
        self._unsent: list[Commit] = []

    def __repr__(self) -> str:
        return f"Transcript({self.member.name!r}, {self.n_prompt} tokens of prompt, {self.n_written} written)"

    @property
    def n_prefix(self) -> int:
        """Returns the number of ids that the member has put before a text, for example one for BOS; 0 before ids."""
        return len(self.member.prefix_ids) if isinstance(self.prompt, str) else 0

    @property
    def n_written(self) -> int:
        """Returns the number of committed ids after the prompt."""
        return len(self.ids) - self.n_prompt

    @property
    def n_context(self) -> int:
        """Returns the number of tokens of context."""
        return len(self.ids) - self.usage.start

    @property
    def cost(self) -> tuple[int, int]:
        """Returns the number of passes with tokens of the text so far, and the number of these tokens."""
        return self.usage.forward_passes, self.usage.processed_tokens

    def commit(self, ids: TokenPath, text: str, *, forced: bool, ending: Ending = "") -> None:
        """Appends a segment, which may own the boundary after it, for the worker to append with the next command."""
        self.ids.extend(ids)
        self.forced_cuts += forced
        self.texts.append(text)
        self.encoder.push(text)
        self._unsent.append(Commit(ids, text, ending))

    def prompt_tail(self) -> str:
        """Returns the end of the prompt as a text, for ids that of the last few."""
        return self.prompt if isinstance(self.prompt, str) else self.member.tokenizer.decode(self.ids[-8:])

    def note_prefill(self, score: Score | None, *, may_drop_prefix: bool) -> None:
        """Notes the prefix that was left out of the prompt, and the score of the prompt if there is one."""
        if score is not None:
            self.prompt_score = self.so_far = score
        if may_drop_prefix and self.usage.start == self.n_prefix:
            self.read_from = self.n_prefix

    @property
    def prompt_ids(self) -> list[int]:
        """Returns the prompt that the member reads, without its prefix if it is likelier without it."""
        return self.ids[self.read_from : self.n_prompt]

    def note_score(self, score: Score) -> None:
        """Adds the score of a committed segment, unless it is no number."""
        if not math.isnan(score.logprob):
            old = self.so_far
            self.so_far = Score(old.logprob + score.logprob, old.n_tokens + score.n_tokens, old.n_bytes + score.n_bytes)

    def take_commits(self) -> tuple[Commit, ...]:
        """Returns the segments that the worker does not know of, for the next command to carry."""
        commits, self._unsent = tuple(self._unsent), []
        return commits

    def known_ahead(self) -> tuple[str, ...]:
        """Returns the segments that the member has written ahead and that are still to come."""
        return still_ahead(self.usage.ahead, self.texts)

    def draft_paths(self, texts: Sequence[str], budget: int) -> tuple[TokenPath, ...]:
        """Returns another member's segments in this member's ids, whole and the first alone; () if they are of no use.

        Complexity: two encodings of the segments.
        """
        if not texts or not self.member.runner.batches_paths:
            return ()
        return tuple(self._draft_path(text, budget) for text in ("".join(texts), texts[0]))

    def reject(self, refusal: Refusal, members: Sequence[int]) -> Rejection:
        """Returns a rejection by this member."""
        reason, text, detail = refusal
        return Rejection(text, tuple(members), self.number, reason, f"{self.member.name}: {detail}")

    def rejection(self, reason: RejectionReason, text: str, members: Sequence[int], detail: str) -> Rejection:
        """Returns a rejection by this member."""
        return self.reject(Refusal(reason, text, detail), members)

    def lose(self, error: Exception) -> None:
        """Notes that the member cannot continue and the others do so without it."""
        self.failed = str(error)

    def output(self) -> MemberOutput:
        """Returns the member's part of the output, as copies."""
        prompt, written = self.ids[: self.n_prompt], self.ids[self.n_prompt :]
        name, start = self.member.name, self.usage.start
        return MemberOutput(name, prompt, written, start, self.forced_cuts, *self.cost, self.failed, self.prompt_score)

    def _draft_path(self, text: str, budget: int) -> TokenPath:
        edit = self.encoder.peek(text)
        if edit.drop or not edit.lossless:
            return ()
        ids, runner = edit.ids, self.member.runner
        limit = runner.max_model_len
        room = budget if limit is None else min(budget, limit - self.n_context)
        end = next((at for at, token_id in enumerate(ids) if token_id >= runner.logits_size), len(ids))
        return tuple(ids[: max(0, min(end, room))])


def prompt_scores(transcripts: Sequence[Transcript]) -> tuple[Score, ...]:
    """Returns the scores of the prompt, nan under members that were lost, or () if no member has scored it."""
    scores = [each.prompt_score for each in transcripts]
    return tuple(score or Score(math.nan, 0) for score in scores) if any(scores) else ()
