"""Tiny random models of every kind of architecture, and the best strategy that is right for each."""

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
MLA = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 4, "qk_nope_head_dim": 8, "v_head_dim": 8}
GPT = {"vocab_size": 97, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 96}
WINDOWS = {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]}

# Name -> (strategy, configuration, attention); "sdpa" is what transformers takes by itself where there is any.
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
    "gpt2": ("tree", lambda t: t.GPT2Config(**GPT)),
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
    "bloom, alibi": ("batch", lambda t: t.BloomConfig(vocab_size=97, hidden_size=32, n_layer=2, n_head=4)),
    "mpt, alibi": ("batch", lambda t: t.MptConfig(vocab_size=97, d_model=32, n_layers=2, n_heads=4, max_seq_len=96)),
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
    "mamba": ("stepwise", lambda t: t.MambaConfig(**MAMBA)),
}

# What nobody asked for by name: others of the same kinds, and odd ones.
OTHERS = {
    "olmo2": ("tree", lambda t: t.Olmo2Config(**SIZES)),
    "cohere2, windows": ("tree", lambda t: t.Cohere2Config(**SIZES, **HEAD, **WINDOWS)),
    "starcoder2": ("tree", lambda t: t.Starcoder2Config(**SIZES, sliding_window=8)),
    "gptj": ("tree", lambda t: t.GPTJConfig(**GPT, rotary_dim=4)),
    "gpt_bigcode": ("tree", lambda t: t.GPTBigCodeConfig(**GPT)),
    "opt": (
        "tree",
        lambda t: t.OPTConfig(
            vocab_size=97,
            hidden_size=32,
            ffn_dim=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=96,
            word_embed_proj_dim=32,
            **ENDS,
        ),
    ),
    "phi": ("tree", lambda t: t.PhiConfig(**SIZES, **ENDS)),
    "granite": ("tree", lambda t: t.GraniteConfig(**SIZES)),
    "smollm3": ("tree", lambda t: t.SmolLM3Config(**SIZES, **ENDS)),
    "glm": ("tree", lambda t: t.GlmConfig(**SIZES, **HEAD, **ENDS)),
    "deepseek_v3, mla": (
        "tree",
        lambda t: t.DeepseekV3Config(
            **{**SIZES, "num_key_value_heads": 4},
            **MLA,
            n_routed_experts=4,
            num_experts_per_tok=2,
            n_group=2,
            topk_group=1,
            moe_intermediate_size=24,
            first_k_dense_replace=1,
        ),
    ),
    "gpt_oss": (
        "tree",
        lambda t: t.GptOssConfig(**SIZES, **HEAD, sliding_window=8, num_local_experts=4, num_experts_per_tok=2),
    ),
    "llama4, chunks": (
        "batch",
        lambda t: t.Llama4TextConfig(
            **SIZES,
            **HEAD,
            intermediate_size_mlp=48,
            num_local_experts=2,
            attention_chunk_size=8,
            layer_types=["chunked_attention", "full_attention"],
            no_rope_layers=[1, 0],
        ),
    ),
    "gpt_neo, local": (
        "batch",
        lambda t: t.GPTNeoConfig(
            vocab_size=97,
            hidden_size=32,
            num_layers=2,
            num_heads=4,
            attention_types=[[["global", "local"], 1]],
            window_size=8,
            max_position_embeddings=96,
        ),
    ),
    "falcon, alibi": (
        "batch",
        lambda t: t.FalconConfig(vocab_size=97, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=True),
    ),
    "recurrent_gemma, keeps its state to itself": (
        "recompute",
        lambda t: t.RecurrentGemmaConfig(
            **{**SIZES, "num_hidden_layers": 3, "num_key_value_heads": 1},
            **ENDS,
            attention_window_size=8,
            lru_width=32,
        ),
    ),
    "zamba2": (
        "copy",
        lambda t: t.Zamba2Config(
            **{**SIZES, "num_hidden_layers": 4},
            **ENDS,
            mamba_d_state=8,
            mamba_headdim=16,
            n_mamba_heads=4,
            mamba_ngroups=1,
            chunk_size=8,
            layers_block_type=["mamba", "hybrid", "mamba", "hybrid"],
            hybrid_layer_ids=[1, 3],
            num_mem_blocks=1,
            adapter_rank=4,
        ),
    ),
    "falcon_mamba": ("stepwise", lambda t: t.FalconMambaConfig(**MAMBA)),
    "jamba": (
        "stepwise",
        lambda t: t.JambaConfig(
            **SIZES,
            **ENDS,
            attn_layer_period=2,
            attn_layer_offset=1,
            num_experts=2,
            use_mamba_kernels=False,
            mamba_d_state=4,
            mamba_dt_rank=4,
        ),
    ),
    "bamba": (
        "recompute",
        lambda t: t.BambaConfig(
            **SIZES,
            **ENDS,
            attn_layer_indices=[1],
            mamba_n_heads=8,
            mamba_d_head=8,
            mamba_d_state=8,
            mamba_n_groups=1,
            mamba_chunk_size=8,
        ),
    ),
    "openai-gpt, no cache": ("recompute", lambda t: t.OpenAIGPTConfig(**GPT)),
    "xlnet, looks ahead": (
        "recompute_each",
        lambda t: t.XLNetConfig(vocab_size=97, d_model=32, n_layer=2, n_head=4, d_inner=48),
    ),
}


def build(name: str, rows: int | None = None, **options):
    """A model with weights large enough that a wrong cache shows, for so many token ids if not for 97."""
    config = (ARCHITECTURES | OTHERS)[name][1](transformers)
    if rows is not None:
        config.vocab_size = rows
    return from_config(config, **options)


def from_config(config, **options):
    """The same of any configuration."""
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3.0)
    return model.eval()
