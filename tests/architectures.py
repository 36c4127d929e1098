"""Tiny random models of every kind of architecture, and the best tier that is right for each."""

from __future__ import annotations

import torch
import transformers

SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 96,
}
ENDS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 1}
LONGROPE = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "head_dim": 8}
MAMBA = {"vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}
HEAD = {"head_dim": 8}

# Name -> (tier, configuration, attention); "sdpa" is what transformers takes by itself where there is any.
ARCHITECTURES = {
    "llama": ("tree", lambda t: t.LlamaConfig(**SIZES)),
    "phi3": ("tree", lambda t: t.Phi3Config(**SIZES, **ENDS)),
    "glm4": ("tree", lambda t: t.Glm4Config(**SIZES, **HEAD, **ENDS)),
    "qwen2": ("tree", lambda t: t.Qwen2Config(**SIZES)),
    "qwen3": ("tree", lambda t: t.Qwen3Config(**SIZES, **HEAD)),
    "mistral, sliding window": ("tree", lambda t: t.MistralConfig(**SIZES, sliding_window=8)),
    "phi3, sliding window": ("tree", lambda t: t.Phi3Config(**SIZES, **ENDS, sliding_window=8)),
    "gemma2": ("tree", lambda t: t.Gemma2Config(**SIZES, **HEAD, sliding_window=8)),
    "gemma3": ("tree", lambda t: t.Gemma3TextConfig(**SIZES, **HEAD, sliding_window=8)),
    "gpt2": ("tree", lambda t: t.GPT2Config(vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=96)),
    "gpt_neox": (
        "tree",
        lambda t: t.GPTNeoXConfig(**{k: v for k, v in SIZES.items() if k != "num_key_value_heads"}),
    ),
    "falcon, rotary": (
        "tree",
        lambda t: t.FalconConfig(vocab_size=97, hidden_size=32, num_hidden_layers=2, num_attention_heads=4),
    ),
    "mixtral": ("tree", lambda t: t.MixtralConfig(**SIZES, num_local_experts=4, num_experts_per_tok=2)),
    "qwen3_moe": ("tree", lambda t: t.Qwen3MoeConfig(**SIZES, **MOE)),
    "bloom, alibi": ("rows", lambda t: t.BloomConfig(vocab_size=97, hidden_size=32, n_layer=2, n_head=4)),
    "mpt, alibi": ("rows", lambda t: t.MptConfig(vocab_size=97, d_model=32, n_layers=2, n_heads=4, max_seq_len=96)),
    "phi3, longrope": (
        "tree",
        lambda t: t.Phi3Config(**SIZES, **ENDS, original_max_position_embeddings=24, rope_parameters=LONGROPE),
    ),
    "lfm2, hybrid": ("copy", lambda t: t.Lfm2Config(**SIZES, layer_types=["conv", "full_attention"])),
    "qwen3_next, hybrid": (
        "copy",
        lambda t: t.Qwen3NextConfig(
            **SIZES,
            **MOE,
            shared_expert_intermediate_size=24,
            linear_num_key_heads=2,
            linear_num_value_heads=4,
            linear_key_head_dim=8,
            linear_value_head_dim=8,
            layer_types=["linear_attention", "full_attention"],
        ),
    ),
    "falcon_h1, hybrid": (
        "copy",
        lambda t: t.FalconH1Config(
            **SIZES, mamba_d_ssm=32, mamba_n_heads=4, mamba_d_head=8, mamba_d_state=8, mamba_n_groups=1
        ),
    ),
    "rwkv": (
        "copy",
        lambda t: t.RwkvConfig(vocab_size=97, hidden_size=32, num_hidden_layers=2, attention_hidden_size=32),
    ),
    "mamba2": ("copy", lambda t: t.Mamba2Config(**MAMBA, num_heads=8, head_dim=8, n_groups=1, chunk_size=8)),
    "mamba": ("step", lambda t: t.MambaConfig(**MAMBA)),
}


def build(name: str, rows: int | None = None, **options):
    """A model with weights large enough that a wrong cache shows, for so many token ids if not for 97."""
    torch.manual_seed(0)
    config = ARCHITECTURES[name][1](transformers)
    if rows is not None:
        config.vocab_size = rows
    model = transformers.AutoModelForCausalLM.from_config(config, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3.0)
    return model.eval()
