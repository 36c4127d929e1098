"""The configuration files of a model, checked before transformers sees them.

transformers refuses some wrong fields with errors of several libraries, allocates by others, and takes some silently.
So every size is checked here first, against its kind and against the tensors that are there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coolfusion.errors import ModelError
from coolfusion.models.transformers.header import Held, read_json_object

# Fields of sizes, which are whole numbers where they are given.
SIZES = re.compile(
    r"((hidden|intermediate|vocab|embedding|inner|state|head|ffn|n_embd|expert)\w*_(size|dim)|head_dim|ffn_dim"
    r"|d_(model|inner|ff|kv|state)|n_(embd|inner|layers?|heads?|positions|ctx)|num_\w*(layers|heads|experts|groups)"
    r"|num_kv_heads|n_\w*(experts|heads))"
)
# Those without which there is no model; the others may be 0 (no shared expert) or null.
CORE = {
    *("hidden_size", "n_embd", "d_model", "vocab_size", "head_dim"),
    *("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    *("num_attention_heads", "n_head", "n_heads", "num_heads", "num_key_value_heads", "num_kv_heads"),
}
# Lengths of the context window, which no tensor of the checkpoint limits.
WINDOWS = {"max_position_embeddings", "n_positions", "n_ctx"}
LAYERS = re.compile(r"n(um)?_(\w+_)?layers?")
# A tensor may hold several parts (queries, keys and values), or several small numbers in a large one.
PARTS_IN_A_TENSOR = 64
# Errors name a number that is this many times larger than the default of its class.
UNUSUAL = 10_000
OTHER_TASKS = re.compile(
    r"For(MaskedLM|PreTraining|NextSentencePrediction|SequenceClassification|TokenClassification|QuestionAnswering"
    r"|MultipleChoice|\w*ImageClassification|CTC|\w*Retrieval)$|(Encoder|Bert)Model$"
)
# A list stands for one size of each layer.
Sizes = list[tuple[str, Any]]


def check_config(raw: dict[str, Any], where: str, held: Held | None) -> None:
    """Refuses sizes that are none, and those that the checkpoint cannot have.

    Args:
        raw: the object of config.json.
        where: the file, for messages.
        held: the tensors of the checkpoint, if they are known.

    Raises:
        ModelError: names the field, its value, and the expected form.
    """
    for field, value in raw.items():
        if isinstance(value, int) and abs(value) >= 2**63:
            raise ModelError(f"{where}: {field} is {value}, expected a number of at most 64 bits")
    for field, value in sizes_of(raw):
        _check_size(field, value, where, held)


def sizes_of(raw: dict[str, Any]) -> Sizes:
    """Returns all sizes with their fields, also those of parts such as text_config."""
    return list(_walk(raw, "", 0))


def _walk(raw: dict[str, Any], before: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key, value in raw.items():
        if isinstance(value, dict) and depth < 3:
            yield from _walk(value, f"{before}{key}.", depth + 1)
        elif SIZES.fullmatch(key) or key in CORE or key in WINDOWS or LAYERS.fullmatch(key):
            yield f"{before}{key}", value


def _check_size(field: str, value: Any, where: str, held: Held | None) -> None:
    name = field.rpartition(".")[2]
    if isinstance(value, list | dict):
        return
    # Classes with a default of None take null; transformers knows which.
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise ModelError(f"{where}: {field} is {value!r}, expected a whole number")
    least = 1 if name in CORE or name in WINDOWS else 0
    if value < least:
        raise ModelError(f"{where}: {field} is {value}, expected at least {least}")
    if held is None or name in WINDOWS:
        return
    # Every layer has a tensor of its own, so more of them than tensors are a mistake, and looping over them never ends.
    most = len(held.shapes) if LAYERS.fullmatch(name) else PARTS_IN_A_TENSOR * max(held.longest, len(held.shapes))
    if value > most:
        raise ModelError(
            f"{where}: {field} is {value}, expected at most {most} for a checkpoint of {len(held.shapes)} tensors, "
            f"whose largest dimension is {held.longest}"
        )


def check_kind(raw: dict[str, Any], where: str, trust_remote_code: bool) -> None:
    """Refuses a model that is no causal language model of transformers.

    Raises:
        ModelError: names the model_type or the architecture, and the expected form.
    """
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL

    kind, remote = raw.get("model_type"), raw.get("auto_map")
    if isinstance(remote, dict) and trust_remote_code:
        return
    if not isinstance(kind, str) or not kind:
        raise ModelError(f"{where}: model_type is {kind!r}, expected the name of a model type that transformers knows")
    if isinstance(remote, dict) and kind not in CAUSAL:
        raise ModelError(
            f"{where}: model_type {kind!r} needs code that comes with the model (auto_map); expected a model type that "
            "transformers knows, or trust_remote_code=True"
        )
    if kind not in CONFIG_MAPPING:
        raise ModelError(f"{where}: model_type {kind!r} is unknown to this transformers, expected one that it knows")
    expected = CAUSAL.get(kind)
    if expected is None:
        raise ModelError(f"{where}: model_type {kind!r} is no causal language model, expected one that writes text")
    known = {expected} if isinstance(expected, str) else set(expected)
    given = raw.get("architectures") or []
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise ModelError(f"{where}: architectures is {given!r}, expected a list of names")
    if given and not known & set(given) and all(OTHER_TASKS.search(each) for each in given):
        wanted = " or ".join(sorted(known))
        raise ModelError(f"{where}: architectures is {given!r}, no causal language model; expected {wanted}")


def describe_sizes(raw: dict[str, Any]) -> str:
    """Returns the sizes of a configuration, and which do not divide each other, as text for messages."""
    sizes = {field: value for field, value in sizes_of(raw) if not isinstance(value, list)}
    text = ", ".join(f"{field}={value!r}" for field, value in sizes.items())
    heads = _first(sizes, "num_attention_heads", "n_head", "n_heads", "num_heads")
    width = _first(sizes, "hidden_size", "n_embd", "d_model")
    groups = _first(sizes, "num_key_value_heads", "num_kv_heads")
    odd = [
        f"{one[0]} {one[1]} is no multiple of {other[0]} {other[1]}"
        for one, other in ((width, heads), (heads, groups))
        if one and other and one[1] % other[1]
    ]
    return "; ".join([*odd, text])


def odd_fields(raw: dict[str, Any]) -> set[str]:
    """Returns the fields whose value is of another kind than the default of the configuration's class."""
    from transformers import CONFIG_MAPPING

    kind = raw.get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        return set()
    own = vars(CONFIG_MAPPING[kind]())
    odd = {key for key, value in raw.items() if not _alike(value, own.get(key))}
    return odd | {key for key in ("dtype", "torch_dtype") if not isinstance(raw.get(key), str | None)}


def _alike(value: Any, default: Any) -> bool:
    """Returns whether a value has the kind of a default, and for numbers also its sign and its rough size."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if default is None:
            return 0 <= value <= UNUSUAL
        if not isinstance(default, int | float) or isinstance(default, bool):
            return False
        return value <= UNUSUAL * max(1, abs(default)) and (value > 0 or default <= 0)
    return default is None or value is None or type(value) is type(default)


def _first(sizes: dict[str, Any], *names: str) -> tuple[str, int] | None:
    found = ((field, value) for field, value in sizes.items() if field.rpartition(".")[2] in names)
    return next(((field, value) for field, value in found if isinstance(value, int) and value > 0), None)


def check_generation_config(folder: Path, logits_size: int, defaults: Any) -> None:
    """Refuses END ids of generation_config.json and config.json that are none.

    Args:
        folder: the model's.
        logits_size: ids are below it.
        defaults: the ids of the configuration's class, which are defaults.

    Raises:
        ModelError: names the file, the value and the expected form.
    """
    for file in (folder / "generation_config.json", folder / "config.json"):
        if file.is_file():
            check_end(read_json_object(file).get("eos_token_id"), str(file), logits_size, defaults)


def check_end(value: Any, where: str, logits_size: int | None = None, defaults: Any = ()) -> list[int]:
    """Returns the END ids of a field that holds null, an id or a list of ids.

    Raises:
        ModelError: it holds something else, or an id that has no row.
    """
    ids = [] if value is None else value if isinstance(value, list | tuple) else [value]
    for each in ids:
        if isinstance(each, bool) or not isinstance(each, int):
            raise ModelError(f"{where}: eos_token_id is {value!r}, expected an id, a list of ids or null")
        if (each < 0 or (logits_size is not None and each >= logits_size)) and each not in defaults:
            raise ModelError(f"{where}: eos_token_id is {value!r}, expected ids in 0..{logits_size or ''}")
    return list(ids)
