"""Proofs of the load probe, remembered on disk, so that a model is probed once and not at every load.

A proof is of a way of running: it holds for the same code, configuration, libraries, dtype and device. It is found by
numbers, and how much numbers show depends on the weights (zeros agree with everything), so a sample of the weights is
part of the key too. What is remembered is checked by a small comparison at every load, and forgotten on a difference.

The environment variable COOLFUSION_CACHE names another folder; "off" remembers nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from coolfusion.models.huggingface import HuggingFaceModel

VARIABLE = "COOLFUSION_CACHE"
# Of each weight so many numbers go into the key.
SAMPLED = 4
# What a configuration says that changes nothing.
NAMES = ("_name_or_path", "transformers_version", "torch_dtype")


class Proof(NamedTuple):
    """What the probe found.

    Attributes:
        tier: the best one that is right.
        errors: of each tier tried.
    """

    tier: str
    errors: dict[str, float | str]


def folder(kind: str) -> Path | None:
    """Where what is remembered of a kind lies; None where nothing is to be remembered."""
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


def key_of(runner: HuggingFaceModel) -> str | None:
    """What a proof depends on, as a digest; None where something in it cannot be told."""
    module = runner.module
    parts = list(module.named_modules())
    if any("forward" in vars(part) or part._forward_hooks or part._forward_pre_hooks for _, part in parts):
        return None  # somebody steps in between
    torch = runner.torch
    adapters = getattr(module, "peft_config", None)
    said: Any = [
        (versions("coolfusion", "torch", "transformers"), own_code()),
        (str(runner.dtype), _device(torch, runner.place), torch.get_float32_matmul_precision()),
        _config(module.config),
        {name: vars(each) for name, each in adapters.items()} if isinstance(adapters, dict) else None,
        (runner.limit, runner.window, runner.switch, runner.hidden_windows, runner.layer_types),
        str(getattr(module, "hf_device_map", None)),
        [(name, type(part).__qualname__, _code_of(type(part))) for name, part in parts],
        [(name, str(w.dtype), tuple(w.shape), type(w.data).__name__) for name, w in module.named_parameters()],
        _sample(torch, module),
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=_plain).encode()).hexdigest()


def versions(*names: str) -> list[tuple[str, str]]:
    """Versions of libraries that are in use, read at each call from the modules that an import finds now.

    transformers executes its own package twice while a model class is imported. A reference from before then is
    another module object than the one in `sys.modules`.
    """
    return [(name, str(import_module(name).__version__)) for name in names]


def recall(key: str | None) -> Proof | None:
    """A remembered proof; None where there is none, or none that can be read."""
    from coolfusion.models.huggingface import TIERS

    found = read_entry("proofs", key)
    if found is None or found.get("tier") not in TIERS or not isinstance(found.get("errors"), dict):
        return None
    errors = {
        tier: error for tier, error in found["errors"].items() if tier in TIERS and isinstance(error, float | str)
    }
    return Proof(found["tier"], errors)


def remember(key: str | None, proof: Proof) -> None:
    """Write a proof down; where that cannot be, the next load probes again."""
    write_entry("proofs", key, proof._asdict())


def read_entry(kind: str, key: str | None) -> dict[str, Any] | None:
    """An object that was written down; None where there is none, or none that can be read."""
    place = folder(kind)
    if key is None or place is None:
        return None
    try:
        found = json.loads((place / f"{key}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def write_entry(kind: str, key: str | None, value: dict[str, Any]) -> None:
    """Write an object down, whole or not at all."""
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
    """A digest of the code that is proved: another one may run models otherwise."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _code_of(kind: type) -> str:
    """A digest of what a module's class does in a pass."""
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
    """A few numbers of each weight, read where it lies."""
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
    """What JSON has no form for."""
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)
