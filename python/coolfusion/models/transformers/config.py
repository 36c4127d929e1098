"""Facts about a model from its transformers configuration: limits, END ids, windows, positions."""

from __future__ import annotations

import re
from typing import Any

from coolfusion.models.transformers.config_file import check_end

LIMIT_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "seq_length", "n_ctx")
# Fields of attention that leaves out tokens by its own rule: GPT-Neo's window_size, Llama-4's attention_chunk_size,
# Doge's keep_window_size, DeepSeek-V3.2's index_topk. Masks carry a sliding_window; the other names are of layers.
LOCAL_ATTENTION = re.compile(r"window|att\w*_chunk|local_att|index_topk")
CARRIED = re.compile(r"^sliding_window(_size)?$|pattern|layers|indices")


def position_limit(config: Any) -> int | None:
    """Returns the most positions a configuration allows, or None.

    Configurations translate their own names (GPT-2's n_positions, RWKV's context_length) to the first one.
    """
    text = _text_config(config)
    found = [getattr(text, name, None) for name in LIMIT_NAMES]
    return next((value for value in found if isinstance(value, int) and value > 0), None)


def find_eos_token_ids(module: Any) -> set[int]:
    """Returns the END ids of generation_config and config, each an int or a list.

    Raises:
        ModelError: one of them holds something else.
    """
    ends: set[int] = set()
    for config in (getattr(module, "generation_config", None), module.config):
        value = getattr(config, "eos_token_id", None)
        ends.update(check_end(value, type(config).__name__, defaults=(value,)))
    return ends


def context_switch(config: Any) -> int | None:
    """Returns the length above which longrope uses other frequencies, or None."""
    text = _text_config(config)
    rope = getattr(text, "rope_parameters", None) or {}
    if not isinstance(rope, dict) or rope.get("rope_type") != "longrope":
        return None
    switch = rope.get("original_max_position_embeddings", getattr(text, "original_max_position_embeddings", None))
    return switch if isinstance(switch, int) else None


def sliding_window(config: Any) -> tuple[int | None, tuple[str, ...]]:
    """Returns the window, None without one, and the types of layers where several take masks of their own."""
    text = _text_config(config)
    window = getattr(text, "sliding_window", None)
    types = tuple(sorted(set(getattr(text, "layer_types", None) or ())))
    if not isinstance(window, int) or window <= 0 or getattr(text, "use_sliding_window", True) is False:
        window = None
    if types and not any("sliding" in name for name in types):
        window = None
    return window, types if len(types) > 1 else ()


def hidden_windows(config: Any) -> list[int]:
    """Returns the lengths from which attention may leave out tokens by its own rules, which a mask would replace."""
    values = vars(_text_config(config)).items()
    named = [value for name, value in values if LOCAL_ATTENTION.search(name) and not CARRIED.search(name)]
    return sorted({value for value in named if isinstance(value, int) and not isinstance(value, bool) and value > 0})


def _text_config(config: Any) -> Any:
    return config.get_text_config() if hasattr(config, "get_text_config") else config
