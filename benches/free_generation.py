"""Free generation: what a model that took no part thinks of the texts, how often they repeat, how often members agree.

    python -m benches.free_generation MODEL ... --judge MODEL --prompts FILE [--n 100] [--budget 64] [--rule NAME ...]

Each member writes alone, and the pool by each rule. Prompts are the first words of paragraphs of a text. For each
writer the table shows

- bits per byte of the continuations under the judge, given the prompt. Lower is likelier; loops and stock phrases are
  likely too, so it is read together with the next column.
- repetition: the share of runs of four words that stand twice in one continuation.
- agreement: the share of steps in which all members proposed the same segment.
- the difference of bits per byte to the best member, with a 95 % bootstrap over prompts.
"""

from __future__ import annotations

import argparse
import math
import random
import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from coolfusion.evaluation.likelihood import score_texts
from coolfusion.evaluation.statistics import paired_bootstrap
from coolfusion.fusion import Fusion
from coolfusion.records import Output

WORDS_OF_A_PROMPT = 8


def prompts_of(path: Path, n: int, seed: int) -> list[str]:
    """The beginnings of `n` paragraphs that are drawn from a text."""
    paragraphs = [each.strip() for each in re.split(r"\n\s*\n|\n", path.read_text(encoding="utf-8"))]
    long = [each for each in paragraphs if len(each.split()) > 3 * WORDS_OF_A_PROMPT]
    random.Random(seed).shuffle(long)
    return [" ".join(each.split()[:WORDS_OF_A_PROMPT]) for each in long[:n]]


def repetition(text: str) -> float:
    """The share of runs of four words that stand earlier in the text too."""
    words = text.split()
    runs = [tuple(words[at : at + 4]) for at in range(len(words) - 3)]
    return 1.0 - len(set(runs)) / len(runs) if runs else 0.0


def agreement(outputs: Sequence[Output]) -> float:
    """The share of steps with one candidate."""
    steps = [step for output in outputs for step in output.steps]
    return sum(len(step.candidates) == 1 for step in steps) / max(1, len(steps))


def judged(judge: Fusion, prompts: Sequence[str], outputs: Sequence[Output]) -> list[float]:
    """Bits per byte of each continuation under the judge; nan where nothing was written."""
    written = [at for at, output in enumerate(outputs) if output.text]
    found = score_texts(judge, [(prompts[at], outputs[at].text) for at in written])
    values = {at: -each.logprob / math.log(2.0) / each.n_bytes for at, each in zip(written, found, strict=True)}
    return [values.get(at, math.nan) for at in range(len(outputs))]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("models", nargs="+", help="model directories or hub names")
    parser.add_argument("--judge", required=True, help="a model that takes no part")
    parser.add_argument("--prompts", required=True, type=Path, help="a text; prompts are beginnings of its paragraphs")
    parser.add_argument("--n", type=int, default=100, help="how many prompts")
    parser.add_argument("--budget", type=int, default=64, help="tokens of each member")
    parser.add_argument("--seed", type=int, default=1, help="of the draw of prompts")
    parser.add_argument("--rule", action="append", help="a rule; may be repeated")
    arguments = parser.parse_args()
    rules = arguments.rule or ["paper", "confident"]
    prompts = prompts_of(arguments.prompts, arguments.n, arguments.seed)
    options = {"device": "cpu", "dtype": "float32", "threads": 1}
    judge = Fusion.from_pretrained([arguments.judge], **options)
    writers = {Path(name).name: Fusion.from_pretrained([name], **options) for name in arguments.models}
    for rule in rules:
        writers[f"fused: {rule}"] = Fusion.from_pretrained(arguments.models, rule=rule, **options)
    texts = {name: fusion.generate(prompts, arguments.budget) for name, fusion in writers.items()}
    bits = {name: judged(judge, prompts, outputs) for name, outputs in texts.items()}
    known = [at for at in range(len(prompts)) if not any(math.isnan(values[at]) for values in bits.values())]
    means = {name: sum(values[at] for at in known) / len(known) for name, values in bits.items()}
    best = min(list(writers)[: len(arguments.models)], key=means.__getitem__)
    table = Table(title=f"{len(known)} prompts, {arguments.budget} tokens, judge {Path(arguments.judge).name}")
    for column in ("writer", "bits per byte", f"less than {best}", "repetition", "agreement"):
        table.add_column(column)
    for name, outputs in texts.items():
        gain = paired_bootstrap([bits[name][at] for at in known], [bits[best][at] for at in known], [1.0] * len(known))
        shown = f"{gain.difference:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
        repeated = sum(repetition(output.text) for output in outputs) / len(outputs)
        agreed = f"{agreement(outputs):.2f}" if name.startswith("fused") else ""
        table.add_row(name, f"{means[name]:.3f}", shown, f"{repeated:.3f}", agreed)
    Console().print(table)


if __name__ == "__main__":
    main()
