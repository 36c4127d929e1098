"""Whole-text encode: documents of 1,000 characters one by one, and all documents of all texts in one call."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from functools import partial
from time import perf_counter_ns

import coolfusion as cf
from benches.pairs import Pair, same, their_ids
from benches.timing import Checked, Contestant, size_in_bytes, turns


def check(pair: Pair, documents: list[str]) -> Checked:
    for document in documents:
        same(pair.ours.encode(document), their_ids(pair.theirs, document), "ids", pair, document)
    return Checked(documents, len(documents))


def rounds(pair: Pair, documents: list[str], count: int, passes: int) -> list[list[dict[str, float]]]:
    """The passes of each round; in each our tokenizer is a new one and the library's cache is empty."""
    amount = size_in_bytes(documents)
    found = []
    for number in range(count):
        # Another name, or the load would give the tokenizer that is there already.
        ours = cf.Tokenizer._from_json(pair.json, f"{pair.name}, round {next(COUNTER)}")
        if hasattr(pair.theirs.model, "_clear_cache"):  # WordPiece keeps nothing
            pair.theirs.model._clear_cache()
        call = partial(encode_each, ours.encode, documents)
        library = partial(encode_each, partial(their_ids, pair.theirs), documents)
        sides = {"Tokenizer.encode": Contestant(call, amount), "tokenizers encode": Contestant(library, amount)}
        found.append(turns(sides, passes, number))
    return found


def encode_each(encode: Callable[[str], list[int]], documents: list[str]) -> None:
    for document in documents:
        encode(document)


COUNTER = itertools.count()


def check_batch(pair: Pair, documents: list[str]) -> Checked:
    os.environ["TOKENIZERS_PARALLELISM"] = "true"  # this is a process of its own
    if hasattr(pair.ours, "encode_batch"):
        library = [each.ids for each in pair.theirs.encode_batch_fast(documents, add_special_tokens=False)]
        same(pair.ours.encode_batch(documents), library, "ids of the batch", pair, "all documents")
        texts = pair.ours.decode_batch(library)
        same(texts, [pair.ours.decode(ids) for ids in library], "texts of the batch", pair, "all documents")
    return Checked(documents, len(documents))


def by_the_wall(call: Callable[[], object], amount: float) -> Contestant:
    return Contestant(call, amount, clock=perf_counter_ns)


def batches(pair: Pair, documents: list[str]) -> dict[str, Contestant]:
    """On all cores of the machine, both sides."""
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    ours, theirs, amount = pair.ours, pair.theirs, size_in_bytes(documents)
    if not hasattr(ours, "encode_batch"):
        return {}
    return {
        "Tokenizer.encode_batch": by_the_wall(lambda: ours.encode_batch(documents), amount),
        "tokenizers encode_batch": by_the_wall(
            lambda: [each.ids for each in theirs.encode_batch_fast(documents, add_special_tokens=False)], amount
        ),
    }


def decode_batches(pair: Pair, documents: list[str]) -> dict[str, Contestant]:
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    ours, theirs = pair.ours, pair.theirs
    if not hasattr(ours, "decode_batch"):
        return {}
    ids = [ours.encode(document) for document in documents]
    amount = sum(map(len, ids))
    return {
        "Tokenizer.decode_batch": by_the_wall(lambda: ours.decode_batch(ids), amount),
        "tokenizers decode_batch": by_the_wall(lambda: theirs.decode_batch(ids, skip_special_tokens=True), amount),
    }
