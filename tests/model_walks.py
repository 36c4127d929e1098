"""Random walks over a runner of transformers models, every row compared with a pass over the whole text.

The slow and obvious twin is one call of the module without any cache; nothing of the runner is used for it.
"""

from __future__ import annotations

import random
from typing import Any

import torch


def full_row(module, ids):
    """(V,) float64 logits after a text, from one pass over all of it."""
    with torch.inference_mode():
        return module(torch.tensor([list(ids)]), use_cache=False).logits[0, -1].double()


class Walk:
    """Contexts that are used as a fusion uses them, at random, and checked after every call."""

    def __init__(self, runner, seed, count=2, longest=4):
        self.runner, self.dice, self.longest = runner, random.Random(seed), longest
        self.contexts = [runner.new_context() for _ in range(count)]
        self.texts = [[] for _ in self.contexts]
        self.known = [set() for _ in self.contexts]
        self.error = 0.0
        self.checked = 0
        self._rows = {}

    def ids(self, count):
        return tuple(self.dice.randrange(self.runner.logits_size) for _ in range(count))

    def begin(self, lengths):
        prompts = [(context, list(self.ids(n))) for context, n in zip(self.contexts, lengths, strict=True)]
        self.runner.prefill(prompts)
        self.texts = [list(ids) for _, ids in prompts]
        self.known = [{()} for _ in self.contexts]
        self.check()

    def arrive(self, *lengths):
        """Contexts that are made later, and read their prompts in one call."""
        new = [(self.runner.new_context(), list(self.ids(n))) for n in lengths]
        self.runner.prefill(new)
        for context, ids in new:
            self.contexts.append(context)
            self.texts.append(ids)
            self.known.append({()})
        self.check()

    def leave(self, at):
        """A context is closed, while the others go on."""
        self.contexts.pop(at).close()
        del self.texts[at], self.known[at]
        self.check()

    def path(self, at):
        """A new path, often after one that is known."""
        stem = self.dice.choice(sorted(self.known[at]) or [()])[: self.dice.randrange(4)]
        return (*stem, *self.ids(self.dice.randrange(1, self.longest)))

    def turn(self):
        wanted = []
        for at, context in enumerate(self.contexts):
            if self.dice.random() < 0.2:
                continue
            paths = [self.path(at) for _ in range(self.dice.randrange(4))]
            wanted.append((context, paths))
            for path in ((), *paths):
                self.known[at] |= {path[:n] for n in range(len(path) + 1)}
        self.runner.forward(wanted)
        self.check()
        for at, context in enumerate(self.contexts):
            choice = self.dice.random()
            if choice < 0.7 and self.known[at]:
                path = self.dice.choice(sorted(self.known[at]))
                if self.dice.random() < 0.2:
                    path = (*path, *self.ids(self.dice.randrange(3)))
                self.commit(at, context, path)
            elif choice < 0.8:
                context.clear()
                self.known[at] &= {()}
        self.check()

    def commit(self, at, context, path):
        context.commit(path)
        self.texts[at] += path
        known = self.known[at]
        if path in known:
            self.known[at] = {each[len(path) :] for each in known if each[: len(path)] == path}
        else:
            self.known[at] = set()

    def check(self):
        for context, text, known in zip(self.contexts, self.texts, self.known, strict=True):
            assert context.length == len(text)
            for path in known:
                assert context.is_computed(path), path
                key = (*text, *path)
                if key not in self._rows:
                    self._rows[key] = full_row(self.runner.module, key)
                wanted = self._rows[key]
                row = torch.tensor(context.next_logits(path), dtype=torch.float64)
                self.error = max(self.error, float((row - wanted).abs().max()) / max(1.0, float(wanted.abs().max())))
                self.checked += 1
            unknown = self.ids(5)
            assert not context.is_computed(unknown) or unknown in known


def in_float64(module: torch.nn.Module) -> None:
    """Lets the norms of a model in float64 work in float64.

    transformers rounds to float32 inside RMS norms whatever the weights are, and there a difference in the last bit of
    float64, which passes of other shapes have, now and then becomes one in the last bit of float32.
    """
    for each in module.modules():
        if not type(each).__name__.endswith("RMSNorm") or not hasattr(each, "weight"):
            continue
        offset = 1.0 if type(each).__name__.startswith("Gemma") else 0.0
        epsilon = getattr(each, "variance_epsilon", getattr(each, "eps", None))
        if epsilon is None:
            continue

        def norm(x: torch.Tensor, own: Any = each, offset: float = offset, small: float = epsilon) -> torch.Tensor:
            return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + small) * (offset + own.weight)

        probe = torch.linspace(-2.0, 3.0, 3 * each.weight.numel(), dtype=torch.float64).view(3, -1)  # (3, H)
        assert torch.allclose(each(probe).double(), norm(probe), atol=1e-4), type(each).__name__
        each.forward = norm
