"""Random definitions, certificates attacked: ``python tests/fuzz/definitions.py --definitions 300 --seed 1``.

Tokenizers that are in no test data: the self-made vocabularies of tests/fixtures.py behind normalizers, pre-tokenizers
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
BASES = (
    *("gpt2", "bytes_without_rule", "llama2", "multi_word", "gemma", "unigram", "ai21", "t5", "bert", "clip"),
    *("word_level", "starcoder"),
)


def _stages(part: dict[str, Any] | None, key: str) -> list[dict[str, Any]]:
    return part.get(key, [part]) if part else []


def drawn(dice: random.Random) -> dict[str, Any]:
    """A self-made definition with other stages before, behind or instead of its own."""
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


def main() -> int:
    """Attacks as many random definitions as the command line asks for; prints those whose claim is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--definitions", type=int, default=300)
    parser.add_argument("--cuts", type=int, default=1500, help="settled cuts for each definition")
    parser.add_argument("--seconds", type=float, default=5.0, help="at most this long for each definition")
    parser.add_argument("--seed", type=int, default=0)
    options, _ = parser.parse_known_args()
    dice = random.Random(options.seed)
    outcomes: Counter[str] = Counter()
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
    return 1 if outcomes["FAILED"] or not outcomes["held"] else 0


if __name__ == "__main__":
    sys.exit(main())
