"""Random SentencePiece models: ``python tests/fuzz/sentencepiece_models.py --models 3000 --seed 1``."""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sentencepiece_models import BYTE, difference, drawn, loaded


def main() -> int:
    """Compares as many random models as the command line asks for; prints those that differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=int, default=3000)
    parser.add_argument("--texts", type=int, default=60, help="texts for each model")
    parser.add_argument("--seed", type=int, default=0)
    options, _ = parser.parse_known_args()
    outcomes: Counter[str] = Counter()
    for number in range(options.models):
        dice = random.Random(options.seed * 10**9 + number)
        model = drawn(dice)
        found = loaded(model)
        if found is None:
            outcomes["refused"] += 1
            continue
        failure = difference(model, found, dice, options.texts)
        outcomes["FAILED" if failure else "held"] += 1
        if failure:
            model.pieces = [piece for piece in model.pieces if piece[2] != BYTE]
            print(f"model {number}: {model}\n    {failure}", flush=True)
    print(dict(outcomes))
    return 1 if outcomes["FAILED"] or not outcomes["held"] else 0


if __name__ == "__main__":
    sys.exit(main())
