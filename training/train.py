"""Trains the embedded models from their seeds and exports them.

    python training/train.py                  # all three, from scratch
    python training/train.py --keep-tokenizers                # the same batches as published
    python training/train.py --model ash --stop-at 2000000    # the first part only
    python training/train.py --model ash --resume             # the rest of it

Text, first weights and order depend on the seeds alone, never on time: stopping
and resuming gives the same batches as one long run.
"""

import argparse
import json
import math
import os
import random
import time
from pathlib import Path

import corpus
import evaluate
import numpy as np
import settings
import tokenizers_zoo
import torch
from tokenizers import Tokenizer
from transformers.utils import logging as transformers_logging

HERE = Path(__file__).resolve().parent
BATCH = 4  # rows of CONTEXT tokens
WARMUP = 100  # steps
LAST_RATE = 0.02  # share of the highest rate at the end of a cycle
NEXT_RATE = 0.6  # highest rate of a cycle as a share of that of the cycle before
STEP_TOKENS = BATCH * settings.CONTEXT


def packed_rows(setting, tokenizer, context, count):
    """Pack the training text of one model into rows.

    Each row starts with the start of a document; the document at its end is cut.

    Args:
        setting: `settings.Settings`.
        tokenizer: the model's `Tokenizer`.
        context: length of a row, in tokens.
        count: number of rows.
    Returns:
        An int16 array of shape (count, context).
    """
    rng = random.Random(setting.seed)
    bos, eos = tokenizer.token_to_id(setting.bos), tokenizer.token_to_id(setting.eos)
    between = [eos] if bos == eos else [eos, bos]
    stream = corpus.documents(setting.seed, setting.mix)
    rows = np.zeros((count, context), dtype=np.int16)
    pending = []
    for row in rows:
        # Now and then without the first token, so that prompts without it work too.
        ids = [bos] if rng.random() < 0.75 else []
        while len(ids) < context:
            if not pending:
                texts = [next(stream).text for _ in range(1000)]
                encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
                pending = [e.ids for e in reversed(encoded)]
            ids += pending.pop() + between
        row[:] = ids[:context]
    return rows


def learning_rate(setting, step):
    """Return the rate at a step: per cycle a linear warm-up, then half a cosine."""
    highest = setting.rate
    lengths = [tokens // STEP_TOKENS for tokens in setting.cycles]
    while step >= lengths[0]:
        step -= lengths.pop(0)
        highest *= NEXT_RATE
    if step < WARMUP:
        return highest * (step + 1) / WARMUP
    done = (step - WARMUP) / (lengths[0] - WARMUP)
    return highest * (LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * done)))


def optimizer_for(model, rate):
    """Return AdamW that decays matrices but neither norms nor biases."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    return torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1},
                              {"params": others, "weight_decay": 0.0}],
                             lr=rate, betas=(0.9, 0.98))


def quick_check(model, tokenizer, bos_id):
    """Return held-out bits per byte per kind on a few documents (a dict)."""
    model.eval()

    def encode(text):
        return tokenizer.encode(text, add_special_tokens=False).ids

    scores = {kind: round(evaluate.bits_per_byte(
        model, encode, bos_id, evaluate.held_out(kind, "heldout", 30)), 4) for kind in corpus.KINDS}
    model.train()
    return scores


def export(model, folder):
    """Save a float16 copy of the model and say how far float32 logits move.

    Args:
        model: the trained model, float32.
        folder: model folder that already holds the tokenizer.
    Returns:
        The largest change of a logit over a fixed row of ids.
    """
    spare = folder.parent / f".{folder.name}.new"
    ids = (torch.arange(64)[None] * 37) % settings.VOCAB
    half = type(model)(model.config)
    half.load_state_dict(model.state_dict())
    half.half().save_pretrained(spare)
    back = type(model).from_pretrained(spare, dtype=torch.float32).eval()
    model.eval()
    with torch.no_grad():
        moved = (back(ids).logits - model(ids).logits).abs().max().item()
    model.train()
    for path in sorted(spare.iterdir()):  # a reader never sees half a file
        path.chmod(0o644)
        os.replace(path, folder / path.name)
    spare.rmdir()
    return moved


def train(name, args):
    """Train one model (or a part of its schedule), log, checkpoint and export it.

    Args:
        name: a key of `settings.ZOO`.
        args: the parsed command line.
    """
    setting = settings.ZOO[name]
    folder = args.output / name
    saved = args.checkpoints / f"{name}.pt"
    log_path = args.logs / f"{name}.jsonl"
    for path in (folder, args.checkpoints, args.logs):
        path.mkdir(parents=True, exist_ok=True)
    if (args.resume or args.keep_tokenizers) and (folder / "tokenizer.json").exists():
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    else:
        tokenizer = tokenizers_zoo.build(folder, setting.family, settings.VOCAB, setting.seed,
                                         setting.mix, setting.bos, setting.eos, settings.CONTEXT)
    bos_id, eos_id = tokenizer.token_to_id(setting.bos), tokenizer.token_to_id(setting.eos)
    model = settings.new_model(name, bos_id, eos_id)
    optimizer = optimizer_for(model, setting.rate)
    step, seconds = 0, 0.0
    if args.resume and saved.exists():
        state = torch.load(saved, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, seconds = state["step"], state["seconds"]
    steps = sum(tokens // STEP_TOKENS for tokens in setting.cycles)
    stop = min(steps, args.stop_at // STEP_TOKENS) if args.stop_at else steps
    rows = packed_rows(setting, tokenizer, settings.CONTEXT, stop * BATCH)

    with open(log_path, "a" if step else "w", encoding="utf-8") as log:
        def note(**entry):
            log.write(json.dumps(entry) + "\n")
            log.flush()

        note(event="resume" if step else "start", model=name, step=step, steps=steps,
             seed=setting.seed, cycles=setting.cycles, rate=setting.rate, mix=setting.mix,
             parameters=sum(p.numel() for p in model.parameters()), torch=torch.__version__)
        began, losses = time.monotonic() - seconds, []
        while step < stop:
            batch = torch.from_numpy(rows[step * BATCH:(step + 1) * BATCH].astype(np.int64))
            rate = learning_rate(setting, step)
            for group in optimizer.param_groups:
                group["lr"] = rate
            logits = model(batch, use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(
                logits[:, :-1].reshape(-1, settings.VOCAB), batch[:, 1:].reshape(-1))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
            losses.append(loss.item())
            if step % args.every == 0 or step == stop:
                seconds = time.monotonic() - began
                note(step=step, tokens=step * STEP_TOKENS, seconds=round(seconds),
                     loss=round(sum(losses) / len(losses), 4), rate=round(rate, 6),
                     heldout_bits_per_byte=quick_check(model, tokenizer, bos_id))
                losses = []
                spare = saved.with_suffix(".new")
                torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(),
                            "step": step, "seconds": seconds}, spare)
                os.replace(spare, saved)
        note(event="export", step=step, finished=step == steps,
             logits_moved=round(export(model, folder), 5))


def main():
    """Read the command line and train the chosen models one after the other."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", choices=list(settings.ZOO),
                        help="train this model (may be repeated; default: all)")
    parser.add_argument("--output", type=Path, default=evaluate.EMBEDDED)
    parser.add_argument("--checkpoints", type=Path, default=HERE / "checkpoints")
    parser.add_argument("--logs", type=Path, default=HERE / "logs")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    parser.add_argument("--keep-tokenizers", action="store_true",
                        help="use the tokenizers in the output folder instead of new ones")
    parser.add_argument("--stop-at", type=int, help="stop (and export) at this many tokens")
    parser.add_argument("--every", type=int, default=250, help="steps between checks")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    transformers_logging.disable_progress_bar()
    for name in args.model or settings.ZOO:
        train(name, args)


if __name__ == "__main__":
    main()
