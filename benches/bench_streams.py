"""Long streams of ids in the steady state: `StreamDecoder` beside `DecodeStream`, on every tokenizer.

    python benches/bench_streams.py [--tokens N]

The rows of `python -m benches` begin with cold tables in a process of their own; a server's detokenizer runs for hours.
Here one process decodes N ids of an English text again and again, ours and theirs in turn: medians of nine, processor
time, one thread. All ways must give the same text, `DecodeStream` apart where it errs, which is said.

    python benches/bench_streams.py --stretches N

This times segmenters instead, on N and 4 N characters of one thing each, in which few tokenizers have a settled cut.
Four times the text should take about four times the time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from pathlib import Path
from time import process_time_ns
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

import coolfusion as cf
from benches.decode import extended, our_stream, stream_of
from benches.pairs import pairs, tokenizer_files
from benches.texts import texts

TURNS = 9


def row(pair: Any, text: str, count: int) -> str:
    """ns a token of each way, and the ratios to `DecodeStream`."""
    ids = pair.ours.encode(text)[:count]
    array = np.array(ids, dtype=np.uint32)
    whole = extended(pair.ours, ids)
    assert our_stream(pair.ours, ids) == extended(pair.ours, array) == whole
    try:
        note = "" if stream_of(pair.theirs, ids) == whole else "  DecodeStream gives another text"
    except Exception as error:  # noqa: BLE001 - the library raises bare exceptions
        return f"{pair.name:<18} DecodeStream fails: {str(error).splitlines()[0][:80]}"
    ways = {
        "push": lambda: our_stream(pair.ours, ids),
        "list": lambda: extended(pair.ours, ids),
        "array": lambda: extended(pair.ours, array),
        "theirs": lambda: stream_of(pair.theirs, ids),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(TURNS):
        names = list(ways)[turn % len(ways) :] + list(ways)[: turn % len(ways)]
        for name in names:
            began = process_time_ns()
            ways[name]()
            times[name].append((process_time_ns() - began) / len(ids))
    push, many, array_time, theirs = (statistics.median(times[name]) for name in ("push", "list", "array", "theirs"))
    cells = f"{push:8.0f}{many:8.1f}{array_time:8.1f}{theirs:10.0f}"
    return f"{pair.name:<18}{cells}{theirs / push:9.1f}{theirs / many:8.0f}{theirs / array_time:8.0f}{note}"


STRETCHES = {"space": " ", "a": "a", "=": "=", "han": "中", "line": "\n", "digit": "7", "composed": "a\u0301"}


def segmented(tokenizer: Any, other: Any, text: str) -> float:
    """Seconds for pushing the tokens of ``text`` to a segmenter of both tokenizers, one by one."""
    ids = tokenizer.encode(text)
    segmenter = cf.Segmenter(tokenizer, [other])
    began = process_time_ns()
    for token_id in ids:
        segmenter.push(token_id)
    return (process_time_ns() - began) / 1e9


def stretches(loaded: list[Any], count: int) -> None:
    """A row for each tokenizer, beside the next one: seconds for `count` characters and for four times as many."""
    print(f"{'seconds':<18}" + "".join(f"{name:>16}" for name in STRETCHES))
    for number, pair in enumerate(loaded):
        other = loaded[(number + 1) % len(loaded)].ours
        cells = ""
        for part in STRETCHES.values():
            few, many = (segmented(pair.ours, other, (part * n)[:n]) for n in (count, 4 * count))
            cells += f"{few:>8.2f}{many:>8.2f}"
        print(f"{pair.name:<18}{cells}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tokens", type=int, default=30_000)
    parser.add_argument("--stretches", type=int, metavar="N")
    options = parser.parse_args()
    data = os.environ.get("COOLFUSION_DATA")
    if options.stretches:
        stretches(list(pairs(tokenizer_files(Path(data) if data else None, quick=False))), options.stretches)
        return
    found = texts(Path(data) if data else None)
    text = next(iter(found.values()))
    while len(text) < 8 * options.tokens:
        text += text
    print(f"{'ns a token':<18}{'push':>8}{'list':>8}{'array':>8}{'theirs':>10}{'push x':>9}{'list x':>8}{'array x':>8}")
    for pair in pairs(tokenizer_files(Path(data) if data else None, quick=False)):
        print(row(pair, text, options.tokens), flush=True)


if __name__ == "__main__":
    main()
