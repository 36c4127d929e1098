"""Walks over random ids as the loop makes them; each returns rows of logits for comparison with full passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coolfusion.models.base import TokenPath
from coolfusion.models.transformers.strategies.base import Strategy

# Texts, each with the logits after it, (V,) float64.
Rows = list[tuple[tuple[int, ...], Any]]


def look(strategy: Strategy, ids: Sequence[int]) -> Rows:
    """Reads few tokens: prompts of two lengths, branches, and an uncomputed commit.

    All rows that are returned follow prefixes of one text, so that one full pass gives the right numbers. The other
    branches are there to be hidden from them.

    Args:
        strategy: the strategy, without contexts.
        ids: at least nine ids for all of this; fewer show less.
    """
    half = len(ids) // 2
    path, wrong = tuple(ids[half - 1 : -1]), tuple(reversed(ids[:2]))
    one, two = strategy.new_context(), strategy.new_context()
    try:
        with strategy.passes.torch.inference_mode():
            strategy.prefill([(one, ids[: half - 1]), (two, ids[: half + 1])])
            found: Rows = [(tuple(each.ids), each.next_row(())) for each in (one, two)]
            _compute(strategy, (one, [wrong, path]), (two, [wrong[:1], tuple(ids[half + 1 : half + 2])]))
            found += [((*one.ids, *path[:n]), one.next_row(path[:n])) for n in range(1, len(path) + 1)]
            found.append((tuple(ids[: half + 2]), two.next_row((ids[half + 1],))))
            one.commit((*path, ids[-1]))
            _compute(strategy, (one, [()]))
            return [*found, (tuple(ids), one.next_row(()))]
    finally:
        one.close()
        two.close()


def walk(strategy: Strategy, ids: Sequence[int]) -> Rows:
    """Reads two texts as a fusion reads them.

    Args:
        strategy: the strategy, without contexts.
        ids: at least twelve ids.
    """
    one, two = strategy.new_context(), strategy.new_context()
    try:
        with strategy.passes.torch.inference_mode():
            return _walk(strategy, ids, one, two)
    finally:
        one.close()
        two.close()


def _walk(strategy: Strategy, ids: Sequence[int], one: Any, two: Any) -> Rows:
    first, second, late = len(ids) // 4, len(ids) // 2, len(ids) - 4
    other = list(reversed(ids))
    strategy.prefill([(one, ids[:first]), (two, other[: second + 1])])
    branch, wrong = tuple(ids[first:second]), tuple(other[:3])
    found = [*_rows(one, ()), *_rows(two, ())]
    _compute(strategy, (one, [branch, (*branch[:1], *wrong), wrong]), (two, [wrong]))
    found += _rows(one, *(branch[:n] for n in range(1, len(branch) + 1)), (*branch[:1], *wrong), wrong)
    found += _rows(two, wrong)
    one.commit(branch[:-1])
    two.commit((*wrong[:1], *branch[:2]))
    found += _rows(one, ())
    _compute(strategy, (one, [branch[-1:] + tuple(ids[second : late - 1])]), (two, [()]))
    found += _rows(two, ())
    one.commit(branch[-1:] + tuple(ids[second : late - 2]))
    one.commit(tuple(ids[late - 2 : late]))
    for token_id in ids[late:]:
        _compute(strategy, (one, [(token_id,)]))
        found += _rows(one, (), (token_id,))
        one.commit((token_id,))
    return found


def _rows(context: Any, *paths: TokenPath) -> Rows:
    return [((*context.ids, *path), context.next_row(path)) for path in paths]


def _compute(strategy: Strategy, *wanted: tuple[Any, list[TokenPath]]) -> None:
    missing = [(context, context.paths.missing(paths)) for context, paths in wanted]
    strategy.forward([(context, paths) for context, paths in missing if paths])
