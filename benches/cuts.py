"""Boundaries of one text, of one text for several tokenizers, and of ids that are there already."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import regex

import coolfusion as cf
from benches.pairs import Pair, same, their_boundaries
from benches.timing import Checked, Contestant, own, size_in_bytes


def spans(compiled: Sequence[regex.Pattern[str]], text: str) -> list[tuple[int, int]]:
    """The pre-tokens by the bare patterns, each applied inside the spans of the one before."""
    if len(compiled) == 1:
        return [hit.span() for hit in compiled[0].finditer(text)]
    found = [(0, len(text))]
    for pattern in compiled:
        cut = []
        for start, end in found:
            at = start
            for hit in pattern.finditer(text, start, end):
                cut += [(at, hit.start())] if at < hit.start() else []
                cut.append(hit.span())
                at = hit.end()
            cut += [(at, end)] if at < end else []
        found = cut
    return found


def check(pair: Pair, documents: list[str]) -> Checked:
    """Our cuts are those of the library that no later text can move."""
    compiled = [regex.compile(pattern) for pattern in pair.patterns]
    differing = {"encode + offsets": 0, "bare regex": 0}
    for document in documents:
        found, library = pair.ours.word_boundaries(document), their_boundaries(pair, document)
        settled = set(pair.ours.settled_cuts(document))
        # Beside text that the tokenizer loses (T5: last spaces, U+200C) their offsets end too early to find a cut.
        compared = found if pair.ours.represents(document) else [cut for cut in found if cut in library]
        same(compared, [cut for cut in library if cut in settled], "boundaries", pair, document)
        differing["encode + offsets"] += found != library
        if compiled and pair.theirs.normalizer is None:
            words = [span for _, span in pair.theirs.pre_tokenizer.pre_tokenize_str(document)]
            differing["bare regex"] += spans(compiled, document) != words
    return Checked(documents, len(documents), {name: count for name, count in differing.items() if count})


def contestants(pair: Pair, documents: list[str]) -> dict[str, Contestant]:
    ours, theirs, amount = pair.ours, pair.theirs, size_in_bytes(documents)
    calls: dict[str, Callable[[str], object]] = {
        "Tokenizer.word_boundaries": ours.word_boundaries,
        "Tokenizer.settled_cuts": ours.settled_cuts,
        "encode + offsets": lambda document: their_boundaries(pair, document),
    }
    if (rule := theirs.pre_tokenizer) is not None:
        calls["pre_tokenize_str"] = rule.pre_tokenize_str
    if pair.patterns:
        compiled = [regex.compile(pattern) for pattern in pair.patterns]
        calls["bare regex"] = lambda document: spans(compiled, document)

    def each(call: Callable[[str], object], given: list[str]) -> Callable[[], object]:
        return lambda: [call(document) for document in given]

    return {name: Contestant(each(call, own(documents)), amount) for name, call in calls.items()}


def check_common(trio: list[Pair], documents: list[str]) -> Checked:
    kept = []
    ours = [pair.ours for pair in trio]
    for document in documents:
        if not all(tokenizer.represents(document) for tokenizer in ours):
            continue
        found = cf.common_boundaries(ours, document)
        settled = set.intersection(*(set(tokenizer.settled_cuts(document)) for tokenizer in ours))
        library = [cut for cut in intersection(trio, document) if cut in settled]
        same(found, library, "common boundaries", trio[0], document)
        kept.append(document)
    return Checked(kept, len(kept))


def intersection(trio: list[Pair], document: str) -> list[int]:
    cuts = [set(their_boundaries(pair, document)) for pair in trio]
    return sorted(set.intersection(*cuts))


def common(trio: list[Pair], documents: list[str]) -> dict[str, Contestant]:
    ours, amount = [pair.ours for pair in trio], size_in_bytes(documents)
    return {
        "common_boundaries": Contestant(lambda: [cf.common_boundaries(ours, each) for each in documents], amount),
        "three encodes + offsets": Contestant(lambda: [intersection(trio, each) for each in documents], amount),
    }


def arrays(trio: list[Pair], text: str) -> list[np.ndarray]:
    return [np.array(pair.ours.encode(text), dtype=np.uint32) for pair in trio]


def lengths(trio: list[Pair]) -> list[np.ndarray]:
    """For each tokenizer the number of bytes of each id."""
    return [np.array([len(data) for data in pair.table], dtype=np.int64) for pair in trio]


def check_align(trio: list[Pair], text: str) -> Checked:
    """Each cut lies after whole tokens of every encoding, and every place where all have an end is a cut."""
    if not hasattr(cf, "align") or not all(pair.ours.represents(text) for pair in trio):
        return Checked("", 0)
    ids = arrays(trio, text)
    found = cf.align([(pair.ours, each) for pair, each in zip(trio, ids, strict=True)])
    cuts = np.asarray(found.byte_boundaries)
    size = len(text.encode())
    ends = []
    for number, (table, each) in enumerate(zip(lengths(trio), ids, strict=True)):
        at = np.concatenate([[0], np.cumsum(table[each])])
        at = np.maximum(at - (at[-1] - size), 0)  # a dummy prefix stands before the text
        same(list(at[np.asarray(found.token_boundaries[number])]), list(cuts), "aligned cuts", trio[number], text)
        ends.append(set(at.tolist()))
    same([*cuts], sorted(set.intersection(*ends)), "common byte boundaries", trio[0], text)
    return Checked(text, 1)


def align(trio: list[Pair], text: str) -> dict[str, Contestant]:
    """Beside reading the ids: a table look-up and a sum, which say where tokens end but not which ends are common."""
    if not text:
        return {}
    tokenizers, ids, tables = [pair.ours for pair in trio], arrays(trio, text), lengths(trio)
    pairs = list(zip(tokenizers, ids, strict=True))
    amount = sum(map(len, ids))
    return {
        "align": Contestant(lambda: cf.align(pairs), amount),
        "np.cumsum of lengths": Contestant(
            lambda: [np.cumsum(table[each]) for table, each in zip(tables, ids, strict=True)], amount
        ),
    }
