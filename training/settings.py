"""What the three embedded models are: names, shapes, mixes, seeds and budgets."""

from dataclasses import dataclass

import torch
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM

VOCAB = 1024  # pieces
CONTEXT = 512  # tokens
WIDTH, LAYERS, HEADS = 128, 4, 4


@dataclass(frozen=True)
class Settings:
    """Everything that fixes the training of one model.

    Args:
        family: tokenizer family, a key of `tokenizers_zoo.FAMILIES`.
        bos, eos: special tokens that start and end a document.
        mix: share of the training characters per kind of text.
        seed: fixes text, first weights and order.
        cycles: token budgets of the cycles; each is one warm-up and half a cosine.
        rate: highest learning rate of the first cycle.
    """

    family: str
    bos: str
    eos: str
    mix: dict
    seed: int
    cycles: tuple
    rate: float


ZOO = {
    "ash": Settings(
        "byte-level BPE", "<|end|>", "<|end|>",
        {"story": 0.70, "sums": 0.15, "puzzle": 0.15}, 101,
        (7_000_000, 7_000_000), 2e-3),
    "birch": Settings(
        "SentencePiece BPE", "<s>", "</s>",
        {"story": 0.15, "sums": 0.70, "puzzle": 0.15}, 102,
        (7_000_000, 4_000_000), 3e-3),
    "cedar": Settings(
        "Unigram", "</s>", "</s>",
        {"story": 0.15, "sums": 0.15, "puzzle": 0.70}, 103,
        (7_000_000, 7_000_000), 3e-3),
}


def new_model(name, bos_id, eos_id):
    """Make one model with fresh weights.

    Args:
        name: a key of `ZOO`.
        bos_id, eos_id: ids of the special tokens.
    Returns:
        A causal language model of transformers, in float32.
    """
    torch.manual_seed(ZOO[name].seed)
    ends = {"vocab_size": VOCAB, "bos_token_id": bos_id, "eos_token_id": eos_id}
    if name == "ash":
        return GPT2LMHeadModel(GPT2Config(
            n_positions=CONTEXT, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, **ends))
    shape = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
             "max_position_embeddings": CONTEXT, "tie_word_embeddings": True, **ends}
    if name == "birch":
        return LlamaForCausalLM(LlamaConfig(
            intermediate_size=352, num_key_value_heads=2, **shape))
    return GPTNeoXForCausalLM(GPTNeoXConfig(intermediate_size=4 * WIDTH, **shape))
