"""Slow and obvious twins of the loop on transformers models: no cache, whole contexts."""

from __future__ import annotations

import math

import torch

import coolfusion as cf
from coolfusion.fusion import Member
from coolfusion.models.transformers.model import HuggingFaceModel


def twin(member: Member) -> Member:
    """The same member with a runner of its own over the same weights."""
    runner = member.runner
    return Member(
        HuggingFaceModel(runner.module, name=runner.name, eos_token_ids=runner.eos_token_ids, strategy=runner.strategy),
        member.tokenizer,
        member.prefix_ids,
    )


def full_rows(member: Member, ids: list[int]):
    """(T, V) float64 log-probabilities of one pass without any cache."""
    with torch.inference_mode():
        return member.model(torch.tensor([ids]), use_cache=False).logits[0].double().log_softmax(-1)


def plain_greedy(member: Member, prompt: str, n_tokens: int) -> list[int]:
    """Greedy decoding by full passes over the whole context, within the model's limit."""
    ids = member.prompt_ids(prompt)
    start = len(ids)
    while len(ids) < start + n_tokens:
        row = full_rows(member, ids)[-1].clone()
        row[list(member.suppress_tokens)] = -math.inf
        best = int(row.argmax())
        if best in member.runner.eos_token_ids:
            break
        ids.append(best)
    return ids[start:]


def after(member: Member, prompt: str, ids: list[int]) -> str:
    """The text of ids that stand after a prompt: alone, their first space could be a text's beginning."""
    decoder = cf.StreamDecoder(member.tokenizer, member.prompt_ids(prompt))
    return "".join(decoder.push(token_id) for token_id in ids) + decoder.flush()
