"""A session: one text under one member, on the worker's side.

A session owns the model's context and the segmenter that cuts the output of the model. A task requests passes of the
model and never runs it. It yields each `ForwardRequest`, and the worker makes one pass for all tasks that wait.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import NamedTuple, TypeVar

from coolfusion._core import Segmenter, Tokenizer
from coolfusion.members.commands import Ahead, Commit, Prefill, Refusal, Usage
from coolfusion.members.endings import Ending
from coolfusion.members.member import Member
from coolfusion.models.base import Context, TokenPath
from coolfusion.models.numerics import total
from coolfusion.records import Score

Value = TypeVar("Value")
# Tokens of a prompt or of a whole continuation whose logits are held at a time: with 128K rows of 2 bytes, 128 MB.
TOKENS_AT_A_TIME = 512


class ForwardRequest(NamedTuple):
    """The token paths whose logits a task needs before it can continue.

    Attributes:
        context: the context of the session.
        paths: the token paths to compute after the context.
        prompt: ids that become the whole context first, or None.
    """

    context: Context
    paths: tuple[TokenPath, ...]
    prompt: Sequence[int] | None = None

    @property
    def n_tokens(self) -> int:
        """Returns the number of tokens that a pass reads for the request."""
        if self.prompt is not None:
            return len(self.prompt)
        ends: set[TokenPath] = {path[:n] for path in self.paths for n in range(len(path) + 1)}
        return sum(not self.context.is_computed(end) for end in ends)


Task = Generator[ForwardRequest, None, Value]


class Session:
    """One text under one member.

    Args:
        member: the member.
        command: the command that opens the session, with the prompt.
        align_with: tokenizers whose word boundaries end segments too.
        context: an empty context of the member's model.

    Attributes:
        member: the member.
        context: the text under the model.
        segmenter: the segmenter that cuts the output of the model.
        ids: prompt and committed ids, which are only ever appended to.
        start: the context is ids[start:].
        texts: the committed segments.
        ahead: the segments that the member would write next, as far as it has written ahead.
        stale: whether the context has to be read again before the next task.
        ending: the ending that the next segment has to follow, because the last one owns the boundary after it. "" if
            it does not.
        granularity: the unit of text that one segment is.
    """

    def __init__(self, member: Member, command: Prefill, align_with: Sequence[Tokenizer], context: Context) -> None:
        self.member = member
        self.context = context
        self.ids = list(command.token_ids)
        self.start = 0
        self.texts: list[str] = []
        self.ahead = Ahead(0, ())
        self.ending: Ending = command.ending
        self.granularity = command.granularity
        self.stale = False
        self._spent = (0, 0)  # passes and tokens of contexts before this one
        self._command, self._align_with = command, tuple(align_with)
        self.segmenter = Segmenter(
            member.tokenizer, align_with=list(align_with), prompt_ids=self.ids, granularity=self.granularity
        )

    def __repr__(self) -> str:
        return f"Session({self.member.name!r}, {self.n_context} tokens of context, {len(self.texts)} segments)"

    @property
    def usage(self) -> Usage:
        """Returns the cost of the session so far."""
        context, (passes, tokens) = self.context, self._spent
        return Usage(self.start, passes + context.forward_passes, tokens + context.processed_tokens, self.ahead)

    @property
    def n_context(self) -> int:
        """Returns the number of tokens of context."""
        return len(self.ids) - self.start

    def prefill(self) -> Task[Score | None]:
        """Reads the prompt, cut at the left if it is longer than the limit.

        Returns:
            the score of the ids that were read, if the command asks for it, else None.

        Complexity: one pass; with a score one for each `TOKENS_AT_A_TIME` tokens, because rows of logits are large. A
            model that cannot read a path in one pass needs one for each token. Twice that where the prefix of the
            prompt may be left out.
        """
        command, prefix = self._command, self._command.optional_prefix
        limit, kept = self.member.runner.max_model_len, self.member.kept_after_cut
        if limit is not None and kept is not None and len(self.ids) > limit:
            self.start = len(self.ids) - kept
        # There must be an id that both ways of reading predict.
        choose = prefix and not self.start and len(self.ids) > prefix + 1
        if not choose and not command.score:
            yield self._whole_context()
            return None
        logprobs = yield from self._read(self.context, self.start)
        if choose:
            logprobs = yield from self._likelier(logprobs, prefix)
        return self._score_of(logprobs) if command.score else None

    def _read(self, context: Context, start: int) -> Task[list[float]]:
        """Reads ids[start:] into an empty context, and returns ln p of each of these ids but the first."""
        ids, logprobs = tuple(self.ids[start:]), list[float]()
        yield ForwardRequest(context, (), ids[:1])
        for at in range(1, len(ids), TOKENS_AT_A_TIME):
            part = ids[at : at + TOKENS_AT_A_TIME]
            yield ForwardRequest(context, (part,))
            logprobs += context.logprobs(part)
            context.commit(part)
        return logprobs

    def _likelier(self, logprobs: list[float], prefix: int) -> Task[list[float]]:
        """Reads the prompt without its prefix too, and keeps the reading under which the prompt is likelier.

        The ids after the first one of the prompt are compared, because nothing predicts that one without a prefix. Of
        equal readings the one with the prefix is kept, and also where one is no number.

        Args:
            logprobs: ln p of each id but the first, read with the prefix.
            prefix: the number of ids of the prefix.

        Returns:
            ln p of each id but the first, by the reading that is kept.
        """
        kept, other = self.context, self.member.runner.new_context()
        try:
            bare = yield from self._read(other, prefix)
            if total(bare) > total(logprobs[prefix:]):
                self.context, self.start, logprobs = other, prefix, bare
                kept, other = other, kept
        finally:
            self._spent = (self._spent[0] + other.forward_passes, self._spent[1] + other.processed_tokens)
            other.close()
        return logprobs

    def _score_of(self, logprobs: Sequence[float]) -> Score:
        """Returns the score of the prompt from ln p of its ids, without control tokens, which stand for no text."""
        tokenizer, ids = self.member.tokenizer, self.ids[self.start + 1 :]
        control = set(tokenizer.control_ids)
        counted = [(i, logprob) for i, logprob in zip(ids, logprobs, strict=True) if i not in control]
        n_bytes = sum(len(tokenizer.token_bytes(i)) for i, _ in counted)
        return Score(total(logprob for _, logprob in counted), len(counted), n_bytes)

    def again(self, context: Context) -> Session:
        """Returns a copy of the session with an empty context, which reads the prompt and the committed ids first.

        The copy takes along nothing that a pass or a task may have left half-way.
        """
        session = Session(self.member, self._command, self._align_with, context)
        session.ids, session.texts, session.start = list(self.ids), list(self.texts), self.start
        for text in self.texts:
            session.segmenter.restart(text)
        session.stale, session._spent, session.ending = True, self.usage[1:3], self.ending
        return session

    def reload(self) -> Task[None]:
        """Reads the whole context again."""
        yield self._whole_context()
        self.stale = False

    def commit(self, commits: Sequence[Commit]) -> None:
        """Appends the segments that won."""
        for ids, text, ending in commits:
            self.ending = ending
            self.ids.extend(ids)
            self.texts.append(text)
            self.context.commit(ids)
            self.segmenter.restart(text)

    def known_ahead(self) -> tuple[str, ...]:
        """Returns the segments of `ahead` that are still to come, if all before them were committed."""
        return still_ahead(self.ahead, self.texts)

    def need(self, *paths: TokenPath) -> ForwardRequest:
        """Returns the request for these paths after the context."""
        return ForwardRequest(self.context, paths)

    def fits(self, n_tokens: int) -> bool:
        """Returns whether `n_tokens` more tokens can be read after the context."""
        limit = self.member.runner.max_model_len
        return limit is None or self.n_context + n_tokens <= limit

    def may_be_cut(self) -> bool:
        """Returns whether a cut would make the context shorter."""
        kept = self.member.kept_after_cut
        return kept is not None and self.n_context > kept

    def make_room(self, n_tokens: int) -> Task[None]:
        """Cuts the context at the left, if it must be, so that `n_tokens` (below the limit) fit.

        The newest half of the limit is kept, less if the tokens need more. The cut is deterministic and the context is
        read again, so that a score can be computed again from the recorded range alone.
        """
        limit, kept = self.member.runner.max_model_len, self.member.kept_after_cut
        if limit is not None and kept is not None and not self.fits(n_tokens):
            self.start = len(self.ids) - min(kept, limit - n_tokens)
            yield self._whole_context()

    def no_numbers(self, n_tokens: int) -> Refusal:
        """Returns the refusal of a row of logits that is no distribution."""
        where = f"its logits after {self.n_context + n_tokens} tokens"
        return Refusal("numbers", "", f"{where} are no distribution (nan, +inf or all -inf)")

    def _whole_context(self) -> ForwardRequest:
        return ForwardRequest(self.context, (), self.ids[self.start :])


def still_ahead(ahead: Ahead, committed: Sequence[str]) -> tuple[str, ...]:
    """Returns the segments written ahead that are still to come, given all committed segments."""
    done = list(committed[ahead.commits :])
    return ahead.texts[len(done) :] if list(ahead.texts[: len(done)]) == done else ()
