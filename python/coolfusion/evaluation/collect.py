"""Collects recorded steps: the members propose and score, and no rule decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from coolfusion._core import Segmenter
from coolfusion.errors import ArgumentError, CoolFusionError
from coolfusion.evaluation.next_words import Position
from coolfusion.evaluation.steps import Round, StepFile, StepRecord
from coolfusion.fusion import Fusion, Request, SelectionRule, StepView
from coolfusion.fusion.engine import Entry
from coolfusion.fusion.request import FusionRequest
from coolfusion.members.propose import TOKENS_OF_A_SEGMENT

__all__ = ["CHUNK", "collect_steps", "setup_of"]

CHUNK = 32  # items that share passes, and that an interrupted run loses at most


class _Recorder(SelectionRule):
    """A rule that asks for everything, and keeps the content of the first step."""

    name, boundary_mass, prompt_scores = "recorder", True, True

    def __init__(self, alternatives: int) -> None:
        self.alternatives = alternatives
        self.greedy: StepView | None = None
        self.last: StepView | None = None

    def is_unsure(self, step: StepView) -> bool:
        """Keeps the round of greedy segments, and asks for the other one."""
        if self.greedy is None:
            self.greedy = step
        return True

    def values(self, step: StepView) -> list[float]:
        """Keeps the last round."""
        if self.last is None:
            self.last = step
        return [0.0] * len(step.candidates)


def setup_of(fusion: Fusion, alternatives: int, **facts: Any) -> dict[str, Any]:
    """Returns the values that decide recorded steps, for the set-up of a `StepFile`.

    Args:
        fusion: the members.
        alternatives: number of alternatives of each member.
        facts: further values, for example the digest of the data.

    Example:
        >>> from coolfusion.embedded import fusion
        >>> setup_of(fusion(), 1)["members"]
        ['ash', 'birch', 'cedar']
    """
    names = [member.name for member in fusion.members]
    return {
        **facts,
        "members": names,
        "alignment": fusion.alignment,
        "granularity": fusion.granularity,
        "prefix": fusion.engine.prefix,
        "alternatives": alternatives,
    }


def collect_steps(
    fusion: Fusion,
    places: Sequence[Position],
    file: StepFile,
    *,
    alternatives: int = 1,
    whole_prompt: bool = True,
    chunk: int = CHUNK,
    progress: Callable[[int], None] = lambda n: None,
) -> list[StepRecord]:
    """Records the first step after each prompt that the file does not hold yet; an item that fails has its error.

    Args:
        fusion: the members; its rule has no part in it.
        places: the prompts, with their true words.
        file: takes the records.
        alternatives: number of segments that each member proposes besides its greedy one, where members differ.
        whole_prompt: whether the prompts end with a word, so that proposals begin with white space (see `Request`).
        chunk: items that share passes.
        progress: a function that gets the number of records that have been added, or were there.

    Returns:
        the records of all places, in their order.

    Complexity: one step of a fusion for each place.

    Example:
        >>> from coolfusion.embedded import fusion
        >>> places = [Position("p", "p", "Once upon a time", "there")]
        >>> [record] = collect_steps(fusion(), places, StepFile(None, {}))
        >>> [candidate.text for candidate in record.greedy.candidates]
        [' there']
    """
    missing = [place for place in places if place.id not in file.records]
    progress(len(places) - len(missing))
    for start in range(0, len(missing), chunk):
        part = missing[start : start + chunk]
        file.add(_steps(fusion, part, alternatives, whole_prompt=whole_prompt))
        progress(len(part))
    return [file.records[place.id] for place in places]


def _steps(
    fusion: Fusion, places: Sequence[Position], alternatives: int, *, whole_prompt: bool
) -> Iterator[StepRecord]:
    engine = fusion.engine
    opened: list[tuple[Position, _Recorder, Entry | CoolFusionError]] = []
    for place in places:
        rule = _Recorder(alternatives)
        # A budget of a whole segment, so that none of them is cut.
        request = Request(prompt=place.prompt, max_new_tokens=TOKENS_OF_A_SEGMENT, whole_prompt=whole_prompt)
        try:
            opened.append((place, rule, engine.open(request, rule=rule, granularity=fusion.granularity)))
        except ArgumentError:
            raise
        except CoolFusionError as err:
            opened.append((place, rule, err))
    waiting = [entry for *_, entry in opened if isinstance(entry, Entry)]
    for entry in waiting:
        engine.submit(entry)

    def all_have_a_step() -> bool:
        for entry in [each for each in waiting if each.running.steps or each.running.is_finished]:
            engine.abort(entry.number)
            waiting.remove(entry)
        return not waiting

    try:
        engine.step_until(all_have_a_step)
    finally:
        for entry in waiting:
            engine.abort(entry.number)
    names = tuple(member.name for member in fusion.members)
    for place, rule, each in opened:
        yield _record(place, rule, each, names, alternatives)


def _record(
    place: Position, rule: _Recorder, entry: Entry | CoolFusionError, names: tuple[str, ...], alternatives: int
) -> StepRecord:
    error = entry if isinstance(entry, CoolFusionError) else entry.running.error
    if error is not None and not isinstance(error, CoolFusionError):
        raise error
    running = entry.running if isinstance(entry, Entry) else None
    if error is None and isinstance(running, FusionRequest) and running.steps and rule.last is not None:
        last = rule.last
        greedy, wider = (last, None) if rule.greedy is None else (rule.greedy, _round(last))
        refused = tuple((each.text, each.members) for each in running.steps[0].rejected)
        divisible = not refused and not _has_inner_boundary(running, last)
        return StepRecord(*place, names, _round(greedy), wider, last.prompt, refused, alternatives, divisible)
    why = "it ended without a step" if error is None else f"{type(error).__name__}: {error}"
    return StepRecord(*place, names, Round((), ()), None, (), (), alternatives, False, why)


def _round(view: StepView) -> Round:
    return Round(view.candidates, view.scores)


def _has_inner_boundary(running: FusionRequest, view: StepView) -> bool:
    """Returns whether a member alone would end a segment sooner than all of them do."""
    if not running.settings.aligned:
        return False
    granularity = running.settings.granularity
    for at, each in enumerate(running.transcripts):
        segmenter = Segmenter(each.member.tokenizer, prompt_ids=each.ids[: each.n_prompt], granularity=granularity)
        for candidate in view.candidates:
            if candidate.end or at not in candidate.members:
                continue
            segmenter.restart("")
            for token_id in candidate.token_ids[at]:
                if segmenter.push(token_id) is not None:
                    return True
    return False
