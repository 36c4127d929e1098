"""One rival over all texts, in a process and perhaps an interpreter of its own: nothing but the library is imported.

    python rival.py NAME tokenizer.json < documents.json > result.json

Reads {text: [document, ...]}, writes {text: {"bytes", "first_ns", "again_ns", "ids"}}, where "ids" holds a digest of
each document's ids; or {"refuses": why}. Each text meets a tokenizer that has encoded nothing yet (a forked process).
"""

import gc
import hashlib
import json
import os
import sys
import traceback
from array import array
from time import process_time_ns

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
AGAIN = 3
WARM = "a"  # loads what is loaded at the first call


def coolfusion(path):
    import coolfusion

    return coolfusion.Tokenizer.from_file(path).encode


def tokenizers(path):
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(path)
    if tokenizers.__version__.startswith("0."):
        tokenizer.encode_special_tokens = True
        return lambda text: tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids
    return lambda text: tokenizer.encode(text, add_special_tokens=False, encode_special_tokens=True).ids


def fastokens(path):
    import fastokens

    tokenizer = fastokens.Tokenizer.from_file(path)
    return lambda text: tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True).ids


def tokie(path):
    import tokie

    tokenizer = tokie.Tokenizer.from_json(path)
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def tiktoken(path):
    """Ranks are the ids of byte-level BPE, which holds where the merges made the vocabulary in its order."""
    import tiktoken

    with open(path, encoding="utf-8") as file:
        definition = json.load(file)
    rule = definition["pre_tokenizer"] or {}
    stages = rule.get("pretokenizers", [rule])
    patterns = [
        stage["pattern"]["Regex"] for stage in stages if stage.get("type") == "Split" and "Regex" in stage["pattern"]
    ]
    if any(stage.get("type") == "ByteLevel" and stage.get("use_regex", True) for stage in stages):
        patterns.append(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
    if len(patterns) != 1 or definition["normalizer"] or definition["model"].get("byte_fallback"):
        raise ValueError("not byte-level BPE after one pattern and no normalizer")
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    alphabet = {chr(byte): byte for byte in shown} | {chr(256 + number): byte for number, byte in enumerate(hidden)}
    ranks = {
        bytes(alphabet[c] for c in piece): rank
        for piece, rank in definition["model"]["vocab"].items()
        if all(c in alphabet for c in piece)
    }
    return tiktoken.Encoding("converted", pat_str=patterns[0], mergeable_ranks=ranks, special_tokens={}).encode_ordinary


def measured(encode, documents):
    encode(WARM)
    gc.disable()
    passes = []
    for _ in range(1 + AGAIN):
        start = process_time_ns()
        found = [encode(document) for document in documents]
        passes.append(process_time_ns() - start)
    return {
        "bytes": sum(len(document.encode()) for document in documents),
        "first_ns": passes[0],
        "again_ns": sorted(passes[1:])[AGAIN // 2],
        "ids": [hashlib.blake2b(array("I", ids).tobytes(), digest_size=8).hexdigest() for ids in found],
    }


def in_child(call):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            answer = call()
        except BaseException as error:  # noqa: BLE001 - a panic in Rust is one, and a row
            answer = {"refuses": traceback.format_exception_only(error)[-1].strip()[:200]}
        with os.fdopen(writer, "w") as pipe:
            json.dump(answer, pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    status = os.waitpid(child, 0)[1]
    return json.loads(text) if text else {"refuses": f"ends with status {status}"}


def main():
    name, path = sys.argv[1:]
    texts = json.load(sys.stdin)
    try:
        encode = {each.__name__: each for each in (coolfusion, tokenizers, fastokens, tokie, tiktoken)}[name](path)
    except BaseException as error:  # noqa: BLE001 - a panic in Rust is one, and a row
        json.dump({"refuses": traceback.format_exception_only(error)[-1].strip()[:200]}, sys.stdout)
        return
    gc.freeze()
    json.dump(
        {text: in_child(lambda documents=documents: measured(encode, documents)) for text, documents in texts.items()},
        sys.stdout,
    )


if __name__ == "__main__":
    main()
