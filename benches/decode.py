"""Stream decode: ids to text one id a call, from lists and from arrays, beside four other ways to do it.

`empty method` is what one call from Python costs: a PyO3 method that takes an int and returns a `str`, in a crate of
its own (`benches/empty_method`); built by ``make bench``, else a dictionary's `get` stands in for it.
"""

from __future__ import annotations

import codecs
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tokenizers.decoders import DecodeStream

import coolfusion as cf
from benches.pairs import Pair, same
from benches.timing import Checked, Contestant, own

EMPTY = Path(__file__).parent / "empty_method" / "target" / "release"


def stream_of(theirs: tokenizers.Tokenizer, ids: Sequence[int]) -> str:
    stream = DecodeStream(skip_special_tokens=True)
    return "".join(filter(None, [stream.step(theirs, token_id) for token_id in ids]))


def our_stream(ours: cf.Tokenizer, ids: Sequence[int]) -> str:
    push = (decoder := cf.StreamDecoder(ours)).push
    return "".join([push(token_id) for token_id in ids]) + decoder.flush()


def extended(ours: cf.Tokenizer, ids: Any) -> str:
    decoder = cf.StreamDecoder(ours)
    return decoder.extend(ids) + decoder.flush()


def two_windows(theirs: tokenizers.Tokenizer, ids: Sequence[int]) -> str:
    """The way of serving engines: decode the last few ids with and without the new one, emit the difference.

    Held back while the text ends in U+FFFD, which may be an unfinished character.
    """
    prefix_offset = read_offset = 0
    seen: list[int] = []
    parts = []
    for token_id in ids:
        seen.append(token_id)
        prefix = theirs.decode(seen[prefix_offset:read_offset], skip_special_tokens=True)
        text = theirs.decode(seen[prefix_offset:], skip_special_tokens=True)
        if len(text) > len(prefix) and not text.endswith("\ufffd"):
            parts.append(text[len(prefix) :])
            prefix_offset, read_offset = read_offset, len(seen)
    return "".join(parts)


def by_table(table: list[bytes], ids: Sequence[int]) -> str:
    """What one writes in Python with exact bytes at hand; a dummy prefix stays."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    return "".join([decode(table[token_id]) for token_id in ids])


def empty_method() -> tuple[str, Callable[[int], str | None]]:
    """The name and the call of the cheapest method that there is."""
    for name in ("libempty_method.so", "libempty_method.dylib"):
        if (EMPTY / name).is_file():
            loader = importlib.machinery.ExtensionFileLoader("empty_method", str(EMPTY / name))
            spec = importlib.util.spec_from_loader("empty_method", loader)
            module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
            loader.exec_module(module)
            return "empty method", module.Empty().push
    words: dict[int, str] = {}
    return "dict.get (no empty method)", words.get


def attempt(call: Callable[[], str]) -> str | None:
    """None where the library raises, as on some runs of byte tokens ("Invalid prefix")."""
    try:
        return call()
    except Exception as error:
        if type(error) is not Exception:  # the class that the library raises; any other is ours to see
            raise
        return None


def check(pair: Pair, documents: list[str]) -> Checked:
    """Keeps the documents that the library streams rightly, or all if there is none."""
    wrong = {"DecodeStream.step": 0, "two windows": 0, "byte table": 0}
    table = pair.table
    every, kept = [], []
    for document in documents:
        ids = pair.ours.encode(document)
        text = pair.ours.decode(ids)
        if pair.ours.represents(document):
            same(text, document, "decoded text", pair, document)
        same(our_stream(pair.ours, ids), text, "text of the stream", pair, document)
        if hasattr(cf.StreamDecoder, "extend"):
            same(extended(pair.ours, ids), text, "text of the list", pair, document)
            same(extended(pair.ours, np.array(ids, dtype=np.uint32)), text, "text of the array", pair, document)
        streamed = attempt(lambda ids=ids: stream_of(pair.theirs, ids)) == text  # type: ignore[misc]
        wrong["DecodeStream.step"] += not streamed
        wrong["two windows"] += two_windows(pair.theirs, ids) != text
        wrong["byte table"] += by_table(table, ids).removeprefix(" ") != text.removeprefix(" ")
        every.append(ids)
        if streamed:
            kept.append(ids)
    return Checked((kept or every, bool(kept)), len(documents), {name: count for name, count in wrong.items() if count})


def contestants(pair: Pair, task: tuple[list[list[int]], bool]) -> dict[str, Contestant]:
    lists, streams = task
    ours, theirs = pair.ours, pair.theirs
    amount = sum(map(len, lists))
    empty, call = empty_method()
    table = pair.table
    calls: dict[str, Callable[[list[int]], object]] = {"StreamDecoder.push": lambda ids: our_stream(ours, ids)}
    if hasattr(cf.StreamDecoder, "extend"):
        calls["StreamDecoder.extend(list)"] = lambda ids: extended(ours, ids)
    if streams:
        calls["DecodeStream.step"] = lambda ids: stream_of(theirs, ids)
    calls["two windows"] = lambda ids: two_windows(theirs, ids)
    calls["byte table"] = lambda ids: by_table(table, ids)
    calls[empty] = lambda ids: [call(token_id) for token_id in ids]

    def each(call: Callable[[Any], object], given: Sequence[Any]) -> Callable[[], object]:
        return lambda: [call(ids) for ids in given]

    ways = {name: each(call, own(lists)) for name, call in calls.items()}
    if hasattr(cf.StreamDecoder, "extend"):
        arrays = [np.array(ids, dtype=np.uint32) for ids in lists]
        ways["StreamDecoder.extend(array)"] = each(lambda ids: extended(ours, ids), arrays)
    return {name: Contestant(way, amount) for name, way in ways.items()}


def check_whole(pair: Pair, documents: list[str]) -> Checked:
    kept, wrong = [], 0
    for document in documents:
        ids = pair.ours.encode(document)
        right = pair.theirs.decode(ids, skip_special_tokens=True) == pair.ours.decode(ids)
        wrong += not right
        if right:
            kept.append(ids)
    return Checked(kept, len(documents), {"tokenizers decode": wrong} if wrong else {})


def whole(pair: Pair, lists: list[list[int]]) -> dict[str, Contestant]:
    ours, theirs, amount = pair.ours, pair.theirs, sum(map(len, lists))
    first, second = own(lists), own(lists)
    return {
        "Tokenizer.decode": Contestant(lambda: [ours.decode(ids) for ids in first], amount),
        "tokenizers decode": Contestant(
            lambda: [theirs.decode(ids, skip_special_tokens=True) for ids in second], amount
        ),
    }
