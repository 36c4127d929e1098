"""Tokenizer overhead: coolfusion beside the `tokenizers` library's own calls, on the same texts, in one run.

    python benches/bench_tokenizers.py [--quick] [--json FILE]

Before anything is timed, every document's answers are compared (ids, decoded text, streams with wholes, boundaries);
a difference ends the run. What the library's own stream gets wrong is counted and not timed. Each repetition takes
documents that neither side has seen, ours and theirs take turns to go first, and the ratio is the median of the
repetitions' ratios: theirs / ours in time, so below 1.0 means that we are slower.

The texts and tokenizers are those of COOLFUSION_DATA where it is set, else the three embedded tokenizers and texts that
are made here. One thread. Figures move from machine to machine; compare rows of one run.
"""

from __future__ import annotations

import argparse
import argparse as stdlib_1
import inspect as stdlib_2
import itertools
import json
import os
import platform
import random
import re
import statistics
import sys
import tarfile as stdlib_3
import typing as stdlib_4
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Any, NamedTuple

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one thread for both sides; read when the library is imported

import tokenizers
from tokenizers.decoders import DecodeStream

import coolfusion as cf

ROOT = Path(__file__).parents[1]
DOCUMENT = 1000  # characters
WARM = 4  # pieces that are pushed into a stream before the clock starts
NAMES = ("gpt2", "llama3", "qwen2_5", "o200k", "llama2", "gemma2", "deepseek_v3", "t5_small")
# The Unicode property White_Space.
SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
BEFORE_SPACE = re.compile(f"(?<=[^{SPACE}])(?=[{SPACE}])")
# What is pushed into a stream at once: a word with the white space before it, or a part of a long one.
PIECE = re.compile(rf"[{SPACE}]*[^{SPACE}]{{1,12}}")


class Pair(NamedTuple):
    """A tokenizer, loaded by both sides."""

    name: str
    ours: cf.Tokenizer
    theirs: tokenizers.Tokenizer
    # Whether word_ids tell words apart (they are all 0 without a pre-token rule).
    by_words: bool


class Turn(NamedTuple):
    """One repetition: the same work for both sides, `amount` units of it; `theirs` is None where they have no call."""

    ours: Callable[[], object]
    theirs: Callable[[], object] | None
    amount: float
    # Run before ours, untimed.
    prepare: Callable[[], object] = lambda: None


class Work(NamedTuple):
    """What an operation asks to be timed, after it compared the answers."""

    turns: list[Turn]
    checked: int
    # Documents whose answer from the library is not the whole's, or holds boundaries that later text can move.
    differing: int = 0


class Row(NamedTuple):
    """One line of the table; `ours` and `theirs` in `unit`, `ratio` = their time / our time."""

    operation: str
    tokenizer: str
    text: str
    unit: str
    ours: float | None
    theirs: float | None
    ratio: float | None
    checked: int
    differing: int


class Size(NamedTuple):
    """How much is done."""

    turns: int
    documents: int
    contexts: tuple[int, ...]
    pieces: int


FULL = Size(turns=7, documents=3, contexts=(100, 1000, 4000), pieces=8)
QUICK = Size(turns=3, documents=2, contexts=(100, 1000), pieces=4)


# Texts.


def generated(kind: str, length: int) -> str:
    """Sentences of few words in many scripts from a fixed seed: nothing that anyone wrote."""
    words = {
        "English": "the a quick brown fox jumps over lazy dog it's never been 42 late, again and we don't know why",
        "German": "der schnelle Fuchs springt über den müden Hund, weil Größe nicht alles ist",
        "Russian": "быстрая лиса прыгает через ленивую собаку и не знает зачем",
        "Greek": "η γρήγορη αλεπού πηδά πάνω από το τεμπέλικο σκυλί",
        "Arabic": "الثعلب السريع يقفز فوق الكلب الكسول ولا يعرف لماذا",
        "Hindi": "तेज़ लोमड़ी आलसी कुत्ते के ऊपर कूदती है और सोचती है",
        "Korean": "빠른 여우가 게으른 개를 뛰어넘고 이유를 모른다",
        "Thai": "สุนัขจิ้งจอก กระโดด ข้าม สุนัข ขี้เกียจ",
        "Emoji": "🦊 👩‍🚀 🇯🇵 👍🏽 ok",
        "Japanese": "速い 狐が のろまな 犬を 飛び越える。 今日は とても 寒い、 と 思った",
        "Chinese": "敏捷的 狐狸 跳过 懒惰的 狗。 今天 天气 很好， 我们 去 公园",
    }
    chosen = {"English": ["English"], "spaceless": ["Japanese", "Chinese"], "many scripts": list(words)}[kind]
    dice = random.Random(20261123)
    parts, size = [], 0
    while size < length:
        language = dice.choice(chosen)
        glue = "" if language in ("Japanese", "Chinese") else " "
        sentence = glue.join(dice.choices(words[language].split(" "), k=dice.randint(4, 14)))
        parts.append(sentence + dice.choice([".", ".", "!", ",", ".\n\n"]) + glue)
        size += len(parts[-1])
    return "".join(parts)


def python_source() -> str:
    """Modules of the standard library, which are there wherever this runs."""
    modules = (stdlib_1, stdlib_2, stdlib_3, stdlib_4)
    return "".join(Path(str(module.__file__)).read_text(encoding="utf-8") for module in modules)


def texts(data: Path | None) -> dict[str, str]:
    """Name -> a long text."""
    if data is None:
        kinds = ("English", "spaceless", "many scripts")
        return {f"made: {kind}": generated(kind, 120_000) for kind in kinds} | {"Python source": python_source()}
    folder = data / "text"

    def read(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    lines = [line for path in sorted((folder / "udhr").glob("*.txt")) for line in path.read_text("utf-8").splitlines()]
    random.Random(0).shuffle(lines)
    problems = map(json.loads, read("gsm8k/train.jsonl").splitlines())
    return {
        "English book": read("books/pride_and_prejudice.txt")[20_000:],
        "Japanese book": read("books/wagahai.txt")[5_000:],
        "UDHR mix": "\n".join(lines),
        "Python source": python_source(),
        "GSM8K": "\n".join(f"{each['question']}\n{each['answer']}" for each in problems),
    }


def batches(text: str, size: Size) -> list[list[str]]:
    """`turns` lists of `documents` documents each, none twice."""
    count = size.turns * size.documents
    documents = [text[i * DOCUMENT : (i + 1) * DOCUMENT] for i in range(count)]
    assert len(documents[-1]) == DOCUMENT, "the text is too short"
    return [documents[i :: size.turns] for i in range(size.turns)]


# Their calls.


def their_ids(theirs: tokenizers.Tokenizer, text: str) -> list[int]:
    """The fastest call that gives ids: without offsets."""
    ids: list[int] = theirs.encode_batch_fast([text], add_special_tokens=False)[0].ids
    return ids


def their_boundaries(pair: Pair, text: str) -> list[int]:
    """Cuts before white space, as the paper finds them: by word_ids, or by offsets where these do not tell."""
    encoding = pair.theirs.encode(text, add_special_tokens=False)
    if not pair.by_words:
        ends = {end for _, end in encoding.offsets}
    else:
        words = encoding.word_ids
        ends = {end for (_, end), word, after in zip(encoding.offsets, words, words[1:], strict=False) if word != after}
    return [hit.start() for hit in BEFORE_SPACE.finditer(text) if hit.start() in ends]


def their_stream(theirs: tokenizers.Tokenizer, ids: Sequence[int]) -> str:
    stream = DecodeStream(skip_special_tokens=True)
    return "".join(filter(None, [stream.step(theirs, token_id) for token_id in ids]))


def our_stream(ours: cf.Tokenizer, ids: Sequence[int]) -> str:
    decoder = cf.StreamDecoder(ours)
    return "".join([decoder.push(token_id) for token_id in ids]) + decoder.flush()


def our_segments(ours: cf.Tokenizer, others: Sequence[cf.Tokenizer], ids: Sequence[int]) -> list[cf.Segment]:
    segmenter = cf.Segmenter(ours, align_with=others)
    segments = [segmenter.push(token_id) for token_id in ids]
    return [*filter(None, segments), *iter(segmenter.finish, None)]


# Operations: compare all answers with `check`, an instance of its own, so that no cache knows what `timed` will see.


def encode(check: Pair, timed: Pair, batches: list[list[str]]) -> Work:
    documents = [document for batch in batches for document in batch]
    for document in documents:
        same(check.ours.encode(document), their_ids(check.theirs, document), "ids", check, document)

    def turn(batch: list[str]) -> Turn:
        return Turn(
            lambda: [timed.ours.encode(document) for document in batch],
            lambda: [their_ids(timed.theirs, document) for document in batch],
            size_in_bytes(batch),
        )

    return Work([turn(batch) for batch in batches], len(documents))


def decode(check: Pair, timed: Pair, batches: list[list[str]]) -> Work:
    checked = differing = 0
    turns = []
    for batch in batches:
        kept = []
        for document in batch:
            ids = check.ours.encode(document)
            text, library = check.ours.decode(ids), check.theirs.decode(ids, skip_special_tokens=True)
            if check.ours.represents(document):
                same(text, document, "decoded text", check, document)
                same(library, document, "decoded text of the library", check, document)
            elif text != library:
                differing += 1
                continue
            checked += 1
            kept.append(ids)
        if kept:
            turns.append(decode_turn(timed, kept))
    return Work(turns, checked, differing)


def decode_turn(timed: Pair, kept: list[list[int]]) -> Turn:
    return Turn(
        lambda: [timed.ours.decode(ids) for ids in kept],
        lambda: [timed.theirs.decode(ids, skip_special_tokens=True) for ids in kept],
        sum(map(len, kept)),
    )


def decode_stream(check: Pair, timed: Pair, batches: list[list[str]]) -> Work:
    checked = differing = 0
    turns = []
    for batch in batches:
        kept = []
        for document in batch:
            ids = check.ours.encode(document)
            text = our_stream(check.ours, ids)
            same(text, check.ours.decode(ids), "text of the stream", check, document)
            checked += 1
            if library_streams(check.theirs, ids, text):
                kept.append(ids)
            else:
                differing += 1
        if kept:
            turns.append(stream_turn(timed, kept))
    return Work(turns, checked, differing)


def library_streams(theirs: tokenizers.Tokenizer, ids: Sequence[int], text: str) -> bool:
    """Whether DecodeStream gives `text`: it fails on some runs of byte tokens ("Invalid prefix")."""
    stream = DecodeStream(skip_special_tokens=True)
    parts = []
    for token_id in ids:
        try:
            parts.append(stream.step(theirs, token_id) or "")
        except Exception as error:
            if type(error) is not Exception:  # the class that the library raises; any other is ours to see
                raise
            return False
    return "".join(parts) == text


def stream_turn(timed: Pair, kept: list[list[int]]) -> Turn:
    return Turn(
        lambda: [our_stream(timed.ours, ids) for ids in kept],
        lambda: [their_stream(timed.theirs, ids) for ids in kept],
        sum(map(len, kept)),
    )


def boundaries(check: Pair, timed: Pair, batches: list[list[str]]) -> Work:
    documents = [document for batch in batches for document in batch]
    differing = 0
    for document in documents:
        found, library = check.ours.word_boundaries(document), their_boundaries(check, document)
        settled = set(check.ours.settled_cuts(document))
        # Beside text that the tokenizer loses (T5: last spaces, U+200C) their offsets end too early to find a cut.
        compared = found if check.ours.represents(document) else [cut for cut in found if cut in library]
        same(compared, [cut for cut in library if cut in settled], "boundaries", check, document)
        differing += found != library

    def turn(batch: list[str]) -> Turn:
        return Turn(
            lambda: [timed.ours.word_boundaries(document) for document in batch],
            lambda: [their_boundaries(timed, document) for document in batch],
            size_in_bytes(batch),
        )

    return Work([turn(batch) for batch in batches], len(documents), differing)


def encode_stream(check: Pair, timed: Pair, text: str, context: int, size: Size) -> Work:
    """`pieces` pushes behind a context of `context` tokens, beside encoding all text so far each time.

    The first pieces are not timed: the other side has just filled the processor's caches with the whole context, and a
    fork holds no spare room, so its first push copies it.
    """
    edge = prefix_of(check.ours, text, context)
    if edge is None:
        return Work([], 0)
    start = text[:edge]
    pieces = (hit.group() for hit in PIECE.finditer(text, edge))
    encoder, checker = cf.StreamEncoder(timed.ours), cf.StreamEncoder(check.ours)
    encoder.push(start)
    checker.push(start)
    turns, checked = [], 0
    for _ in range(size.turns):
        pushed = list(itertools.islice(pieces, WARM + size.pieces))
        wholes = [start + "".join(pushed[: i + 1]) for i in range(len(pushed))]
        branch = checker.fork()
        for piece, whole in zip(pushed, wholes, strict=True):
            branch.push(piece)
            same(branch.ids, their_ids(check.theirs, whole), "ids of the stream", check, whole)
            checked += 1
        turns.append(push_turn(timed, encoder.fork(), pushed, wholes[WARM:]))
    return Work(turns, checked)


def prefix_of(ours: cf.Tokenizer, text: str, tokens: int) -> int | None:
    """Length of the shortest prefix of whole pieces with so many tokens; None where it would be far longer (T5)."""
    ends = [hit.end() for hit in PIECE.finditer(text[: 8 * tokens])]
    number = bisect_left(ends, tokens, key=lambda end: len(ours.encode(text[:end])))
    return ends[number] if number < len(ends) else None


def push_turn(timed: Pair, encoder: cf.StreamEncoder, pushed: list[str], wholes: list[str]) -> Turn:
    return Turn(
        lambda: [encoder.push(piece) for piece in pushed[WARM:]],
        lambda: [their_ids(timed.theirs, whole) for whole in wholes],
        len(wholes),
        lambda: [encoder.push(piece) for piece in pushed[:WARM]],
    )


def segments(check: Pair, timed: Pair, batches: list[list[str]], others: list[cf.Tokenizer]) -> Work:
    controls = set(check.ours.control_ids)
    turns = []
    for document in (batch[0] for batch in batches):
        ids = check.ours.encode(document)
        if controls.intersection(ids):
            continue  # an unknown token is no text: a model that writes it has ended
        found = our_segments(check.ours, others, ids)
        same([i for segment in found for i in segment.token_ids], ids, "ids of the segments", check, document)
        text = "".join(segment.text for segment in found)
        same(text, check.ours.decode(ids), "text of the segments", check, document)
        turns.append(segment_turn(timed, others, ids))
    return Work(turns, len(turns))


def segment_turn(timed: Pair, others: list[cf.Tokenizer], ids: list[int]) -> Turn:
    return Turn(lambda: our_segments(timed.ours, others, ids), None, len(ids))


def same(ours: Any, theirs: Any, what: str, pair: Pair, document: str) -> None:
    """Ends the run where two answers differ."""
    if ours != theirs:
        at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), "the end")
        raise SystemExit(f"{pair.name}: {what} differ at {at} in {document[:80]!r}...: nothing is timed")


def size_in_bytes(batch: Sequence[str]) -> int:
    return sum(len(document.encode()) for document in batch)


# The table.


def elapsed(call: Callable[[], object]) -> int:
    start = perf_counter_ns()
    call()
    return perf_counter_ns() - start


def row(operation: str, pair: Pair, text: str, unit: str, work: Work) -> Row:
    """Times the turns: ours first in every other one."""
    ours, theirs, ratios = [], [], []
    for number, turn in enumerate(work.turns):
        if turn.theirs is None:
            ours.append(elapsed(turn.ours) / turn.amount)
            continue
        second = elapsed(turn.theirs) if number % 2 == 0 else 0
        turn.prepare()
        first = elapsed(turn.ours)
        second = second or elapsed(turn.theirs)
        ours.append(first / turn.amount)
        theirs.append(second / turn.amount)
        ratios.append(second / first)

    def shown(nanoseconds: list[float]) -> float | None:
        if not nanoseconds:
            return None
        median = statistics.median(nanoseconds)
        return {"MB/s": 1e3 / median, "us/push": median / 1e3}.get(unit, median)

    return Row(
        operation,
        pair.name,
        text,
        unit,
        shown(ours),
        shown(theirs),
        statistics.median(ratios) if ratios else None,
        work.checked,
        work.differing,
    )


def rows(pairs: Callable[[], Iterator[tuple[Pair, Pair]]], long_texts: dict[str, str], size: Size) -> Iterator[Row]:
    """All rows of all tokenizers; at most two tokenizers are held at a time."""
    previous: Pair | None = None
    for check, timed in pairs():
        for name, text in long_texts.items():
            each = batches(text, size)
            yield row("encode whole", timed, name, "MB/s", encode(check, timed, each))
            yield row("decode whole", timed, name, "ns/token", decode(check, timed, each))
            yield row("decode stream", timed, name, "ns/token", decode_stream(check, timed, each))
            yield row("word boundaries", timed, name, "MB/s", boundaries(check, timed, each))
            for context in size.contexts:
                work = encode_stream(check, timed, text, context, size)
                yield row(f"encode stream behind {context} tokens", timed, name, "us/push", work)
            yield row("segments, shortest", timed, name, "ns/token", segments(check, timed, each, []))
            if previous is not None:
                work = segments(check, timed, each, [previous.ours])
                yield row(f"segments, aligned with {previous.name}", timed, name, "ns/token", work)
        previous = timed


def load(name: str, path: Path) -> Pair:
    theirs = tokenizers.Tokenizer.from_file(str(path))
    theirs.encode_special_tokens = True  # text that looks like a control token is text, as it is for us
    theirs.no_truncation()
    theirs.no_padding()
    by_words = len(set(theirs.encode("a b", add_special_tokens=False).word_ids)) > 1
    return Pair(name, cf.Tokenizer.from_file(path), theirs, by_words)


def tokenizer_files(data: Path | None) -> dict[str, Path]:
    if data is None:
        return {path.parent.name: path for path in sorted(embedded().glob("*/tokenizer.json"))}
    return {name: data / "tokenizers" / name / "tokenizer.json" for name in NAMES}


def embedded() -> Path:
    return Path(str(cf.__file__)).parent / "embedded"


def machine() -> dict[str, object]:
    """Where and on what this runs."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        model = next((hit[1] for hit in re.finditer(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.M)), "")
    return {
        "cores": os.cpu_count(),
        "cpu": model or platform.machine(),
        "python": platform.python_version(),
        "coolfusion": cf.__version__,
        "tokenizers": tokenizers.__version__,
        "commit": commit(),
    }


def commit() -> str:
    """The commit that is checked out, read from .git; changes on top of it are not seen."""
    git = ROOT / ".git"
    if git.is_file():  # a worktree: "gitdir: ..."
        git = ROOT / git.read_text().split(": ", 1)[1].strip()
    if not (git / "HEAD").is_file():
        return "unknown"
    head = (git / "HEAD").read_text().strip()
    if not head.startswith("ref: "):
        return head[:12]
    common = git / (git / "commondir").read_text().strip() if (git / "commondir").is_file() else git
    reference = common / head.removeprefix("ref: ")
    if reference.is_file():
        return reference.read_text().strip()[:12]
    packed = common / "packed-refs"
    lines = packed.read_text().splitlines() if packed.is_file() else []
    return next((line[:12] for line in lines if line.endswith(" " + head.removeprefix("ref: "))), "unknown")


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def print_table(found: Sequence[Row]) -> None:
    """One block for each operation, then what is slower than the library."""
    kinds = sorted({each.operation.partition(" with ")[0] for each in found}, key=[*map(kind, found)].index)
    for operation in kinds:
        block = [each for each in found if kind(each) == operation]
        print(f"\n{operation} ({block[0].unit})")
        print(f"  {'tokenizer':<12} {'text':<20} {'ours':>8} {'theirs':>8} {'ratio':>7}  checked")
        for each in block:
            note = f", {each.differing} differ in the library" if each.differing else ""
            note += "" if each.checked else ", not timed: the text is full of unknown tokens"
            partner = f", with {each.operation.partition(' with ')[2]}" if " with " in each.operation else ""
            ratio = "-" if each.ratio is None else f"{each.ratio:.1f}x" if each.ratio >= 1 else f"{each.ratio:.2f}x"
            print(
                f"  {each.tokenizer:<12} {each.text:<20} {number(each.ours):>8} {number(each.theirs):>8} {ratio:>7}"
                f"  {each.checked}{note}{partner}"
            )
    print("\nmedian ratio, lowest ratio (their time / our time; below 1 we are slower)")
    for operation in kinds:
        block = [each for each in found if kind(each) == operation and each.ratio is not None]
        if block:
            ratios = [each.ratio or 0.0 for each in block]
            low = block[ratios.index(min(ratios))]
            slower = sum(ratio < 1 for ratio in ratios)
            where = f"({low.tokenizer}, {low.text}); slower in {slower} of {len(block)} rows"
            print(f"  {operation:<34} {statistics.median(ratios):>7.1f}x {min(ratios):>7.2f}x {where}")


def progress(what: str) -> None:
    """One line on a terminal that is written over."""
    if sys.stderr.isatty():
        print(f"\r{what:<78.78}\r", end="", file=sys.stderr, flush=True)


def kind(each: Row) -> str:
    return each.operation.partition(" with ")[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="embedded tokenizers and few documents, below 30 seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the machine and the rows as JSON lines")
    arguments = parser.parse_args()
    value = os.environ.get("COOLFUSION_DATA")
    data = Path(value) if value and not arguments.quick else None
    size = QUICK if arguments.quick else FULL
    files = tokenizer_files(data)
    if not files:
        raise SystemExit(f"no tokenizer.json below {embedded()}: expected one in each folder")

    def pairs() -> Iterator[tuple[Pair, Pair]]:
        for name, path in files.items():
            yield load(name, path), load(name, path)

    where = machine()
    print(", ".join(f"{key} {value}" for key, value in where.items()))
    print(f"texts and tokenizers: {data or 'made here and embedded (COOLFUSION_DATA is not set, or --quick)'}")
    found = []
    for each in rows(pairs, texts(data), size):
        found.append(each)
        progress(f"{each.tokenizer}, {each.text}: {each.operation}")
    progress("")
    print_table(found)
    if arguments.json:
        lines = [{"machine": where}, *(each._asdict() for each in found)]
        arguments.json.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
