"""Writes the same texts with passes that take as long as chance will have it; prints what was decided, as JSON.

    python tests/wild/same_passes.py SEED THREADS DTYPE ...

`SEED` is that of the delays only; what each dtype decided is printed under its name. A text is written alone, in a list
and by a stream; with all models on one device, with a thread each and with a time limit; with adaptive drafts and with
drafts of three words on one device.
"""

from __future__ import annotations

import json
import random
import sys
import time
import warnings

import torch

from coolfusion.embedded import folders
from coolfusion.fusion import Fusion, Member
from coolfusion.models.transformers.model import HuggingFaceModel

PROMPTS = [
    "Once upon a time",
    "Question: Ann has 9 pens. She buys 8 more. How many pens does Ann have? Answer:",
    "One day, a boy named Tim found a",
]


def twins(members, *, apart=False):
    """The same weights under new runners."""
    found = []
    for number, member in enumerate(members):
        old = member.runner
        runner = HuggingFaceModel(old.module, name=old.name, eos_token_ids=old.eos_token_ids, strategy=old.strategy)
        if apart:
            runner.device = f"device {number}"
        found.append(Member(runner, member.tokenizer, member.prefix_ids))
    return found


def decided(out):
    """Everything that a run decides, and every pass that it makes."""
    return [
        [step.winner, step.text, step.candidates[step.winner].token_ids]
        + [[cost.forward_passes, cost.processed_tokens] for cost in step.members]
        + [[round(score.logprob, 9) for score in row] for row in step.scores]
        for step in out.steps
    ]


def every_run(dtype, seed):
    """What the runs in one dtype decide, by their names."""
    dice = random.Random(seed)
    loaded = Fusion.from_pretrained(folders(), device="cpu", dtype=dtype).members

    def delay(*_):
        if seed:
            time.sleep(dice.choice((0.0, 0.0, 0.001, 0.004)))

    for member in loaded:
        member.model.register_forward_pre_hook(delay)
    found = {}
    for name, options in {"adaptive": {}, "three words": {"drafts": 3}}.items():
        for place in ("one device", "apart", "time limit") if name == "adaptive" else ("one device",):
            limit = {"pass_timeout": 100.0} if place == "time limit" else {}
            fusion = Fusion(twins(loaded, apart=place == "apart"), **options, **limit)
            alone = decided(fusion.generate(PROMPTS[0], 16))
            found[f"{name}, {place}, alone"] = alone
            found[f"{name}, {place}, list"] = [decided(out) for out in fusion.generate(PROMPTS, 16)]
            stream = fusion.stream(PROMPTS[0], 16)
            for _ in stream:
                delay()
            found[f"{name}, {place}, streamed"] = decided(stream.output)
            if decided(fusion.generate(PROMPTS[0], 16)) != alone:
                found[f"{name}, {place}, again"] = "differs"
            if decided(stream.output) != alone:
                found[f"{name}, {place}, stream"] = "differs from the text alone"
    return found


def main(seed, threads, *dtypes):
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(threads))
    print(json.dumps({dtype: every_run(dtype, int(seed)) for dtype in dtypes}))


if __name__ == "__main__":
    main(*sys.argv[1:])
