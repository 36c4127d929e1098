"""Tokenizer work: coolfusion beside the `tokenizers` library and other ways, on the same texts, in one run.

    python -m benches [--quick] [--json FILE] [--tokenizers NAME ...] [--operations NAME ...]

Before anything is timed, answers are compared (ids, decoded text, streams with wholes, boundaries) and a difference
ends the run; what the other ways get wrong is counted and not timed. Each row is timed in processes of its own, ours
and theirs take turns to go first. A ratio is time of the other / our time, so below 1.0 means that we are slower; the
first pass is over text that the tokenizer objects have not seen. One thread and processor time, but for the batches.
Figures move from machine to machine; compare rows of one run.

The texts and tokenizers are those of COOLFUSION_DATA where it is set, else the embedded tokenizers, those that the
tests make, and texts that are made here.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benches import context, cuts, decode, encode
from benches.machine import machine
from benches.pairs import Pair, load, pairs, tokenizer_files
from benches.report import BYTES, lines
from benches.texts import documents, texts
from benches.timing import FULL, QUICK, Checked, Contestant, Row, Size, figures, in_child, measure

# Three vocabularies that share little, by name, where they are there; else the first three.
TRIOS = (("llama3", "llama2", "qwen2_5"), ("gpt2", "gemma2", "deepseek_v3"), ("o200k", "mistral_v3", "t5_small"))
ALIGNED_CHARACTERS = 50_000
OPERATIONS = ("encode", "batch", "stream decode", "decode", "stream encode", "boundaries", "common boundaries", "align")


def row(
    place: tuple[str, str, str, str],
    unit: str,
    check: Callable[[], Checked | None],
    prepare: Callable[[Any], dict[str, Contestant]],
    rounds: int,
    passes: int,
) -> Row:
    """`place` is operation, tokenizer, family, text."""
    checked = in_child(check)
    if checked is None or not checked.task:
        return Row(*place, unit, 0, {}, {}, {}, {}, {})
    figures = measure(lambda: prepare(checked.task), rounds, passes)
    return Row(*place, unit, checked.checked, checked.differing or {}, **figures)


def rows_of(pair: Pair, long_texts: dict[str, str], size: Size, chosen: Sequence[str]) -> Iterator[Row]:
    """All rows of one tokenizer."""
    many = partial(row, rounds=size.rounds, passes=size.passes)
    once = partial(row, rounds=size.rounds + 2, passes=1)
    for name, text in long_texts.items():
        place = (pair.name, pair.family, name)
        few, many_documents = documents(text, size.stream_documents), documents(text, size.walked)
        if "encode" in chosen:
            documents_to_encode = documents(text, size.encoded)
            checked = in_child(partial(encode.check, pair, documents_to_encode)).checked
            found = figures(encode.rounds(pair, documents_to_encode, size.rounds, size.passes))
            yield Row("encode", *place, BYTES, checked, {}, **found)
        if "stream decode" in chosen:
            check = partial(decode.check, pair, few)
            yield many(("stream decode", *place), "token", check, partial(decode.contestants, pair))
        if "decode" in chosen:
            check = partial(decode.check_whole, pair, many_documents)
            yield many(("decode", *place), "token", check, partial(decode.whole, pair))
        if "boundaries" in chosen:
            check = partial(cuts.check, pair, many_documents)
            yield many(("boundaries", *place), BYTES, check, partial(cuts.contestants, pair))
        for tokens in size.contexts if "stream encode" in chosen else ():
            if tokens > 4_000 and not name.endswith("book"):
                continue  # the far contexts on two long texts alone
            operation = f"stream encode after {tokens:,} tokens"
            check_context = partial(context.check, pair, text, tokens, size.pieces)
            yield once((operation, *place), "push", check_context, partial(context.contestants, pair))
    if "batch" in chosen:
        every = [document for text in long_texts.values() for document in documents(text, size.documents)]
        place = (pair.name, pair.family, "all texts")
        check = partial(encode.check_batch, pair, every)
        yield many(("encode batch", *place), BYTES, check, partial(encode.batches, pair))
        yield many(("decode batch", *place), "token", check, partial(encode.decode_batches, pair))


def rows_of_trio(trio: list[Pair], long_texts: dict[str, str], size: Size, chosen: Sequence[str]) -> Iterator[Row]:
    many = partial(row, rounds=size.rounds, passes=size.passes)
    together = " + ".join(pair.name for pair in trio)
    for name, text in long_texts.items():
        place = (together, "three tokenizers", name)
        if "common boundaries" in chosen:
            check = partial(cuts.check_common, trio, documents(text, size.stream_documents))
            yield many(("common boundaries", *place), BYTES, check, partial(cuts.common, trio))
        if "align" in chosen:
            part = text[:ALIGNED_CHARACTERS]
            yield many(("align", *place), "token", partial(cuts.check_align, trio, part), partial(cuts.align, trio))


def trios(files: dict[str, Path]) -> Iterator[list[str]]:
    known = [list(trio) for trio in TRIOS if set(trio) <= set(files)]
    yield from known or ([list(files)[:3]] if len(files) >= 3 else [])


def progress(what: str) -> None:
    """One line on a terminal that is written over."""
    if sys.stderr.isatty():
        print(f"\r{what:<78.78}\r", end="", file=sys.stderr, flush=True)


def rounded(row: Row) -> dict[str, Any]:
    """The fields for the results file; four digits are more than any of them is worth."""

    def short(value: Any) -> Any:
        return float(f"{value:.4g}") if isinstance(value, float) else value

    return {
        name: {key: short(each) for key, each in value.items()} if isinstance(value, dict) else short(value)
        for name, value in row._asdict().items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benches", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few documents, one round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the machine and the rows as JSON lines")
    parser.add_argument("--tokenizers", nargs="+", metavar="NAME", help="these only")
    parser.add_argument("--texts", nargs="+", metavar="NAME", help="these only")
    parser.add_argument("--operations", nargs="+", metavar="NAME", choices=OPERATIONS, default=OPERATIONS)
    arguments = parser.parse_args()
    value = os.environ.get("COOLFUSION_DATA")
    data = Path(value) if value else None
    size = QUICK if arguments.quick else FULL
    files = tokenizer_files(data, arguments.quick)
    files = {name: path for name, path in files.items() if name in (arguments.tokenizers or files)}
    long_texts = {name: text for name, text in texts(data).items() if name in (arguments.texts or [name])}
    if not files or not long_texts:
        raise SystemExit("no such tokenizer or text, or no tokenizer.json: expected one in each folder")

    where = machine()
    print(", ".join(f"{key} {value}" for key, value in where.items()))
    print(f"texts and tokenizers: {data or 'made here and embedded (COOLFUSION_DATA is not set)'}")
    found: list[Row] = []

    def take(rows: Iterator[Row]) -> None:
        gc.freeze()  # so that a collection in a child does not copy what it inherited
        for each in rows:
            found.append(each)
            progress(f"{each.tokenizer}, {each.text}: {each.operation}")

    for pair in pairs(files):
        take(rows_of(pair, long_texts, size, arguments.operations))
    if {"common boundaries", "align"} & set(arguments.operations):
        for names in trios(files):
            take(rows_of_trio([load(name, files[name]) for name in names], long_texts, size, arguments.operations))
    progress("")
    print("\n".join(lines(found)))
    if arguments.json:
        head = {"machine": where, "quick": arguments.quick}
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        with arguments.json.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(each, ensure_ascii=False) + "\n" for each in [head, *map(rounded, found)])


if __name__ == "__main__":
    main()
