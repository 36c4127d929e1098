"""Proofs of the self-test, remembered on disk, so that a model is tested once and not at every load.

A proof holds for the same code, configuration, libraries, dtype and device. A sample of the weights is part of its key
too, because numbers show little with some weights (zeros agree with everything). A small comparison checks a remembered
proof at every load, and a difference discards it.

The environment variable COOLFUSION_CACHE names another folder; "off" remembers nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Container
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from coolfusion.models.transformers.forward import ForwardRunner

VARIABLE = "COOLFUSION_CACHE"
# Numbers of each weight that go into the key.
SAMPLED = 4
# The version of the written form. Version 1 had other names of strategies.
VERSION = 2
# Entries of a configuration that change nothing.
NAMES = ("_name_or_path", "transformers_version", "torch_dtype")


class Proof(NamedTuple):
    """The result of a self-test.

    Attributes:
        strategy: the name of the first strategy that is right.
        errors: of each strategy tried, its largest error relative to the logits, or why it cannot be used.
    """

    strategy: str
    errors: dict[str, float | str]


def folder(kind: str) -> Path | None:
    """Returns the folder of a kind of entries; None where nothing is to be remembered."""
    given = os.environ.get(VARIABLE, "")
    if given.lower() in ("off", "0", "no", "false"):
        return None
    if given:
        return Path(given) / kind
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "coolfusion" / kind
    except RuntimeError:  # a user without a home
        return None


def key_of(passes: ForwardRunner) -> str | None:
    """Returns a digest of everything that a proof depends on; None where a part of it cannot be told."""
    module, torch = passes.module, passes.torch
    parts = list(module.named_modules())
    if any("forward" in vars(part) or part._forward_hooks or part._forward_pre_hooks for _, part in parts):
        return None  # a hook or a replaced method can do anything
    adapters = getattr(module, "peft_config", None)
    said: Any = [
        (versions("coolfusion", "torch", "transformers"), own_code()),
        (str(passes.dtype), _device(torch, passes.place), torch.get_float32_matmul_precision()),
        _config(module.config),
        {name: vars(each) for name, each in adapters.items()} if isinstance(adapters, dict) else None,
        (passes.max_model_len, passes.window, passes.switch, passes.hidden_windows, passes.layer_types),
        str(getattr(module, "hf_device_map", None)),
        [(name, type(part).__qualname__, _code_of(type(part))) for name, part in parts],
        [(name, str(w.dtype), tuple(w.shape), type(w.data).__name__) for name, w in module.named_parameters()],
        _sample(torch, module),
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=_plain).encode()).hexdigest()


def versions(*names: str) -> list[tuple[str, str]]:
    """Returns the versions of libraries in use, read at each call from the modules that an import finds now.

    transformers executes its own package twice while a model class is imported. A reference from before then is
    another module object than the one in `sys.modules`.
    """
    return [(name, str(import_module(name).__version__)) for name in names]


def recall(key: str | None, names: Container[str]) -> Proof | None:
    """Returns a remembered proof; None where there is none, or none that can be read.

    Args:
        key: as `key_of` returns it.
        names: the names of all strategies.
    """
    found = read_entry("proofs", key)
    if found is None or found.get("version") != VERSION or not isinstance(found.get("errors"), dict):
        return None
    strategy = found.get("strategy")
    if not isinstance(strategy, str) or strategy not in names:
        return None
    errors = {
        name: error for name, error in found["errors"].items() if name in names and isinstance(error, float | str)
    }
    return Proof(strategy, errors)


def remember(key: str | None, proof: Proof) -> None:
    """Writes a proof to disk; where that is impossible, the next load tests again."""
    write_entry("proofs", key, {"version": VERSION, **proof._asdict()})


def read_entry(kind: str, key: str | None) -> dict[str, Any] | None:
    """Returns an object that was written; None where there is none, or none that can be read."""
    place = folder(kind)
    if key is None or place is None:
        return None
    try:
        found = json.loads((place / f"{key}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def write_entry(kind: str, key: str | None, value: dict[str, Any]) -> None:
    """Writes an object, whole or not at all."""
    place = folder(kind)
    if key is None or place is None:
        return
    with contextlib.suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
        # A reader sees the old file or the new one, never a half.
        handle, name = tempfile.mkstemp(dir=place, suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(value, file)
            os.replace(name, place / f"{key}.json")
        except OSError:
            os.unlink(name)
            raise


def own_code() -> str:
    """Returns a digest of the code of all model runners, because other code may run models otherwise."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _code_of(kind: type) -> str:
    """Returns a digest of the forward method of a module's class."""
    code = getattr(getattr(kind, "forward", None), "__code__", None)
    if code is None:
        return ""
    return hashlib.sha256(code.co_code + repr(code.co_names).encode()).hexdigest()[:16]


def _device(torch: Any, place: Any) -> str:
    if place.type != "cuda":
        return str(place.type)
    return f"{place.type} {torch.cuda.get_device_name(place)}"


def _config(config: Any) -> dict[str, Any]:
    said = {name: value for name, value in config.to_dict().items() if name not in NAMES}
    return said | {"attention": str(getattr(config, "_attn_implementation", None))}


def _sample(torch: Any, module: Any) -> list[str]:
    """Returns a few numbers of each weight, read on its own device."""
    found: dict[Any, list[Any]] = {}
    for weight in module.parameters():
        if type(weight.data).__name__ not in ("Tensor", "Parameter") or weight.device.type == "meta":
            continue
        flat = weight.detach().reshape(-1) if weight.is_contiguous() else weight.detach()[:1].reshape(-1)
        step = max(1, flat.numel() // SAMPLED)
        found.setdefault(weight.device, []).append(flat[::step][: SAMPLED + 1].double())
    with torch.inference_mode():
        return [str(torch.cat(numbers).cpu().tolist()) for numbers in found.values()]


def _plain(value: Any) -> Any:
    """Returns text, or sorted texts, for a value that JSON has no form for."""
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)
