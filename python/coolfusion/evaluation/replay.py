"""Replay, the decision of a selection rule in a recorded step, for all members or for a part of them.

The result is the commit of `Fusion` in that step with the rule, up to rounding of the scores. For a part of the members
the record must be *divisible*, because the others must have had no influence on the segments. One influence is left:
whether a word ends after a segment is known for its proposers together. So a proposer that wrote on without white
space counts as if it had seen the end that another one saw. Only scripts without spaces have such proposals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from coolfusion.errors import ArgumentError
from coolfusion.evaluation.next_words import is_right
from coolfusion.evaluation.steps import Round, StepRecord
from coolfusion.fusion.selection import Selection, SelectionRule, StepView, is_unsure, select, view_of
from coolfusion.records import Candidate, Score

__all__ = ["Replayed", "own_words", "replay"]


class Replayed(NamedTuple):
    """A decision in a recorded step.

    Attributes:
        view: the step as the rule saw it; members have the numbers of the part.
        selection: the decision.
    """

    view: StepView
    selection: Selection

    @property
    def winner(self) -> Candidate:
        """Returns the candidate that is committed."""
        return self.view.candidates[self.selection.winner]


def replay(record: StepRecord, rule: SelectionRule, members: Sequence[int] | None = None) -> Replayed:
    """Lets a rule decide in a recorded step.

    The rule sees the candidates that its members proposed, and alternatives only if it is unsure without them. It sees
    boundaries and prompts only if it asks for them.

    Args:
        record: the step.
        rule: the rule.
        members: numbers of the members that take part, in ascending order; None takes all.

    Raises:
        ArgumentError: the record has no step, or a part of an indivisible step is asked for. Or the numbers are not
            some of its members', or the rule asks for another number of alternatives than were recorded.

    Complexity: that of the rule, once or twice.

    Example:
        >>> candidates = (Candidate(" a", False, (0,), (), (), True), Candidate(" b", False, (1,), (), (), True))
        >>> scores = ((Score(-0.5, 1, 2), Score(-3.0, 1, 2)), (Score(-4.0, 1, 2), Score(-1.0, 1, 2)))
        >>> record = StepRecord("i", "g", "p", "a", ("x", "y"), Round(candidates, scores), None, (), (), 0, True)
        >>> from coolfusion.fusion.selection import PowerMean
        >>> replay(record, PowerMean(1.0)).winner.text, replay(record, PowerMean(1.0), [1]).winner.text
        (' a', ' b')
    """
    numbers = _checked(record, members)
    if rule.alternatives not in (0, record.alternatives):
        held = f"the record holds {record.alternatives}; expected that or 0"
        raise ArgumentError(f"rule {rule.name} asks for {rule.alternatives} alternatives, and {held}")
    view = _view(record, record.greedy, rule, numbers)
    if rule.alternatives and record.wider is not None and is_unsure(rule, view):
        view = _view(record, record.wider, rule, numbers)
    return Replayed(view, select(rule, view))


def own_words(record: StepRecord) -> tuple[tuple[str, str], ...]:
    """Returns for each member its greedy word, and the likeliest of its own words with their ends.

    The second is the choice of the member alone with the same alternatives as a rule has. Where all members propose
    the same word no alternatives were recorded, and it is the greedy one, as it is for every rule.

    A member whose word the others refused would have written that word alone. For example, the others could not
    represent it. Of several such words the right one counts, so that members alone are never made worse than they are.

    Args:
        record: the step.

    Raises:
        ArgumentError: the record has no step.
    """
    if record.error is not None:
        raise ArgumentError(f"item {record.item} has no step: {record.error}")
    found = []
    for j in range(len(record.names)):
        refused = sorted(
            (text for text, members in record.refused if j in members), key=lambda text: not is_right(text, record.gold)
        )
        [greedy, *_] = [*(each.text for each in record.greedy.candidates if j in each.members), *refused, ""]
        own = [
            (-_with_end(row[j]), candidate.text.encode(), candidate.text)
            for candidate, row in zip(*(record.wider or record.greedy), strict=True)
            if j in candidate.members
        ]
        has_greedy = any(j in each.members for each in record.greedy.candidates)
        found.append((greedy, min(own)[2] if own and has_greedy else greedy))
    return tuple(found)


def _with_end(score: Score) -> float:
    return score.logprob + (score.boundary_logprob or 0.0)


def _checked(record: StepRecord, members: Sequence[int] | None) -> list[int]:
    every = range(len(record.names))
    if record.error is not None:
        raise ArgumentError(f"item {record.item} has no step: {record.error}")
    numbers = list(every if members is None else members)
    if not numbers or numbers != sorted(set(every).intersection(numbers)):
        expected = f"expected ascending numbers out of 0..{len(every) - 1}"
        raise ArgumentError(f"members must be some of the record's, not {members!r}; {expected}")
    if len(numbers) < len(every) and not record.divisible:
        raise ArgumentError(f"item {record.item} is indivisible: a part of its members might propose other segments")
    return numbers


def _view(record: StepRecord, found: Round, rule: SelectionRule, numbers: Sequence[int]) -> StepView:
    """Returns a round as the rule sees it."""
    place = {number: at for at, number in enumerate(numbers)}
    alone = len(numbers) == 1
    candidates, scores = [], []
    for candidate, row in zip(found.candidates, found.scores, strict=True):
        own = tuple(place[number] for number in candidate.members if number in place)
        if not own:
            continue
        ids = tuple(candidate.token_ids[number] for number in numbers if candidate.token_ids)
        forced = tuple(candidate.forced[number] for number in numbers if candidate.forced)
        candidates.append(replace(candidate, members=own, token_ids=ids, forced=forced))
        scores.append([_as_asked(row[number], rule, alone=alone) for number in numbers])
    # The prompt is not scored where one member writes alone.
    prompt = [record.prompt_scores[j] for j in numbers] if rule.prompt_scores and not alone else ()
    return view_of(candidates, scores, [record.names[j] for j in numbers], prompt=prompt, so_far=prompt)


def _as_asked(score: Score, rule: SelectionRule, *, alone: bool) -> Score:
    """Returns a score with the boundaries that the rule asks for; one that writes alone has no boundary to share."""
    if not rule.boundary_mass:
        return score._replace(boundary_logprob=None, start_logprob=None)
    return score._replace(boundary_logprob=0.0) if alone and score.boundary_logprob is not None else score
