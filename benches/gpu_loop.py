"""Models of one to nine billion parameters with random weights on a GPU: fused ms per word against `generate`.

    python -m benches.gpu_loop [--scale 1b|8b] [--words 100] [--compile] [--json FILE]

Three architectures as LLaMA-3, Phi-3 and GLM-4 are built, in bfloat16. Random weights write nothing that agrees, so the
logits are pushed towards a text (`Push`), with as many differences as are asked for; what a pass costs does not change.
With `--compile` all is measured a second time after `torch.compile` with dynamic shapes; what that took, and whether
it pays, stands in the lines. Without a GPU the script says so and runs models a thousand times smaller on the CPU: that
shows that it works and nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from benches.loop import PROMPT, WORDS, beginning, passes, tokenizers
from benches.machine import machine
from coolfusion.fusion import Fusion, Member
from coolfusion.models.transformers.model import HuggingFaceModel

STRENGTH = 40.0
OTHER_WORDS = (" people", " water", " never")
# hidden, intermediate, layers, heads, key-value heads
SCALES = {
    "8b": ((4096, 14336, 32, 32, 8), (3072, 8192, 32, 32, 32), (4096, 13696, 40, 32, 2)),
    "1b": ((2048, 8192, 16, 32, 8), (2048, 5632, 16, 32, 32), (2048, 6848, 20, 32, 2)),
    "tiny": ((64, 128, 2, 4, 2), (64, 128, 2, 4, 4), (64, 128, 2, 4, 2)),
}


class Push:
    """A hook that adds to the logits of the token that a text has at each position, or of another one.

    It looks at positions alone, so that it costs no look-up of texts and no transfer: a tree is pushed as a line is.
    """

    def __init__(self, ids: list[int], other: dict[int, int], device: torch.device) -> None:
        wanted = torch.tensor([*ids[1:], ids[0]], device=device)  # (T,): what stands after each position
        for at, token_id in other.items():
            wanted[at] = token_id
        self._wanted = wanted

    def __call__(self, module: Any, arguments: Any, options: dict[str, Any], out: Any) -> None:
        tokens = arguments[0] if arguments else options["input_ids"]
        positions = options.get("position_ids")
        if positions is None:
            past = next((options[name] for name in ("cache", "past_key_values") if options.get(name) is not None), None)
            before = past.get_seq_length() - tokens.shape[1] if past is not None else 0
            positions = before + torch.arange(tokens.shape[1], device=tokens.device)[None].expand_as(tokens)
        last = positions[:, -out.logits.shape[1] :].clamp(max=len(self._wanted) - 1)
        out.logits.scatter_add_(2, self._wanted[last][..., None], torch.full_like(out.logits[..., :1], STRENGTH))


def members_of(scale: str, device: str) -> list[Member]:
    """The three models, each with a runner and the tokenizer of its family."""
    classes = (transformers.LlamaConfig, transformers.Phi3Config, transformers.Glm4Config)
    found = []
    for number, (make, sizes, tokenizer) in enumerate(zip(classes, SCALES[scale], tokenizers(), strict=False)):
        hidden, inner, layers, heads, groups = sizes
        config = make(
            vocab_size=tokenizer.vocab_size,
            hidden_size=hidden,
            intermediate_size=inner,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=groups,
            head_dim=hidden // heads,
            max_position_embeddings=16384,
            pad_token_id=0,
            bos_token_id=0,
            eos_token_id=[],
        )
        torch.manual_seed(number)
        torch.set_default_dtype(torch.bfloat16)
        with torch.device(device):
            module = transformers.AutoModelForCausalLM.from_config(config)
        torch.set_default_dtype(torch.float32)
        found.append(Member(HuggingFaceModel(module.eval(), name=config.model_type, eos_token_ids=()), tokenizer))
    return found


@contextlib.contextmanager
def pushed(members: Sequence[Member], text: str, agreement: float) -> Iterator[None]:
    """The members want `text`, but for this share of their tokens."""
    dice = random.Random(0)
    hooks = []
    for number, member in enumerate(members):
        ids = member.tokenizer.encode(text)
        word = member.tokenizer.encode(OTHER_WORDS[number % len(OTHER_WORDS)])[-1]
        differ = {at: word for at in range(8, len(ids)) if dice.random() > agreement}
        push = Push(ids, differ, member.runner.place)
        hooks.append(member.model.register_forward_hook(push, with_kwargs=True))
    yield
    for hook in hooks:
        hook.remove()


def synchronized() -> float:
    """Now, when everything asked for is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def generate_seconds(member: Member, prompt: str, count: int) -> float:
    """What `generate` of transformers takes for so many tokens."""
    ids = torch.tensor([member.tokenizer.encode(prompt)], device=member.runner.device)
    began = synchronized()
    member.model.generate(
        ids, attention_mask=torch.ones_like(ids), min_new_tokens=count, max_new_tokens=count, do_sample=False
    )
    return synchronized() - began


def measured(members: Sequence[Member], prompt: str, words: int) -> Iterator[dict[str, Any]]:
    """Fused, with and without drafts, beside `generate` of each; first passes are not counted."""
    for member in members:
        generate_seconds(member, prompt, 4)
    per_token = [
        statistics.median(generate_seconds(member, prompt, words) for _ in range(3)) / words for member in members
    ]
    for name, drafts in (("no drafts", 0), ("adaptive", None)):
        fusion = Fusion(members, rule="paper", drafts=drafts)
        fusion.generate(prompt, 16)
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        times = []
        for _ in range(3):
            began = synchronized()
            out = fusion.generate(prompt, words)
            times.append(synchronized() - began)
        steps, took = len(out.steps), statistics.median(times)
        plain = [held.committed_tokens * seconds for held, seconds in zip(out.members, per_token, strict=True)]
        yield {
            "agreement": round(sum(len(step.candidates) == 1 for step in out.steps) / steps, 3),
            "schedule": name,
            "ms per word": round(took / steps * 1e3, 2),
            "generate, ms per token": [round(seconds * 1e3, 2) for seconds in per_token],
            "to the slowest generate": round(took / max(plain), 3),
            "to all generates": round(took / sum(plain), 3),
            "passes": passes(out),
            "tiers": [member.runner.strategy for member in members],
            "peak GB": round(torch.cuda.max_memory_allocated() / 2**30, 2) if torch.cuda.is_available() else None,
        }


def compiled(members: Sequence[Member], prompt: str) -> float:
    """Compile all models with dynamic shapes: a tree has another shape at every step. Seconds until they are warm."""
    torch._dynamo.config.recompile_limit = 64  # three architectures share functions of transformers
    began = synchronized()
    for member in members:
        member.model.forward = torch.compile(member.model.forward, dynamic=True)
    for drafts in (0, None):
        Fusion(members, rule="paper", drafts=drafts).generate(prompt, 24)
    return synchronized() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scale", choices=sorted(SCALES), default="8b")
    parser.add_argument("--words", type=int, default=100, help="tokens of each member to write")
    parser.add_argument("--context", type=int, nargs="*", default=[100, 1000, 4000])
    parser.add_argument("--agreement", type=float, nargs="*", default=[1.0, 0.9, 0.7])
    parser.add_argument("--compile", action="store_true", help="also after torch.compile; takes minutes to warm up")
    parser.add_argument("--json", type=Path, help="also write the results there, a line each")
    options = parser.parse_args()
    scale, device = options.scale, "cuda"
    if not torch.cuda.is_available():
        scale, device = "tiny", "cpu"
        torch.set_num_threads(1)
        print("no GPU here: tiny models on the CPU, to show that the script runs; the figures mean nothing")
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else str(machine()["cpu"])
    versions = {"machine": where, "torch": torch.__version__, "transformers": transformers.__version__}
    print(json.dumps(versions))
    members = members_of(scale, device)
    lines = []
    for compile_seconds in (None, 0.0) if options.compile else (None,):
        for context in options.context:
            text = f"{PROMPT} " + " ".join([WORDS] * (context // 40 + options.words // 40 + 3))
            prompt = beginning(text, [member.tokenizer for member in members], context)
            for agreement in options.agreement:
                with pushed(members, text, agreement):
                    if compile_seconds == 0.0:
                        compile_seconds = round(compiled(members, prompt), 1)
                    for figures in measured(members, prompt, options.words):
                        asked = {"scale": scale, "context": context, "pushed agreement": agreement}
                        lines.append({**versions, **asked, "seconds to compile": compile_seconds, **figures})
                        print(json.dumps({**asked, "seconds to compile": compile_seconds, **figures}), flush=True)
    if options.json:
        options.json.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
