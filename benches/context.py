"""Stream encode: the next word after a long context, beside encoding everything or a window of words again."""

from __future__ import annotations

import itertools
from time import perf_counter_ns

import coolfusion as cf
from benches.pairs import Pair, same, their_ids
from benches.texts import PIECE
from benches.timing import Checked, Contestant

# Pieces that are pushed before the clock starts, right before: the first one copies the context into spare room, and
# encoding all text has just emptied the processor's caches.
WARM = 40
WINDOW_WORDS = 4
# Where a push encodes all text again (Unigram without a word split) few will do.
FEW, SLOW_NS = 6, 20_000_000
WHOLES = 2  # pieces after which all text is encoded again, which is what takes the time

Task = tuple[str, list[str]]


def check(pair: Pair, text: str, tokens: int, count: int) -> Checked | None:
    """A context of so many tokens and the pieces after it; short texts are repeated, None where that is no help."""
    per_token = len(text[:20_000]) / max(1, len(pair.ours.encode(text[:20_000])))
    need = int(tokens * per_token * 1.3) + 40 * (count + WARM)
    long = text * (need // len(text) + 1)
    start = PIECE.match(long, int(tokens * per_token))
    if start is None:
        return None
    pieces = [hit.group() for hit in itertools.islice(PIECE.finditer(long, start.end()), WARM + count)]
    context = long[: start.end()]
    encoder = cf.StreamEncoder(pair.ours)
    encoder.push(context)
    start_ns = perf_counter_ns()
    for number, piece in enumerate(pieces, 1):
        encoder.push(piece)
        if number == FEW and perf_counter_ns() - start_ns > SLOW_NS:
            pieces = pieces[:FEW]
            break
    same(encoder.ids, their_ids(pair.theirs, encoder.text), "ids of the stream", pair, encoder.text)
    return Checked((context, pieces), 1)


def contestants(pair: Pair, task: Task) -> dict[str, Contestant]:
    """One pass only: a text can be pushed once."""
    context, pieces = task
    theirs = pair.theirs
    encoder = cf.StreamEncoder(pair.ours)
    encoder.push(context)
    first = min(WARM, len(pieces) - WHOLES)
    warm, pushed = pieces[:first], pieces[first:]
    wholes = [context + "".join(pieces[: first + number + 1]) for number in range(WHOLES)]
    after = ["".join(pieces[max(0, at - WINDOW_WORDS) : at + 1]) for at in range(first, len(pieces))]
    return {
        "StreamEncoder.push": Contestant(
            lambda: [encoder.push(piece) for piece in pushed],
            len(pushed),
            lambda: [encoder.push(piece) for piece in warm],
        ),
        "encode of all text": Contestant(lambda: [their_ids(theirs, whole) for whole in wholes], len(wholes)),
        "encode of 4 words": Contestant(lambda: [their_ids(theirs, words) for words in after], len(after)),
    }
