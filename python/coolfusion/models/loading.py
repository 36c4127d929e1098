"""From names to runners and tokenizers through transformers, refusing what is wrong before anything heavy is read.

Local directories are checked first, all of them, so that a typing error in the third name does not cost the loading
of the first two. Weights are read from safetensors only: a pickle can run code and is never opened.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from coolfusion import Tokenizer
from coolfusion.errors import ArgumentError, ModelError
from coolfusion.models.config import find_end_ids
from coolfusion.models.header import read_json_object
from coolfusion.models.huggingface import HuggingFaceModel
from coolfusion.models.rebuilt import warn_of_rebuilt
from coolfusion.models.weights import load_module, tell_file
from coolfusion.pretrained import resolve

HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
INSTALL = "pip install 'coolfusion[hf]'"


class Loaded(NamedTuple):
    """A model ready to be a member.

    Attributes:
        model: the runner.
        tokenizer: the one in its files.
        prefix_ids: the ids that the tokenizer puts in front of a text, such as BOS.
    """

    model: HuggingFaceModel
    tokenizer: Tokenizer
    prefix_ids: tuple[int, ...]


def load_models(
    names: Sequence[str | Path],
    *,
    device: str | Sequence[str] | None = None,
    dtype: str | Any = "auto",
    trust_remote_code: bool = False,
    **model_options: Any,
) -> list[Loaded]:
    """Load causal models and their tokenizers.

    A name that stands twice is read once: the two runners share the weights, not the context.

    Args:
        names: local directories or hub names.
        device: a torch device for all or one for each; None takes the first GPU if there is one, else the CPU.
        dtype: "auto" (as the checkpoint says), a torch dtype or its name.
        trust_remote_code: whether code that comes with a model may run.
        model_options: passed on to transformers, such as `device_map`, `quantization_config` or
            `attn_implementation`. Where one of the first two is given transformers says where the weights lie.

    Raises:
        ModelError: a name is no directory with config.json and safetensors weights, or cannot be loaded.
        TokenizerError: the tokenizer of one cannot be loaded.
        ArgumentError: an unknown device or dtype.
    """
    checked = [check_model_name(name) for name in names]
    torch = _import_torch()
    devices = _check_devices(device, len(checked), torch)
    torch_dtype = _check_dtype(dtype, torch)
    shared: dict[tuple[str, str], tuple[Any, Any]] = {}
    loaded = []
    with _quiet_transformers():
        for name, place in zip(checked, devices, strict=True):
            if (name, place) not in shared:
                shared[name, place] = _load_one(name, place, torch_dtype, trust_remote_code, model_options)
            module, tokenizer = shared[name, place]
            label = Path(name).name
            ends = sorted(_end_ids(module, tokenizer))
            try:
                runner = HuggingFaceModel(module, name=label, end_ids=ends)
            except ModelError as err:
                raise ModelError(f"{name}: {err}{tell_file(name, str(err))}") from err
            loaded.append(Loaded(runner, tokenizer, tuple(tokenizer.prefix_ids)))
    return loaded


def check_model_name(name: str | Path) -> str:
    """The name, if it is a complete local model directory or may be a hub name.

    Raises:
        ModelError: what is missing, and what was expected.
    """
    path, text = Path(name), str(name)
    if path.exists() and not path.is_dir():
        raise ModelError(f"{text}: a file; expected a directory with config.json and *.safetensors")
    if not path.is_dir():
        # "models/x" may be a hub name, unless there is a folder "models" here.
        beside_others = path.parent != Path() and path.parent.is_dir()
        if isinstance(name, Path) or beside_others or text.startswith((".", "~")) or not HUB_NAME.fullmatch(text):
            raise ModelError(f"{text}: no such directory; expected one with config.json and *.safetensors")
        return text
    adapter = (path / "adapter_config.json").is_file()  # names its base model; transformers loads both, with peft
    if not adapter and not (path / "config.json").is_file():
        raise ModelError(f"{path}: no config.json; expected a transformers model directory")
    for file in (path / "config.json", path / "generation_config.json", path / "tokenizer.json"):
        if file.is_file():
            read_json_object(file)
    if not any(path.glob("*.safetensors")):
        pickles = sorted(file.name for pattern in PICKLES for file in path.glob(pattern))
        if pickles:
            raise ModelError(
                f"{path}: weights only as a pickle ({pickles[0]}), which can run code and is not opened; "
                "convert them to safetensors (model.save_pretrained(dir, safe_serialization=True))"
            )
        raise ModelError(f"{path}: no weights; expected *.safetensors")
    return str(path)


def _import_torch() -> Any:
    try:
        import torch
        import transformers  # noqa: F401 - the test is whether it can be imported
    except ImportError as err:
        raise ModelError(f"loading models needs torch and transformers: {INSTALL} ({err})") from err
    return torch


def _check_devices(device: str | Sequence[str] | None, count: int, torch: Any) -> list[str]:
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    places = [device] * count if not isinstance(device, list | tuple) else list(device)
    if len(places) != count:
        raise ArgumentError(f"{len(places)} devices for {count} models; expected one, or one for each")
    for place in places:
        try:
            torch.empty(0, device=place)
        except (RuntimeError, AssertionError, TypeError) as err:  # torch: unknown, not compiled in, not a device
            reason = str(err).splitlines()[0]
            raise ArgumentError(f"device {place!r} cannot be used: {reason}") from err
    return [str(place) for place in places]


def _check_dtype(dtype: Any, torch: Any) -> Any:
    if dtype is None or dtype == "auto":
        return "auto"
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ArgumentError(
            f"dtype {dtype!r} is unknown; expected 'auto', 'float32', 'bfloat16', 'float16' or 'float64'"
        )
    return found


def _load_one(name: str, device: str, dtype: Any, trust_remote_code: bool, options: dict[str, Any]) -> tuple[Any, Any]:
    """The module and its tokenizer.

    Quantised weights and those that transformers spreads over devices must not be moved afterwards.
    """
    tokenizer = _load_tokenizer(name, trust_remote_code, options.get("revision"))
    module = load_module(name, dtype, trust_remote_code, options)
    placed = "device_map" in options or getattr(module, "hf_device_map", None) or hasattr(module, "hf_quantizer")
    return (module if placed else module.to(device)).eval(), tokenizer


def _tokenizer_name(name: str) -> str:
    """Where the tokenizer lies: an adapter that was saved without one has that of its base model."""
    adapter = Path(name) / "adapter_config.json"
    if not adapter.is_file() or any(Path(name).glob("tokenizer*")):
        return name
    base = json.loads(adapter.read_text(encoding="utf-8")).get("base_model_name_or_path")
    return base if isinstance(base, str) else name


def _load_tokenizer(name: str, trust_remote_code: bool, revision: str | None) -> Tokenizer:
    source = _tokenizer_name(name)
    revision = revision if source == name else None  # that of an adapter is not that of its base model
    tokenizer = Tokenizer.from_pretrained(source, trust_remote_code=trust_remote_code, revision=revision)
    folder = resolve(source, trust_remote_code=trust_remote_code, revision=revision)
    warn_of_rebuilt(name, tokenizer, str(folder), trust_remote_code)
    return tokenizer


def _end_ids(module: Any, tokenizer: Tokenizer) -> set[int]:
    own = tokenizer.eos_id
    return find_end_ids(module) | ({own} if own is not None else set())


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Loading without progress bars and notes on stderr; what was set before is set again."""
    import huggingface_hub
    import transformers

    logging: Any = transformers.utils.logging
    hub: Any = huggingface_hub.utils.logging
    verbosity, hub_verbosity, bars = logging.get_verbosity(), hub.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    hub.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        hub.set_verbosity(hub_verbosity)
        if bars:
            logging.enable_progress_bar()
