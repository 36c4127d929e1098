"""A transformers module with all of its weights, or an error that names those that are missing.

transformers fills the weights that a checkpoint lacks with random numbers, and writes their names to a log. This module
reads its report, because every weight of the architecture must come from the checkpoint, in the configured shape.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from coolfusion.errors import CoolFusionError, CoolFusionWarning, ModelError
from coolfusion.models.transformers.config_file import (
    check_config,
    check_generation_config,
    check_kind,
    describe_sizes,
    odd_fields,
)
from coolfusion.models.transformers.header import Held, lost_beside_others, name_some, read_headers, read_json_object

ADAPTER = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
# Buffers that a model computes from its configuration; older versions saved some of them, newer ones others.
COMPUTED = re.compile(r"inv_freq|position_ids|masked_bias|(attn|attention)\.bias$|freqs_cis|rotary|(sin|cos)_cached")
NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
# A 2-bit weight is a quarter of a byte; twice that for shared weights.
NUMBERS_IN_A_BYTE = 8
LARGEST_BUFFERS = 2**31


def load_module(name: str, dtype: Any, trust_remote_code: bool, options: dict[str, Any]) -> Any:
    """Returns a causal language model, all of whose weights come from the checkpoint.

    Args:
        name: a checked directory or a hub name.
        dtype: a torch dtype or "auto".
        trust_remote_code: whether code that comes with a model may run.
        options: passed on to transformers.

    Raises:
        ModelError: files, configuration or weights are no whole model; it names the fault.
    """
    raw: dict[str, Any] = {}
    with own_errors(name, raw):
        if (Path(name) / ADAPTER).is_file():
            return _adapted(name, dtype, trust_remote_code, options)
        held = _checked_files(name, trust_remote_code, raw)
        _check_memory(name, raw, held, trust_remote_code)
        from transformers import AutoModelForCausalLM

        # Shapes that differ are told in the report; left to transformers they are an error without names.
        told = {**options, "output_loading_info": True, "ignore_mismatched_sizes": True}
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            name, dtype=dtype, use_safetensors=True, trust_remote_code=trust_remote_code, **told
        )
        module, report = loaded
        check_report(module, report, name, describe_sizes(raw))
        if Path(name).is_dir():
            check_generation_config(Path(name), _logits_size(module), _default_ends(module.config))
        return module


@contextlib.contextmanager
def own_errors(name: str, raw: dict[str, Any]) -> Iterator[None]:
    """Turns any error of another library into ours: transformers, safetensors, the hub and remote code share no root.

    Args:
        name: the folder or hub name.
        raw: the fields of its config.json, as far as they are known at the time of the error.

    Raises:
        ModelError: the name, the reason, and the fields that it may be about.
    """
    try:
        yield
    except CoolFusionError:
        raise
    except Exception as err:
        raise _refusal(name, raw, _quietly_held(name), err) from err


def _refusal(name: str, raw: dict[str, Any], held: Held | None, err: Exception) -> ModelError:
    """Returns an error of another library, with the file and the fields that it may be about."""
    reason = " ".join(str(err).split())[:400]
    if not Path(name).is_dir():
        return ModelError(
            f"{name}: no local directory, and as a hub name not to be loaded: {type(err).__name__}: {reason}"
        )
    field = re.match(r"Validation error for field '(\w+)'", reason)
    where = f"{Path(name) / 'config.json'}: "
    if field:
        return ModelError(f"{where}{field[1]} is {raw.get(field[1])!r}, cannot be loaded: {reason}")
    lost = lost_beside_others(held) if held else []
    if lost:
        return ModelError(f"{name}: the checkpoint lacks {len(lost)} weights of the model: {name_some(lost)}: {reason}")
    return ModelError(f"{name}: cannot be loaded: {type(err).__name__}: {reason}{tell_config(raw, reason)}")


def tell_config(raw: dict[str, Any], reason: str) -> str:
    """Returns the fields of a configuration that an error may be about: named in it, unusual, or sizes."""
    words = re.findall(r"\w+", reason)
    spoken = {
        key
        for key, value in raw.items()
        if key in words or (isinstance(value, str | float) and repr(value) in reason and value not in (0.0, 1.0))
    }
    named = [f"{key}={raw[key]!r}" for key in sorted(spoken | odd_fields(raw))]
    about = "; ".join(filter(None, [", ".join(named), describe_sizes(raw)]))
    return f" (config.json says {about})" if about else ""


def tell_file(name: str, reason: str) -> str:
    """Returns the same for a folder, if it is one."""
    file = Path(name) / "config.json"
    try:
        return tell_config(read_json_object(file), reason)
    except ModelError:
        return ""


def _quietly_held(name: str) -> Held | None:
    try:
        return read_headers(Path(name))
    except ModelError:
        return None


def _adapted(name: str, dtype: Any, trust_remote_code: bool, options: dict[str, Any]) -> Any:
    """Returns a base model with its adapter; each is checked, because transformers reports on the adapter alone."""
    file = Path(name) / ADAPTER
    base = read_json_object(file).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise ModelError(f"{file}: base_model_name_or_path is {base!r}, expected a directory or a hub name")
    if (Path(base) / ADAPTER).is_file():
        raise ModelError(f"{file}: base_model_name_or_path is {base!r}, an adapter; expected a model")
    module = load_module(base, dtype, trust_remote_code, options)
    if not (Path(name) / ADAPTER_WEIGHTS).is_file():
        raise ModelError(f"{name}: no {ADAPTER_WEIGHTS}; expected the adapter's weights")
    with own_errors(name, {}):
        report = module.load_adapter(name)
    if report is not None:
        check_report(module, report if isinstance(report, dict) else report.to_dict(), name, "")
    return module


def _checked_files(name: str, trust_remote_code: bool, raw: dict[str, Any]) -> Held | None:
    """Returns the headers of the weights, and puts config.json into `raw`; both are checked."""
    folder = Path(name)
    if folder.is_dir():
        raw |= read_json_object(folder / "config.json")
        where, held = str(folder / "config.json"), read_headers(folder)
    else:
        from transformers import PretrainedConfig

        raw |= PretrainedConfig.get_config_dict(name)[0]
        where, held = f"{name}: config.json", None
    check_kind(raw, where, trust_remote_code)
    check_config(raw, where, held)
    return held


def _check_memory(name: str, raw: dict[str, Any], held: Held | None, trust_remote_code: bool) -> None:
    """Refuses a configuration of far more weights than there are, before room for them is taken."""
    if held is None:
        return
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code)
    with torch.device("meta"):
        maker: Any = AutoModelForCausalLM
        outline = maker.from_config(config, trust_remote_code=trust_remote_code)
    count = sum(weight.numel() for weight in outline.parameters())
    if count > NUMBERS_IN_A_BYTE * held.n_bytes:
        raise ModelError(
            f"{Path(name) / 'config.json'}: tells of a model of {count} weights, and the checkpoint holds "
            f"{held.n_bytes} bytes of them: {describe_sizes(raw)}"
        )
    buffers = sum(each.numel() * each.element_size() for each in outline.buffers())
    if buffers > max(LARGEST_BUFFERS, held.n_bytes):
        raise ModelError(
            f"{Path(name) / 'config.json'}: tells of a model with {buffers} bytes of tables beside its weights: "
            f"{_positions(raw)}; {describe_sizes(raw)}"
        )


def _positions(raw: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in raw.items() if re.search("position|length|ctx|seq", key))


def check_report(module: Any, report: dict[str, Any], name: str, sizes: str) -> None:
    """Refuses a module whose weights are not those of the checkpoint.

    Args:
        module: the loaded module.
        report: the loading report of transformers.
        name: the folder, for messages.
        sizes: of the configuration, for messages.

    Raises:
        ModelError: weights that are missing, of another shape, without a value, or could not be read.
    """
    problems = [*report.get("error_msgs", ())]
    if problems:
        raise ModelError(f"{name}: weights cannot be loaded: {name_some([' '.join(str(p).split()) for p in problems])}")
    about = f" (config.json says {sizes})" if sizes else ""
    shapes = sorted((str(key), tuple(there), tuple(wanted)) for key, there, wanted in report.get("mismatched_keys", ()))
    if shapes:
        told = [f"{key} is {there}, expected {wanted}" for key, there, wanted in shapes]
        raise ModelError(f"{name}: {len(told)} weights have another shape than the model: {name_some(told)}{about}")
    lost = sorted(key for key in report.get("missing_keys", ()) if not _computed(module, key))
    if lost:
        extra = sorted(report.get("unexpected_keys", ()))
        hint = f"; it holds {name_some(extra)}, which the model does not have" if extra else ""
        raise ModelError(
            f"{name}: the checkpoint lacks {len(lost)} weights of the model: {name_some(lost)}{hint}{about}"
        )
    _check_values(module, name)
    _warn_of_more(module, report.get("unexpected_keys", ()), name)


def _computed(module: Any, key: str) -> bool:
    """Returns whether a missing name is a buffer that the model computes: a table of positions or a mask."""
    buffer = dict(module.named_buffers()).get(key)
    if buffer is None:
        return False
    return not buffer.is_floating_point() or COMPUTED.search(key) is not None


def _check_values(module: Any, name: str) -> None:
    """Refuses weights that have no value: left on the meta device, or nothing but nan."""
    offloaded = bool(getattr(module, "hf_device_map", None))
    empty, nan = [], []
    for key, weight in module.named_parameters():
        if weight.device.type == "meta":
            if not offloaded:  # a module reads the weights that lie on a disk
                empty.append(key)
        elif weight.is_floating_point() and type(weight.data).__name__ == "Tensor" and _only_nan(weight.detach()):
            nan.append(key)
    if empty:
        raise ModelError(f"{name}: {len(empty)} weights were not loaded: {name_some(sorted(empty))}")
    if nan:
        raise ModelError(f"{name}: {len(nan)} weights hold nothing but nan: {name_some(sorted(nan))}")


def _only_nan(weight: Any) -> bool:
    """Returns whether a weight is nothing but nan; the first number mostly tells, and costs nothing."""
    return bool(weight.numel() and weight.flatten()[:1].isnan() and weight.isnan().all())


def _warn_of_more(module: Any, unexpected: Iterable[str], name: str) -> None:
    """Warns of weights for layers beyond those of the configuration."""
    known = {NUMBER.sub("*", key) for key in module.state_dict()}
    more = sorted(key for key in unexpected if NUMBER.search(key) and NUMBER.sub("*", key) in known)
    if more:
        warnings.warn(
            f"{name}: the checkpoint holds {len(more)} weights for more layers than its config.json tells of, "
            f"which are not used: {name_some(more)}",
            CoolFusionWarning,
            stacklevel=2,
        )


def _logits_size(module: Any) -> int:
    """Returns the size of the head, or of the embedding where the module does not tell its head."""
    head: Any = module.get_output_embeddings() if hasattr(module, "get_output_embeddings") else None
    count = getattr(head, "out_features", None)
    return int(module.get_input_embeddings().num_embeddings if count is None else count)


def _default_ends(config: Any) -> tuple[int, ...]:
    """Returns the default END ids of the class of a configuration."""
    try:
        value = getattr(type(config)(), "eos_token_id", None)
    except (TypeError, ValueError):  # a class that cannot be made without arguments
        return ()
    return tuple(value) if isinstance(value, list | tuple) else () if value is None else (value,)
