"""Word problems in the format of GSM8K: the fused answer beside each model's own.

    python examples/gsm8k.py examples/gsm8k_sample.jsonl

Each line holds a "question" and an "answer" that ends with "#### " and the number.
"""

import json
import re
import sys
from pathlib import Path

from coolfusion import Fusion, Output
from coolfusion.embedded import folders

MODELS = folders()
SAMPLE = Path(__file__).with_name("gsm8k_sample.jsonl")


def number_of(answer: str) -> str | None:
    """Returns the last number of an answer, without commas."""
    found = re.findall(r"-?\d[\d,]*(?:\.\d+)?", answer)
    return found[-1].replace(",", "") if found else None


def share_right(outputs: list[Output], right: list[str]) -> float:
    """Returns the share of outputs whose last number is the right one."""
    return sum(number_of(output.text) == each for output, each in zip(outputs, right, strict=True)) / len(right)


def main(path: Path) -> None:
    """Prints the share of right answers of the fusion and of each member alone."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    right = [line["answer"].rpartition("####")[2].strip().replace(",", "") for line in lines]
    prompts = [f"Question: {line['question']} Answer:" for line in lines]
    fusion = Fusion.from_pretrained(MODELS, device="cpu", max_concurrent_requests=16)
    together = fusion.generate(prompts, max_new_tokens=32, stop_strings=["Question:", "\n"], on_failure="continue")
    print(f"{'fused':12} {share_right(together, right):.0%} of {len(lines)}")
    for member in fusion.members:
        alone = Fusion([member]).generate(prompts, max_new_tokens=32, stop_strings=["Question:", "\n"])
        print(f"{member.name:12} {share_right(alone, right):.0%}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLE)
