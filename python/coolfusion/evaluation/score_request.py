"""Scores of whole texts after one prompt: a state machine of the engine that writes nothing.

Each member gets one command and answers once, so the texts of all requests share the passes of every model.
"""

from __future__ import annotations

from collections.abc import Sequence

from coolfusion.fusion.engine import Entry, FusionEngine
from coolfusion.fusion.options import Request
from coolfusion.fusion.running import Send
from coolfusion.members.commands import Close, Reply, ScoreContinuations, WholeScore, WholeText
from coolfusion.members.member import Member
from coolfusion.records import Output, Step

__all__ = ["Asked", "ScoreRequest", "enter_scores", "score_all"]

# Prompts and texts in the ids of each member.
Asked = tuple[Sequence[tuple[int, ...]], Sequence[tuple[WholeText, ...]]]


class ScoreRequest:
    """Whole texts that every member scores after its own prompt.

    Args:
        session: the number of its sessions in the members' workers.
        members: the members, by their numbers in the executor.
        prompts: ids of the prompt, for each of these members.
        texts: the texts in the ids of each of these members, all in the same order.

    Attributes:
        scores: the answers, by the number of the member.
        costs: passes and tokens, by the number of the member.
    """

    def __init__(
        self,
        session: int,
        members: Sequence[tuple[int, Member]],
        prompts: Sequence[tuple[int, ...]],
        texts: Sequence[tuple[WholeText, ...]],
    ) -> None:
        self.session = session
        self.request = Request(prompt="")
        self.error: Exception | None = None
        self.scores: dict[int, tuple[WholeScore, ...]] = {}
        self.costs: dict[int, tuple[int, int]] = {}
        self._commands = [
            (number, ScoreContinuations(session, prompt, own))
            for (number, _), prompt, own in zip(members, prompts, texts, strict=True)
        ]
        self._n_tokens = sum(
            _cached(member, len(prompt), own) for (_, member), prompt, own in zip(members, prompts, texts, strict=True)
        )
        self._waiting = {number for number, _ in self._commands}

    def __repr__(self) -> str:
        n_texts = len(self._commands[0][1].texts)
        return f"ScoreRequest(session={self.session}, {n_texts} texts, finished={self.is_finished})"

    @property
    def sessions(self) -> list[int]:
        """Returns the number of its sessions."""
        return [self.session]

    @property
    def is_finished(self) -> bool:
        """Returns whether every member has answered, or the request has ended with an error."""
        return not self._waiting

    @property
    def steps(self) -> Sequence[Step]:
        """(), because nothing is written."""
        return ()

    @property
    def output(self) -> Output:
        """Returns an output without text."""
        return Output("", (), None, (), error=None if self.error is None else str(self.error))

    def n_cached_tokens(self) -> int:
        """Returns the most tokens that the caches of all members can hold of it."""
        return self._n_tokens

    def start(self) -> list[Send]:
        """Asks every member."""
        return list(self._commands)

    def receive(self, reply: Reply) -> list[Send]:
        """Takes a member's answer; an error ends the request."""
        if self.is_finished:
            return []
        if reply.usage is not None:
            self.costs[reply.member] = reply.usage[1:3]
        if reply.error is not None:
            self._waiting.discard(reply.member)
            return self.abort(reply.error)
        self.scores[reply.member] = reply.value  # type: ignore[assignment]  # the command asks for these
        self._waiting.discard(reply.member)
        return []

    def abort(self, error: Exception | None = None) -> list[Send]:
        """Ends it."""
        sends: list[Send] = [(number, Close(self.session)) for number in sorted(self._waiting)]
        self._waiting, self.error = set(), error
        return sends


def _cached(member: Member, n_prompt: int, texts: Sequence[WholeText]) -> int:
    most = n_prompt + sum(len(text.token_ids) for text in texts)
    limit = member.runner.max_model_len
    return most if limit is None else min(limit, most)


def score_all(engine: FusionEngine, numbers: Sequence[int], asked: Sequence[Asked]) -> list[ScoreRequest]:
    """Runs the requests for several prompts, which share passes, to their end.

    Args:
        engine: the engine.
        numbers: the members that score.
        asked: for each request the prompts of these members, and the texts after them.

    Returns:
        the finished requests, in the order of `asked`.

    Raises:
        CoolFusionError: the first error of a request.

    Example:
        ``score_all(fusion.engine, [0], [([(1, 7)], [(WholeText((5, 6)),)])])[0].scores[0]``
    """
    entries = enter_scores(engine, numbers, asked)
    requests = [entry.running for entry in entries]
    try:
        engine.step_until(lambda: all(request.is_finished for request in requests))
    finally:
        for entry in entries:
            if not entry.running.is_finished:
                engine.abort(entry.number)
    for request in requests:
        if request.error is not None:
            raise request.error
    return requests  # type: ignore[return-value]  # enter_scores has made them


def enter_scores(engine: FusionEngine, numbers: Sequence[int], asked: Sequence[Asked]) -> list[Entry]:
    """Adds the requests for several prompts; the `running` of each entry is a `ScoreRequest`.

    Args:
        engine: the engine.
        numbers: the members that score.
        asked: for each request the prompts of these members, and the texts after them.
    """
    members = [(number, engine.members[number]) for number in numbers]

    def enter(prompts: Sequence[tuple[int, ...]], texts: Sequence[tuple[WholeText, ...]]) -> Entry:
        return engine.enter(lambda session: ScoreRequest(session, members, prompts, texts))

    return [enter(*each) for each in asked]
