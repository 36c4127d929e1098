"""Schedules: when models run. Which candidate wins is `selection`'s business; both schedules write the same text.

A schedule turns a round into *phases*: orders that are handed out together and answered before the next ones. It runs
nothing itself, `crew` does. `LiteralSchedule` is the paper's loop (arXiv 2407.19807, section 3) as it is written, the
reference; `FastSchedule` equals it in segments and scores and runs few passes: docs/design.md, "the fast schedule".
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple, Protocol

from coolfusion.drafting import Drafting
from coolfusion.judgement import score_candidates, score_one_by_one
from coolfusion.member import Member, MemberState, Task
from coolfusion.models.base import Context
from coolfusion.proposal import TOKENS_OF_A_SEGMENT, Proposal, write_ahead, write_segment
from coolfusion.records import Candidate, Score


class Holder(Protocol):
    """Who has a context: a `MemberState`, or who judges whole texts."""

    @property
    def member(self) -> Member:
        """Whose model."""

    @property
    def context(self) -> Context:
        """The text under the model."""


class Order(NamedTuple):
    """A task for one member's model.

    Attributes:
        state: the member and its context.
        task: what is to be done.
        background: no answer is waited for; the next order for the same text ends it.
    """

    state: Holder
    task: Task[Any]
    background: bool = False


Phases = Generator[list[Order], list[Any], list[Any]]


class Schedule(Protocol):
    """When models run. `states` are the members that take part, `budgets` the tokens that each may still write."""

    def propose(self, states: Sequence[MemberState], budgets: Sequence[int]) -> Phases:
        """TextGen: what each member would write next, a `Proposal` each."""

    def finish(self, states: Sequence[MemberState]) -> Phases:
        """What these members propose without any budget, behind what they have just written."""

    def evaluate(self, states: Sequence[MemberState], candidates: Sequence[Candidate]) -> Phases:
        """Evaluate: each member's list of (C,) scores, given its own context."""

    def observe(self, states: Sequence[MemberState], proposals: Sequence[Proposal], winner: Candidate) -> None:
        """What came of it; `proposals` are those of all members, by number."""


class LiteralSchedule:
    """One model after the other, nothing kept from a lost proposal.

    Two passes are saved that cannot change anything: a member's score of its own proposal comes from the pass that
    generated it, and a member whose own proposal wins undisputed commits what it has already read. So `fuse([M])`
    runs exactly the passes of M's plain greedy decoding.
    """

    def propose(self, states: Sequence[MemberState], budgets: Sequence[int]) -> Phases:
        """TextGen: every member writes greedily until its next segment is known."""
        proposals: list[Proposal] = []
        for state, budget in zip(states, budgets, strict=True):
            proposals += yield [Order(state, _write_from_nothing(state, budget))]
        return proposals

    def finish(self, states: Sequence[MemberState]) -> Phases:
        """One after the other, behind what is known of the proposals that the budget has cut."""
        proposals: list[Proposal] = []
        for state in states:
            proposals += yield [Order(state, write_segment(state, TOKENS_OF_A_SEGMENT))]
        return proposals

    def evaluate(self, states: Sequence[MemberState], candidates: Sequence[Candidate]) -> Phases:
        """Score every candidate under every member, one by one."""
        columns: list[list[Score]] = []
        for state in states:
            columns += yield [Order(state, score_one_by_one(state, candidates))]
        return columns

    def observe(self, states: Sequence[MemberState], proposals: Sequence[Proposal], winner: Candidate) -> None:
        """Nothing is learnt."""


class FastSchedule:
    """The same decisions in few passes: what was read is kept, and several tokens are read at a time.

    Args:
        drafting: who leads and how far; it learns as it goes.
        apart: whether each model has a device of its own, so that the leader writes on while the others read.
    """

    def __init__(self, drafting: Drafting, *, apart: bool = False) -> None:
        self._drafting = drafting
        self._apart = apart

    def propose(self, states: Sequence[MemberState], budgets: Sequence[int]) -> Phases:
        """TextGen: the leader first where a draft is expected to pay, all at once otherwise."""
        budget = {state.number: left for state, left in zip(states, budgets, strict=True)}
        number, words = self._drafting.plan([state.number for state in states])
        leader = next(state for state in states if state.number == number)
        others = [state for state in states if state is not leader]
        if words and self._apart:
            # One exchange: what the leader wrote while the others were reading is their draft.
            draft = leader.known_ahead()
            orders = [Order(leader, write_segment(leader, budget[number]))]
            orders += [Order(s, write_segment(s, budget[s.number], draft)) for s in others]
            # Behind the word that is being read now: when the next one is asked for, so much is left of it.
            ahead = Order(leader, write_ahead(leader, budget[number], words + 1), background=True)
            answers = yield [*orders, ahead]
            return _in_order(states, orders, answers)
        if words:
            lead = Order(leader, _lead(leader, budget[number], words))
            first = yield [lead]
            draft = leader.known_ahead()
            orders = [Order(s, write_segment(s, budget[s.number], draft)) for s in others]
            answers = yield orders
            return _in_order(states, [lead, *orders], [*first, *answers])
        orders = [Order(s, write_segment(s, budget[s.number])) for s in states]
        answers = yield orders
        return answers

    def finish(self, states: Sequence[MemberState]) -> Phases:
        """All at once, behind what is known."""
        return (yield [Order(state, write_segment(state, TOKENS_OF_A_SEGMENT)) for state in states])

    def evaluate(self, states: Sequence[MemberState], candidates: Sequence[Candidate]) -> Phases:
        """Score every candidate under every member: a pass for those who have not read them all."""
        return (yield [Order(state, score_candidates(state, candidates)) for state in states])

    def observe(self, states: Sequence[MemberState], proposals: Sequence[Proposal], winner: Candidate) -> None:
        """Whose words won, and how many tokens they took."""
        texts = {state.number: proposals[state.number].text for state in states}
        lengths = {state.number: len(winner.token_ids[state.number]) for state in states}
        self._drafting.observe(texts, winner.text, lengths)


def _write_from_nothing(state: MemberState, budget: int) -> Task[Proposal]:
    state.settle()
    state.context.clear()
    return (yield from write_segment(state, budget))


def _lead(state: MemberState, budget: int, words: int) -> Task[Proposal]:
    """The leader's proposal; where nothing is left of its draft, a new one behind it."""
    proposal = yield from write_segment(state, budget)
    if words > 0 and proposal.text and not state.known_ahead():
        yield from write_ahead(state, budget, words)
    return proposal


def _in_order(states: Sequence[MemberState], orders: Sequence[Order], answers: Sequence[Any]) -> list[Any]:
    found = {id(order.state): answer for order, answer in zip(orders, answers, strict=True)}
    return [found[id(state)] for state in states]
