"""The fused loop: passes per token, time on one device and on several, its own share, growth with context and members.

    python -m benches.loop [--quick] [--json FILE]

Equality comes first: every run must write the text that the literal loop writes. Passes and tokens are exact. Oracles
(`oracle.py`) give any agreement; with passes that sleep 8, 3.8 and 9 ms, each on a device of its own, they show what
three models of 8, 3.8 and 9 billion parameters would take on three devices. The embedded models, and the small real
ones of COOLFUSION_DATA where it is set, are run on one thread of this machine beside `generate` of transformers.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import coolfusion as cf
from benches.machine import machine
from benches.oracle import trio
from coolfusion.embedded import folders
from coolfusion.fusion import Fusion, Member
from coolfusion.models import ForgetfulModel
from coolfusion.records import Output

PROMPT = "once upon a time"
WORDS = (
    "there was a little girl who lived in a village near the forest one day her mother asked her to take some bread "
    "and butter to her grandmother because she was ill and could not come to see them herself she walked along the "
    "path and picked flowers and sang songs until she met a wolf who asked her where she was going"
)
AGREEMENTS = (1.0, 0.9, 0.8, 0.6, 0.3)
SECONDS = ((8e-3, 5e-5), (3.8e-3, 5e-5), (9e-3, 5e-5))
PROMPTS = (
    "Once upon a time",
    "Question: Tom has 23 apples. He gives away 9. How many apples are left? Answer:",
    "There once was a shy girl. Her name was",
    "One day, a boy named Tim found a",
)


class Run(NamedTuple):
    """One line of the results."""

    part: str
    what: str
    settings: dict[str, Any]
    figures: dict[str, Any]


def tokenizers() -> list[Any]:
    """LLaMA-3, Phi-3 and GLM-4 where they are, else the embedded ones; then others."""
    if "COOLFUSION_DATA" in os.environ:
        base = Path(os.environ["COOLFUSION_DATA"]) / "tokenizers"
        names = ("llama3", "phi3_mini", "glm4", "qwen2_5", "gemma2")
        return [cf.Tokenizer.from_file(base / name / "tokenizer.json") for name in names]
    return [cf.Tokenizer.from_pretrained(folder) for folder in folders()]


def passes(out: Output) -> list[float]:
    """Sequential passes per committed token of each member, the prompt's apart."""
    return [round((held.forward_passes - 1) / held.committed_tokens, 3) for held in out.members]


def read(out: Output) -> list[float]:
    """Tokens read per committed token of each member, the prompt's apart."""
    return [round((held.processed_tokens - len(held.prompt_ids)) / held.committed_tokens, 3) for held in out.members]


def with_oracles(toks: Sequence[Any], words: int) -> Iterator[Run]:
    """Passes, and the time that models of unequal size would take, at every agreement."""
    text = f"{PROMPT} " + " ".join([WORDS] * (words // 40 + 1))
    for agreement in AGREEMENTS:
        expected = written(toks, text, agreement, words, drafts=0, forgets=True)[0]
        assert text.startswith(PROMPT + expected.text), expected.text
        agreed = sum(len(step.candidates) == 1 for step in expected.steps) / len(expected.steps)
        assert abs(agreed - agreement) < 1e-9, agreed
        variants: dict[str, dict[str, Any]] = {
            "literal": {"drafts": 0, "forgets": True},
            "no drafts": {"drafts": 0},
            "drafts of 3": {"drafts": 3},
            "adaptive": {"drafts": None},
        }
        for name, options in variants.items():
            figures: dict[str, Any] = {}
            for place, apart in (("one device", False), ("a device each", True)):
                out, took = written(toks, text, agreement, words, seconds=SECONDS, apart=apart, **options)
                assert out.text == expected.text, (name, place)
                alone = [held.committed_tokens * cost for held, (cost, _) in zip(out.members, SECONDS, strict=True)]
                figures[place] = {
                    "passes": passes(out),
                    "read": read(out),
                    "to the slowest generate": round(took / max(alone), 3),
                    "to all generates": round(took / sum(alone), 3),
                }
            yield Run("oracles", name, {"agreement": agreement}, figures)


def literal(members: Sequence[Member]) -> Fusion:
    """The paper's loop as it is written."""
    twins = [Member(ForgetfulModel(each.runner), each.tokenizer, each.prefix_ids, each.name) for each in members]
    return Fusion(twins, rule="paper", drafts=0)


def written(
    toks: Sequence[Any],
    text: str,
    agreement: float,
    words: int,
    *,
    drafts: int | None,
    forgets: bool = False,
    **how: Any,
) -> tuple[Output, float]:
    """So many words of three oracles, and the seconds they took."""
    members = trio(toks[:3], text, agreement, begin=len(PROMPT), **how)
    fusion = literal(members) if forgets else Fusion(members, rule="paper", drafts=drafts)
    generation = fusion.stream(PROMPT, 8 * words)
    began = time.perf_counter()
    for _ in range(words):
        next(generation)
    return generation.output, time.perf_counter() - began


def own_time(toks: Sequence[Any], words: int) -> Iterator[Run]:
    """What a word costs beside the models: answers are looked up, passes take no time."""
    for count, context in [(k, 100) for k in range(2, len(toks) + 1)] + [
        (3, n) for n in (1000, 4000, 8000) if len(toks) >= 3
    ]:
        text = f"{PROMPT} " + " ".join([WORDS] * (context // 40 + words // 40 + 2))
        cut = len(toks[0].decode(toks[0].encode(text)[:context]))
        cut = text.index(" ", cut)
        members = trio(toks[:count], text, 0.8)
        fusion = Fusion(members, rule="paper", drafts=0)
        times, walls = [], []
        for _ in range(4):  # the first fills the oracles' answers
            generation = fusion.stream(text[:cut], 4 * words)
            next(generation)
            began, computing = time.perf_counter(), time.process_time()
            for _ in range(words):
                next(generation)
            times.append((time.process_time() - computing) / words)
            walls.append((time.perf_counter() - began) / words)
        yield Run(
            "own time",
            "ms per word",
            {"members": count, "context": context},
            {
                "ms of the processor": round(statistics.median(times[1:]) * 1e3, 4),
                "ms on the clock": round(statistics.median(walls[1:]) * 1e3, 4),
            },
        )


def small_models(names: Sequence[Path], label: str, budget: int, rounds: int) -> Iterator[Run]:
    """Wall time on one device beside `generate` of each member, the literal loop, and an ensemble without cache."""
    import torch

    torch.set_num_threads(1)
    fusion = Fusion.from_pretrained(names, device="cpu", dtype="float32", rule="paper")
    without = Fusion(fusion.members, rule="paper", drafts=0)
    plain = literal(fusion.members)
    expected = [plain.generate(prompt, budget) for prompt in PROMPTS]
    contestants: dict[str, Callable[[str], Output]] = {
        "adaptive": lambda prompt: fusion.generate(prompt, budget),
        "no drafts": lambda prompt: without.generate(prompt, budget),
        "literal": lambda prompt: plain.generate(prompt, budget),
    }
    times: dict[str, list[float]] = {
        name: [] for name in (*contestants, "slowest generate", "all generates", "in step")
    }
    times["whole re-encoding, no cache"] = []
    counts: dict[str, Any] = {}
    for _ in range(rounds):
        for name, write in contestants.items():
            began = time.perf_counter()
            outs = [write(prompt) for prompt in PROMPTS]
            times[name].append(time.perf_counter() - began)
            assert [out.text for out in outs] == [out.text for out in expected], name
            counts[name] = [passes(out) for out in outs]
        began = time.perf_counter()
        outs = fusion.generate(list(PROMPTS), budget)
        times["in step"].append(time.perf_counter() - began)
        assert [out.text for out in outs] == [out.text for out in expected]
        alone = [
            sum(
                generate(member, prompt, len(out.members[j].token_ids))
                for prompt, out in zip(PROMPTS, expected, strict=True)
            )
            for j, member in enumerate(fusion.members)
        ]
        times["slowest generate"].append(max(alone))
        times["all generates"].append(sum(alone))
    times["whole re-encoding, no cache"].append(
        sum(no_cache(fusion, prompt, out) for prompt, out in zip(PROMPTS, expected, strict=True))
    )
    medians = {name: statistics.median(each) for name, each in times.items()}
    words = sum(len(out.steps) for out in expected)
    agreed = sum(len(step.candidates) == 1 for out in expected for step in out.steps) / words
    figures = {
        "agreement": round(agreed, 3),
        "words": words,
        "ms per word": {name: round(each / words * 1e3, 3) for name, each in medians.items()},
        "to the slowest generate": {
            name: round(each / medians["slowest generate"], 3) for name, each in medians.items()
        },
        "passes of the last run": counts,
    }
    yield Run("small models", label, {"models": [member.name for member in fusion.members], "budget": budget}, figures)


def generate(member: Member, prompt: str, count: int) -> float:
    """Seconds that `generate` of transformers takes for so many tokens."""
    import torch

    ids = torch.tensor([member.prompt_ids(prompt)])
    began = time.perf_counter()
    member.model.generate(
        ids, attention_mask=torch.ones_like(ids), min_new_tokens=count, max_new_tokens=count, do_sample=False
    )
    return time.perf_counter() - began


def no_cache(fusion: Fusion, prompt: str, out: Output) -> float:
    """Seconds of an ensemble that encodes and reads everything again for each token and each candidate."""
    import torch

    began = time.perf_counter()
    text = prompt
    for step in out.steps:
        for number, member in enumerate(fusion.members):
            before = [*member.prefix_ids, *member.tokenizer.encode(text)]
            own = next((c.token_ids[number] for c in step.candidates if number in c.members), ())
            with torch.inference_mode():
                for n in range(len(own) + 1):
                    member.model(torch.tensor([[*before, *own[:n]]]), use_cache=False, logits_to_keep=1)
                for candidate in step.candidates:
                    everything = [*member.prefix_ids, *member.tokenizer.encode(text + candidate.text)]
                    member.model(torch.tensor([everything]), use_cache=False)
        text += step.text
    return time.perf_counter() - began


def beginning(text: str, toks: Sequence[Any], context: int) -> str:
    """Of about so many tokens of the first tokenizer, after which all go on as in the whole text."""
    ids = [tokenizer.encode(text) for tokenizer in toks]
    at = len(toks[0].decode(ids[0][:context]))
    while True:
        at = text.index(" ", at + 1)
        parts = [tokenizer.encode(text[:at]) for tokenizer in toks]
        if all(whole[: len(part)] == part for whole, part in zip(ids, parts, strict=True)):
            return text[:at]


def small_llamas(toks: Sequence[Any]) -> list[Member]:
    """One for each tokenizer, with random weights and 16K positions."""
    import torch
    import transformers

    from coolfusion.models.transformers.model import HuggingFaceModel

    torch.set_num_threads(1)
    found = []
    for number, tokenizer in enumerate(toks):
        torch.manual_seed(number)
        config = transformers.LlamaConfig(
            vocab_size=tokenizer.vocab_size,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=16384,
            pad_token_id=0,
            bos_token_id=0,
            eos_token_id=[],
        )
        module = transformers.AutoModelForCausalLM.from_config(config)
        found.append(Member(HuggingFaceModel(module, name=f"llama {number}", eos_token_ids=()), tokenizer))
    return found


def growth(toks: Sequence[Any], words: int) -> Iterator[Run]:
    """The whole loop on small LLaMAs with random weights, by context and by members, beside their own `generate`."""
    from benches.gpu_loop import pushed

    everyone = small_llamas(toks)
    sizes = [(3, context) for context in (100, 1000, 4000, 8000)] + [(k, 1000) for k in range(2, len(toks) + 1)]
    for count, context in sizes:
        members = everyone[:count]
        text = f"{PROMPT} " + " ".join([WORDS] * (context // 40 + words // 40 + 3))
        prompt = beginning(text, toks[:count], context)
        with pushed(members, text, 1.0):
            fusion = Fusion(members, rule="paper", drafts=0)
            generation = fusion.stream(prompt, 8 * words)
            next(generation)
            began = time.perf_counter()
            for _ in range(words):
                next(generation)
            took = (time.perf_counter() - began) / words
            generation.close()
            # The difference of two lengths leaves out the reading of the prompt.
            alone = [(generate(m, prompt, words + 4) - generate(m, prompt, 4)) / words for m in members]
        agreed = sum(len(step.candidates) == 1 for step in generation.output.steps) / (words + 1)
        figures = {
            "agreement": round(agreed, 3),
            "ms per word": round(took * 1e3, 2),
            "generate of all, ms per token": round(sum(alone) * 1e3, 2),
            "passes": passes(generation.output),
        }
        yield Run("growth", "no drafts", {"members": count, "context": context}, figures)


def memory(names: Sequence[Path]) -> Iterator[Run]:
    """Bytes of keys and values after a text, and what a tree of candidates adds."""
    fusion = Fusion.from_pretrained(names, device="cpu", dtype="float32", rule="paper")
    for member in fusion.members:
        runner = member.runner
        if runner.describe()["strategy"] != "tree":
            continue
        context = runner.new_context()
        ids = member.prompt_ids(PROMPTS[1])
        runner.prefill([(context, ids)])
        cache = runner.runner.cache
        held = [each for layer in cache.layers.layers for each in (layer.keys, layer.values)]
        per_slot = sum(each.numel() * each.element_size() for each in held) / cache.n_slots
        slots = context.n_slots
        runner.forward([(context, [(5, 6, 7), (8, 9, 10), (5, 9)])])
        figures = {
            "bytes per token": per_slot,
            "bytes of 7 nodes": (context.n_slots - slots) * per_slot,
            "bytes of 3 copies of the text": 3 * len(ids) * per_slot,
        }
        context.close()
        yield Run("memory", member.name, {"context": len(ids)}, figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--json", type=Path, help="also write the results there, a line each")
    options = parser.parse_args()
    toks = tokenizers()
    runs: list[Run] = []
    groups = [("embedded", folders())]
    if "COOLFUSION_DATA" in os.environ:
        base = Path(os.environ["COOLFUSION_DATA"]) / "models"
        groups.append(("outside", [base / name for name in ("stories260K", "babyllama361-yarn3", "tlm6000")]))
    parts = [with_oracles(toks, 60 if options.quick else 210), own_time(toks, 40 if options.quick else 150)]
    parts += [
        small_models(names, label, 24 if options.quick else 60, 1 if options.quick else 5) for label, names in groups
    ]
    parts += [growth(toks, 12 if options.quick else 40)]
    parts += [memory(names) for _, names in groups]
    print(machine())
    for part in parts:
        for run in part:
            runs.append(run)
            print(f"{run.part}: {run.what} {run.settings}")
            for name, value in run.figures.items():
                print(f"    {name}: {value}")
    if options.json:
        options.json.write_text("".join(json.dumps(run._asdict()) + "\n" for run in runs), encoding="utf-8")


if __name__ == "__main__":
    main()
