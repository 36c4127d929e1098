"""The `n` texts of one request, which differ in their seeds and are written together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from coolfusion.fusion.options import Request
from coolfusion.fusion.running import Running, Send, added
from coolfusion.members.commands import Reply
from coolfusion.records import Output, Step


class ChoicesRequest:
    """The state machine of a request with `n` above 1, which holds one state machine for each text.

    Models that can copy rows read the prompts in one pass. An error of one text ends all texts.

    Args:
        request: the request.
        choices: the state machine of each text.
    """

    def __init__(self, request: Request, choices: Sequence[Running]) -> None:
        self.request = request
        self.error: Exception | None = None
        self._choices = list(choices)
        self._of_session = {session: each for each in choices for session in each.sessions}

    def __repr__(self) -> str:
        return f"ChoicesRequest(session={self.session}, {len(self._choices)} texts, finished={self.is_finished})"

    @property
    def session(self) -> int:
        """Returns the number under which the engine knows the request."""
        return self.sessions[0]

    @property
    def sessions(self) -> list[int]:
        """Returns the sessions of all texts."""
        return list(self._of_session)

    @property
    def is_finished(self) -> bool:
        """Returns whether all texts have ended."""
        return all(each.is_finished for each in self._choices)

    @property
    def steps(self) -> Sequence[Step]:
        """Returns (), because the steps of each text stand in its own output."""
        return ()

    @property
    def output(self) -> Output:
        """Returns the output of the first text, with those of the others in `others`."""
        first, *others = (each.output for each in self._choices)
        return replace(first, others=tuple(others), error=first.error or (str(self.error) if self.error else None))

    @property
    def costs(self) -> dict[int, tuple[int, int]]:
        """Returns the passes and tokens of all texts, by the number of the member in the executor."""
        return added([each.costs for each in self._choices])

    def n_cached_tokens(self) -> int:
        """Returns the most tokens that the caches of all members can hold of all texts."""
        return sum(each.n_cached_tokens() for each in self._choices)

    def start(self) -> list[Send]:
        """Begins all texts."""
        return self._checked([send for each in self._choices for send in each.start()])

    def receive(self, reply: Reply) -> list[Send]:
        """Hands a reply to the text that waits for it."""
        return self._checked(self._of_session[reply.session].receive(reply))

    def abort(self, error: Exception | None = None) -> list[Send]:
        """Ends all texts."""
        self.error = self.error or error
        return [send for each in self._choices for send in each.abort(error)]

    def _checked(self, sends: list[Send]) -> list[Send]:
        """Ends all texts if one of them has failed."""
        if self.error is None:
            self.error = next((each.error for each in self._choices if each.error is not None), None)
            if self.error is not None:
                sends = sends + [send for each in self._choices for send in each.abort(self.error)]
        return sends
