"""Random definitions, judged and attacked: ``python tests/fuzz/definitions.py --judged 3000 --seed 1``.

Tiny definitions of tests/definitions.py, with every kind of model, decoder and added token, are compared with the
`tokenizers` library: ids, decoded text, decoded streams. Then certificates are attacked.

Tokenizers that are in no test data: the self-made vocabularies of tests/fixtures.py after normalizers, pre-tokenizers
and rules drawn at random. Nobody ships most of them, but what `describe()` claims must hold for whatever loads.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import coolfusion as cf
import fixtures
from definitions import Fault, faults
from definitions import drawn as drawn_small
from fixtures import SELF_MADE, Family
from fuzz.certificates import Report, attack

RULES = (
    *(r".{3}", r"\d{1,3}", r"\p{N}{1,3}|\p{L}+|\s+(?!\S)|\s+", r"[^ ]+ ?", r" ?[^ ]+", r"(?:..)+", r"\s+", r"[,.]"),
    *(r"(?:\w\s?){2}", r"\p{L}+(?=\s)|.", r" +|\n", r"a+b", r"'[st]|\w+", r"(?:[^\n]*\n){1,2}", r"[^\s]\s|\S+"),
    *(r"[A-Z][a-z]+|\d", r"(?i:the)", r"\s\S", r"[一-龥]|\s", fixtures.GPT2_RULE, fixtures.CL100K_RULE),
)
BEHAVIOURS = ("Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous", "Removed")
_MARK = {"type": "Metaspace", "replacement": "▁", "split": True}
PRE_TOKENIZERS: tuple[dict[str, Any], ...] = (
    *({"type": "Digits", "individual_digits": single} for single in (True, False)),
    *({"type": "Punctuation", "behavior": behaviour} for behaviour in ("Isolated", "MergedWithNext")),
    *({"type": name} for name in ("WhitespaceSplit", "Whitespace", "BertPreTokenizer", "UnicodeScripts")),
    *({"type": "CharDelimiterSplit", "delimiter": " "}, {"type": "FixedLength", "length": 3}),
    *(_MARK | {"prepend_scheme": scheme} for scheme in ("always", "first", "never")),
)
_BERT = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None}
NORMALIZERS: tuple[dict[str, Any], ...] = (
    *({"type": name} for name in ("NFC", "NFKC", "NFD", "Lowercase", "StripAccents", "Nmt", "ByteLevel")),
    *({"type": "Strip", "strip_left": left, "strip_right": True} for left in (True, False)),
    *({"type": "Replace", "pattern": {"String": a}, "content": b} for a, b in (("a", "bb"), ("  ", " "), (" ", "▁"))),
    *({"type": "Replace", "pattern": {"Regex": rule}, "content": " "} for rule in (r"\s+", r"\n")),
    *({"type": "Prepend", "prepend": "▁"}, _BERT | {"lowercase": False}),
)
# Of each kind of fault so many definitions are shown.
_SHOWN = 3
BASES = (
    *("gpt2", "bytes_without_rule", "llama2", "multi_word", "gemma", "unigram", "ai21", "t5", "bert", "clip"),
    *("word_level", "quick_tour", "starcoder"),
)


def _stages(part: dict[str, Any] | None, key: str) -> list[dict[str, Any]]:
    return part.get(key, [part]) if part else []


def drawn(dice: random.Random) -> dict[str, Any]:
    """A self-made definition with other stages before, after or instead of its own."""
    definition = copy.deepcopy(SELF_MADE[f"made_{dice.choice(BASES)}"]())
    normalizers = dice.choices(NORMALIZERS, k=dice.choice((0, 0, 1, 1, 2)))
    if dice.random() < 0.6:
        normalizers += _stages(definition["normalizer"], "normalizers")
    own = [
        stage
        for stage in _stages(definition["pre_tokenizer"], "pretokenizers")
        if stage["type"] in ("ByteLevel", "Metaspace") or dice.random() < 0.2
    ]
    for stage in own:
        if stage["type"] == "ByteLevel" and dice.random() < 0.5:
            stage["use_regex"] = False
    split = {"type": "Split", "pattern": {"Regex": dice.choice(RULES)}, "behavior": dice.choice(BEHAVIOURS)}
    others = [split | {"invert": dice.random() < 0.3}, copy.deepcopy(dice.choice(PRE_TOKENIZERS))]
    others = dice.sample(others, dice.choice((0, 1, 1, 2)))
    pre_tokenizers = others + own if dice.random() < 0.8 else own + others
    definition["normalizer"] = {"type": "Sequence", "normalizers": normalizers} if normalizers else None
    definition["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": pre_tokenizers} if pre_tokenizers else None
    return definition


def attacked(definition: dict[str, Any], path: Path, cuts: int, seed: int, seconds: float) -> Report | None:
    """What an attack on ``definition``, written to ``path``, finds; None where it is refused."""
    family = Family(path.stem)
    family.path = path
    path.write_text(json.dumps(definition), encoding="utf-8")
    try:
        # A family that is not of the session's list is judged by our own whole encoding, not by the library.
        report = attack(family, cuts, seed, seconds)
    except cf.TokenizerError:
        return None
    # A rule that never finds anything settles nothing, and claims nothing that could be wrong.
    report.failures = [failure for failure in report.failures if not failure.startswith("no settled cut")]
    return report


def kind(definition: dict[str, Any], fault: Fault) -> str:
    """What a fault is an instance of, as far as the definition tells."""
    model, decoder = definition["model"], definition["decoder"] or {}
    vocab = model["vocab"]
    ids = {piece: n for n, (piece, _) in enumerate(vocab)} if isinstance(vocab, list) else vocab
    stages = _stages(definition["decoder"], "decoders")
    names = [stage["type"] for stage in stages]
    moved = any(ids.get(token["content"], token["id"]) != token["id"] for token in definition["added_tokens"])
    if fault.kind == "ids":
        if moved:
            return "ids: an added token that the model has under another id"
        return "ids: a piece with a space beside one with the mark" if " " in ids and "▁" in ids else "ids: others"
    if not decoder:
        return f"{fault.kind}: no decoder"
    if "CTC" in names or any(stage.get("cleanup") for stage in stages):
        return f"{fault.kind}: CTC or clean-up"
    if "_" in (stage.get("replacement") or stage.get("pattern", {}).get("String") for stage in stages):
        return f"{fault.kind}: another mark than U+2581"
    for name in ("BPEDecoder", "WordPiece", "ByteFallback"):
        if name in names:
            return f"{fault.kind}: {name}"
    return f"{fault.kind}: other decoders"


def judged(count: int, seed: int, folder: Path) -> Counter[str]:
    """What a comparison of ``count`` tiny definitions with the library finds; prints the first fault of each."""
    outcomes: Counter[str] = Counter()
    for number in range(count):
        dice = random.Random(f"{seed} {number}")
        definition = drawn_small(dice)
        found = faults(definition, folder / f"small {number}.json", dice)
        if isinstance(found, str):
            outcomes[found] += 1
        elif found:
            what = kind(definition, found[0])
            outcomes[f"FAILED {what}"] += 1
            if outcomes[f"FAILED {what}"] <= _SHOWN:
                print(f"{what}\n    {json.dumps(definition, ensure_ascii=False)}\n    {found[0].words}", flush=True)
        else:
            outcomes["equal"] += 1
    return outcomes


def main() -> int:
    """Attacks as many random definitions as the command line asks for; prints those whose claim is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--definitions", type=int, default=300)
    parser.add_argument("--judged", type=int, default=3000, help="tiny definitions to compare with the library")
    parser.add_argument("--cuts", type=int, default=1500, help="settled cuts for each definition")
    parser.add_argument("--seconds", type=float, default=5.0, help="at most this long for each definition")
    parser.add_argument("--seed", type=int, default=0)
    options, _ = parser.parse_known_args()
    dice = random.Random(options.seed)
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        compared = judged(options.judged, options.seed, Path(folder))
    for outcome, times in sorted(compared.items()):
        print(f"{times:6} {outcome}")
    wrong = any(outcome.startswith("FAILED") for outcome in compared) or (options.judged and not compared["equal"])
    with tempfile.TemporaryDirectory() as folder:
        for count in range(options.definitions):
            definition = drawn(dice)
            path = Path(folder) / f"drawn {count}.json"
            report = attacked(definition, path, options.cuts, options.seed, options.seconds)
            if report is None:
                outcomes["refused"] += 1
                continue
            outcomes["FAILED" if report.failures else "held"] += 1
            for failure in report.failures:
                stages = {key: definition[key] for key in ("normalizer", "pre_tokenizer")}
                print(
                    f"{definition['model']['type']} {json.dumps(stages)}\n    {report.certificate}\n    {failure}",
                    flush=True,
                )
    print(dict(outcomes))
    return 1 if wrong or outcomes["FAILED"] or (options.definitions and not outcomes["held"]) else 0


if __name__ == "__main__":
    sys.exit(main())
