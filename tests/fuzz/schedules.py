"""The fast schedule against the literal one on models with weights, in float64, until so many segments are equal.

    python tests/fuzz/schedules.py [--segments 10000] [--seed 0]

Trained models (those of the package, and of COOLFUSION_DATA where it is set), random ones of other architectures,
drafts of every length. Prints what was compared and the smallest margin met; the first
difference ends it.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from architectures import build
from coolfusion.embedded import folders
from coolfusion.errors import CoolFusionError
from coolfusion.fusion import Fusion, Member
from coolfusion.models.transformers.model import HuggingFaceModel
from coolfusion.records import Output
from fusion_parts import BOS, literal, same_steps, toy
from model_walks import in_float64

SENTENCE = "once upon a time there was the little girl who said that you can not go to big red dog and mom ran fast"
TOKENIZER_WORDS = (" the", " cat", "ab", " on", " a", "in", "er", " s", "th", "an")
RANDOM = ("llama", "glm4", "mistral, sliding window", "gemma3", "gpt2", "bloom, alibi", "lfm2, hybrid", "mamba2")

# Casts to float32 on the way, also where the weights are float64.
FLOAT32_INSIDE = {"mamba2"}


def trained() -> list[tuple[str, list[Member]]]:
    groups = [("embedded", list(Fusion.from_pretrained(folders(), device="cpu", dtype="float64").members))]
    if "COOLFUSION_DATA" in os.environ:
        models = Path(os.environ["COOLFUSION_DATA"]) / "models"
        names = ("stories260K", "babyllama361-yarn3", "tlm6000")
        loaded = Fusion.from_pretrained([models / name for name in names], device="cpu", dtype="float64")
        groups.append(("outside", list(loaded.members)))
    for _, members in groups:
        for member in members:
            in_float64(member.model)
    return groups


def untrained(dice: random.Random) -> list[Member]:
    """Random models, which hardly ever agree and write any bytes."""
    tokenizers = [toy(*dice.sample(TOKENIZER_WORDS, dice.randrange(2, 8))) for _ in range(3)]
    members = []
    for name, tokenizer in zip(dice.sample(RANDOM, 3), tokenizers, strict=True):
        attention = {"attn_implementation": "eager"} if name in ("bloom, alibi", "mamba2") else {}
        module = build(name, rows=tokenizer.vocab_size, **attention).double()
        in_float64(module)
        members.append(Member(HuggingFaceModel(module, name=name, eos_token_ids=(1,)), tokenizer, (BOS,)))
    return members


def outcome(fusion: Fusion, prompt: str, budget: int) -> tuple[Output, str]:
    """What was written, and the error that ended it: random models may write what some member cannot say."""
    try:
        return fusion.generate(prompt, budget), ""
    except CoolFusionError as err:
        return err.partial, str(err)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    dice = random.Random(options.seed)
    groups = trained()
    done: dict[str, int] = {}
    disagreed, smallest = 0, float("inf")
    while sum(done.values()) < options.segments:
        name, members = dice.choice([*groups, ("random", untrained(dice))])
        drafts = dice.choice([None, 0, 1, 2, 4, 8])
        alignment = dice.choice(["aligned", "shortest"])
        fast, slow = Fusion(members, drafts=drafts, alignment=alignment), literal(members, alignment=alignment)
        for _ in range(4):
            prompt = (
                " ".join(dice.choices(SENTENCE.split(), k=dice.randrange(1, 12))) if name != "random" else "the cat"
            )
            budget = dice.randrange(8, 80)
            ours, our_error = outcome(fast, prompt, budget)
            theirs, their_error = outcome(slow, prompt, budget)
            names = [member.name for member in members]
            print(f"\r{sum(done.values())} segments equal, {names}, drafts {drafts}, {alignment}  ", end="", flush=True)
            assert our_error == their_error, (our_error, their_error)
            same_steps(ours, theirs, tolerance=1e-5 if FLOAT32_INSIDE & set(names) else 1e-9)
            done[name] = done.get(name, 0) + len(ours.steps)
            disagreed += sum(len(step.candidates) > 1 for step in ours.steps)
            smallest = min([smallest, *(step.margin for step in ours.steps)])
        print(f"\r{sum(done.values())} segments equal", end="", flush=True)
    print(
        f"\r{sum(done.values())} segments equal {done}; {disagreed} with several candidates; margin >= {smallest:.2g}"
    )


if __name__ == "__main__":
    main()
