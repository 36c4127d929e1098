"""Measures the embedded models on held-out text: bits per byte, answers and novelty.

    python training/evaluate.py [--models FOLDER] [--documents N] [--samples N]
"""

import argparse
import json
import math
from itertools import islice
from pathlib import Path

import corpus
import settings
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

EMBEDDED = Path(__file__).resolve().parents[1] / "python" / "coolfusion" / "embedded"
WINDOWS = (40, 100)  # characters
# The last row has sums whose pair of numbers never occurs in training.
ROWS = [("story", "heldout"), ("sums", "heldout"), ("puzzle", "heldout"), ("sums", "unseen")]


def held_out(kind, split, count):
    """Return `count` documents of one kind and split, the same at every call."""
    return list(islice(corpus.documents("evaluation", {kind: 1.0}, split), count))


@torch.no_grad()
def bits_per_byte(model, encode, bos_id, documents):
    """Return the mean cost in bits per UTF-8 byte of the documents.

    Args:
        model: causal language model.
        encode: function from text to ids, without special tokens.
        bos_id: id that is put before each document.
        documents: list of `corpus.Document`.
    """
    nats = length = 0.0
    for document in documents:
        ids = torch.tensor([[bos_id, *encode(document.text)]])
        logits = model(ids).logits.float()
        nats += torch.nn.functional.cross_entropy(
            logits[0, :-1], ids[0, 1:], reduction="sum").item()
        length += len(document.text.encode())
    return nats / math.log(2) / length


@torch.no_grad()
def greedy(model, encode, decode, bos_id, eos_id, prompt, limit):
    """Continue a prompt greedily.

    Args:
        model, encode, decode: the model and its text functions, without special tokens.
        bos_id, eos_id: ids that start and end a document.
        prompt: text to continue.
        limit: most new tokens.
    Returns:
        The new text (up to the end token or the limit).
    """
    start = [bos_id, *encode(prompt)]
    ids, new, past = torch.tensor([start]), [], None
    while len(new) < limit and len(start) + len(new) < settings.CONTEXT:
        out = model(ids, past_key_values=past, use_cache=True)
        past, best = out.past_key_values, out.logits[0, -1].argmax().item()
        if best == eos_id:
            break
        new.append(best)
        ids = torch.tensor([[best]])
    return decode(start[1:] + new)[len(prompt):]


def right_answers(continue_text, documents):
    """Return the share of documents whose answer the greedy continuation starts with.

    Args:
        continue_text: function from (prompt, limit in tokens) to the new text.
        documents: list of `corpus.Document`.
    """
    right = 0
    for document in documents:
        # No token is shorter than a byte, so this limit always suffices.
        text = continue_text(document.prompt, len(document.answer.encode()) + 1)
        right += text.startswith(document.answer)
    return right / len(documents)


def training_text(name):
    """Return all the text that one model was trained on (regenerated from its seed)."""
    setting = settings.ZOO[name]
    size, parts = 0, []
    for document in corpus.documents(setting.seed, setting.mix):
        parts.append(document.text)
        size += len(document.text)
        # Every token holds at most 3.5 characters on average, so this is all of it.
        if size > 3.5 * sum(setting.cycles):
            return "\n\n".join(parts)


def new_windows(texts, seen):
    """Return, per window length, the share of windows (10 apart) that do not occur in `seen`."""
    shares = {}
    for length in WINDOWS:
        windows = [text[i:i + length] for text in texts
                   for i in range(0, len(text) - length + 1, 10)]
        shares[length] = round(sum(x not in seen for x in windows) / max(1, len(windows)), 4)
    return shares


def novelty(continue_text, documents, seen):
    """Measure how much of the greedy text is new.

    Args:
        continue_text: see `right_answers`.
        documents: held-out documents; each prompt is the first 30 characters, cut at a space.
        seen: the training text.
    Returns:
        A dict: "generated", shares of new windows in the greedy text; "yardstick", the
        same for the held-out documents themselves; "samples", the first texts.
    """
    prompts = [d.text[:d.text.rindex(" ", 0, 31)] for d in documents]
    texts = [prompt + continue_text(prompt, 250) for prompt in prompts]
    return {"generated": new_windows(texts, seen),
            "yardstick": new_windows([d.text for d in documents], seen),
            "samples": [f"[{p}]{t[len(p):]}" for p, t in zip(prompts, texts, strict=False)][:3]}


def measure(folder, name, documents, samples):
    """Measure one exported model.

    Args:
        folder: folder of the model.
        name: its name in `settings.ZOO`.
        documents: documents per row of the table.
        samples: texts per kind for the novelty check (0: none).
    Returns:
        A dict of results that can be written as JSON.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    bos_id, eos_id = tokenizer.bos_token_id, tokenizer.eos_token_id

    def encode(text):
        return tokenizer.encode(text, add_special_tokens=False)

    def continue_text(prompt, limit):
        return greedy(model, encode, tokenizer.decode, bos_id, eos_id, prompt, limit)

    result = {"name": name, "parameters": sum(p.numel() for p in model.parameters()), "rows": {}}
    for kind, split in ROWS:
        texts = held_out(kind, split, documents)
        result["rows"][f"{kind}/{split}"] = {
            "bits_per_byte": round(bits_per_byte(model, encode, bos_id, texts), 4),
            "right": round(right_answers(continue_text, texts), 4)}
    if samples:
        seen = training_text(name)
        result["novelty"] = {
            kind: novelty(continue_text, held_out(kind, "heldout", samples), seen)
            for kind in corpus.KINDS}
    return result


def table(results):
    """Return the results as a Markdown table (text)."""
    lines = ["| text | measure | " + " | ".join(r["name"] for r in results) + " |",
             "|---|---|" + "---|" * len(results)]
    for row in results[0]["rows"]:
        for measure_name, form in (("bits_per_byte", "{:.3f}"), ("right", "{:.1%}")):
            cells = [form.format(r["rows"][row][measure_name]) for r in results]
            lines.append(f"| {row} | {measure_name} | " + " | ".join(cells) + " |")
    for kind in corpus.KINDS if "novelty" in results[0] else ():
        for length in WINDOWS:
            cells = [f"{r['novelty'][kind]['generated'][length]:.1%} "
                     f"({r['novelty'][kind]['yardstick'][length]:.1%})" for r in results]
            lines.append(f"| {kind} | new windows of {length} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    """Measure all models and print the table; with --json also write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=EMBEDDED, help="folder of the model folders")
    parser.add_argument("--documents", type=int, default=200, help="documents per row")
    parser.add_argument("--samples", type=int, default=20, help="texts per kind for novelty")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file for the results")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    results = [measure(args.models / name, name, args.documents, args.samples)
               for name in settings.ZOO]
    print(table(results))
    for result in results:
        for kind, found in result.get("novelty", {}).items():
            for text in found["samples"]:
                print(f"{result['name']} {kind}: {text!r}")
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
