"""The past of a text as weights see it: the steps of a fusion that had written these very words."""

from __future__ import annotations

from collections.abc import Sequence

from coolfusion.fusion.selection.base import StepView
from coolfusion.records import Candidate, Score, Seconds, Step

__all__ = ["History"]


class History:
    """Scores of a context and of the words after it, under all members.

    Args:
        names: (M,) the members' names.
        prompts: whether the context is scored.

    Example:
        >>> history = History(["a", "b"])
        >>> history.note(" cat", [(-1.0, 1), (-2.0, 2)])
        >>> history.view().so_far[1]
        Score(logprob=-2.0, n_tokens=2, n_bytes=4, boundary_logprob=None, start_logprob=None)
    """

    def __init__(self, names: Sequence[str], *, prompts: bool = False) -> None:
        self._names = tuple(names)
        self._so_far = [Score(0.0, 0)] * len(names)
        self._prompts = [Score(0.0, 0)] * len(names) if prompts else []
        self._steps: list[Step] = []

    def note_prompt(self, member: int, logprob: float, n_tokens: int, n_bytes: int) -> None:
        """Adds the likelihood of the context under a member to the history.

        Args:
            member: its number.
            logprob: nats over all tokens of the context.
            n_tokens: of the context.
            n_bytes: of the context.
        """
        self._prompts[member] = self._so_far[member] = Score(logprob, n_tokens, n_bytes)

    def note(self, word: str, scores: Sequence[tuple[float, int]]) -> None:
        """Adds a word with its scores to the history.

        Args:
            word: the word.
            scores: (M,) nats and tokens of the word under each member.
        """
        n_bytes = len(word.encode())
        row = tuple(Score(logprob, n_tokens, n_bytes) for logprob, n_tokens in scores)
        self._so_far = [
            Score(old.logprob + new.logprob, old.n_tokens + new.n_tokens, old.n_bytes + new.n_bytes)
            for old, new in zip(self._so_far, row, strict=True)
        ]
        candidate = Candidate(word, False, (), (), ())
        nothing = Seconds(0.0, 0.0, 0.0, 0.0)
        step = Step(len(self._steps), word, 0, (candidate,), (row,), (0.0,), float("inf"), (), (), (), nothing)
        self._steps.append(step)

    def view(self) -> StepView:
        """Returns the step that is to be weighed; it has no candidates, at which weights do not look."""
        everyone = tuple(range(len(self._names)))
        return StepView((), (), everyone, self._names, tuple(self._prompts), tuple(self._so_far), list(self._steps))
