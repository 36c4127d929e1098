"""The tokenizers, each loaded by both sides, and the other side's calls."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one thread for both sides; `batches` says otherwise for itself

import tokenizers

import coolfusion as cf
from benches.texts import BEFORE_SPACE

ROOT = Path(__file__).parents[1]
# Of tests/fixtures.py, where COOLFUSION_DATA is not set: one of each family.
MADE = ("gpt2", "llama3", "qwen", "deepseek", "llama2", "mistral", "gemma", "t5", "ai21", "bert")
GPT2_RULE = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


class Pair(NamedTuple):
    """A tokenizer, loaded by both sides."""

    name: str
    family: str
    ours: cf.Tokenizer
    theirs: tokenizers.Tokenizer
    # The text of its file.
    json: str
    # Whether word_ids tell words apart (they are all 0 without a pre-token rule).
    by_words: bool
    # The split patterns in their order, where the rule is made of regular expressions alone.
    patterns: list[str]
    # The bytes of each id, made once for all processes.
    table: list[bytes]


def load(name: str, path: Path) -> Pair:
    theirs = tokenizers.Tokenizer.from_file(str(path))
    theirs.encode_special_tokens = True  # text that looks like a control token is text, as it is for us
    theirs.no_truncation()
    theirs.no_padding()
    by_words = len(set(theirs.encode("a b", add_special_tokens=False).word_ids)) > 1
    ours = cf.Tokenizer.from_file(path)
    rule = json.loads(path.read_bytes())["pre_tokenizer"]
    return Pair(
        name,
        ours.describe()["family"],
        ours,
        theirs,
        path.read_text("utf-8"),
        by_words,
        patterns(rule),
        byte_table(ours),
    )


def byte_table(ours: cf.Tokenizer) -> list[bytes]:
    """The bytes of each id; none for ids that no token has."""
    unused = set(ours.unused_ids)
    return [b"" if token_id in unused else ours.token_bytes(token_id) for token_id in range(ours.vocab_size)]


def patterns(rule: dict[str, Any] | None) -> list[str]:
    """The regular expressions of a pre-token rule; empty where it has another stage too."""
    found = []
    for stage in (rule or {}).get("pretokenizers", [rule] if rule else []):
        if stage["type"] == "Split" and "Regex" in stage["pattern"] and stage["behavior"] == "Isolated":
            found.append(stage["pattern"]["Regex"])
        elif stage["type"] == "ByteLevel":
            found += [GPT2_RULE] if stage.get("use_regex", True) else []
        else:
            return []
    return found


def tokenizer_files(data: Path | None, quick: bool) -> dict[str, Path]:
    """Name -> tokenizer.json: the real ones, or the embedded ones and those that the tests make."""
    if data is not None:
        return {path.parent.name: path for path in sorted((data / "tokenizers").glob("*/*tokenizer.json"))}
    embedded = Path(str(cf.__file__)).parent / "embedded"
    found = {path.parent.name: path for path in sorted(embedded.glob("*/tokenizer.json"))}
    if not quick:
        sys.path.insert(0, str(ROOT / "tests"))
        import fixtures

        found |= {f"made_{name}": fixtures.family(f"made_{name}").path for name in MADE}
    return found


def pairs(files: dict[str, Path]) -> Iterator[Pair]:
    for name, path in files.items():
        yield load(name, path)


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


def same(ours: Sequence[Any], theirs: Sequence[Any], what: str, pair: Pair, document: str) -> None:
    """Ends the run where two answers differ."""
    if ours != theirs:
        at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), "the end")
        raise SystemExit(f"{pair.name}: {what} differ at {at} in {document[:80]!r}...: nothing is timed")
