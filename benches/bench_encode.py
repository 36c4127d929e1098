"""Whole-text encode: coolfusion beside the `tokenizers` library, documents of 1,000 characters, two passes.

    COOLFUSION_DATA=... python benches/bench_encode.py [tokenizer ...]

The texts: an English and a Japanese book, the Universal Declaration of Human Rights in 77 languages, Python source and
GSM8K. Every document's ids are compared before anything is timed; a difference ends the run. Both sides are loaded anew
for each text, so that the first pass sees words that neither side has seen; ours goes first in every other repetition.
Figures are MB/s of UTF-8, one thread, the median of the repetitions; the ratio is that of the same repetition.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one thread for both sides; read when the library is imported

import tokenizers

import coolfusion as cf

NAMES = ("t5_small", "xlnet_base_cased", "ai21_j2", "bert_base_cased")
DOCUMENT = 1000  # characters
DOCUMENTS = 300

Encode = Callable[[str], list[int]]


def documents(text: str, count: int = DOCUMENTS) -> list[str]:
    """The first ``count`` documents of ``text``."""
    return [text[at : at + DOCUMENT] for at in range(0, min(len(text), count * DOCUMENT), DOCUMENT)]


def texts(folder: Path) -> dict[str, list[str]]:
    """The documents of each text."""
    books = folder / "books"
    rights = sorted((folder / "udhr").glob("*.txt"))
    library = Path(inspect.getfile(json)).parents[1]
    source = "".join(path.read_text(encoding="utf-8") for path in sorted(library.glob("[a-m]*.py")))
    problems = (folder / "gsm8k" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    return {
        "English book": documents((books / "pride_and_prejudice.txt").read_text(encoding="utf-8")),
        "Japanese book": documents((books / "wagahai.txt").read_text(encoding="utf-8")),
        "UDHR": [document for path in rights for document in documents(path.read_text(encoding="utf-8"), 8)],
        "Python source": documents(source),
        "GSM8K": documents("\n".join(json.loads(line)["question"] for line in problems)),
    }


def load(path: Path) -> tuple[Encode, Encode]:
    """(ours, theirs), neither of which has seen any text."""
    library = tokenizers.Tokenizer.from_file(str(path))
    library.encode_special_tokens = True
    return cf.Tokenizer.from_file(path).encode, lambda text: library.encode(text, add_special_tokens=False).ids


def rate(encode: Encode, batch: list[str]) -> float:
    """MB/s."""
    start = perf_counter_ns()
    for document in batch:
        encode(document)
    return sum(len(document.encode()) for document in batch) / (perf_counter_ns() - start) * 1000


def main() -> None:
    """Prints a line for each tokenizer and text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    data = os.environ.get("COOLFUSION_DATA")
    if not data:
        sys.exit("COOLFUSION_DATA is not set: expected a folder that holds tokenizers/ and text/")
    head = ("ours, 1st", "2nd", "theirs, 1st", "2nd", "ratio, 1st", "2nd")
    print(f"{'tokenizer':18}{'text':15}" + "".join(f"{column:>13}" for column in head))
    for name in arguments.names:
        path = Path(data) / "tokenizers" / name / "tokenizer.json"
        for text, batch in texts(Path(data) / "text").items():
            ours, theirs = load(path)
            wrong = [document for document in batch if ours(document) != theirs(document)]
            if wrong:
                sys.exit(f"{name}, {text}: the ids of {len(wrong)} documents differ, the first is {wrong[0]!r}")
            rows = []
            for turn in range(arguments.repeat):
                ours, theirs = load(path)
                order = ((0, ours), (1, theirs)) if turn % 2 else ((1, theirs), (0, ours))
                row = [0.0] * 4
                for side, encode in order:
                    row[2 * side], row[2 * side + 1] = rate(encode, batch), rate(encode, batch)
                rows.append((*row, row[0] / row[2], row[1] / row[3]))
            medians = (statistics.median(column) for column in zip(*rows, strict=True))
            print(f"{name:18}{text:15}" + "".join(f"{figure:13.1f}" for figure in medians), flush=True)


if __name__ == "__main__":
    main()
