"""Loads runners and tokenizers by name, and refuses wrong names before anything heavy is read.

All local directories are checked first, because a typing error in the third name must not cost the loading of the first
two. Weights are read from safetensors only. A pickle is never opened, because it can run code.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from coolfusion._core import Tokenizer
from coolfusion.adapters.objects import with_declarations
from coolfusion.adapters.pretrained import resolve
from coolfusion.chat import chat_end_ids
from coolfusion.errors import ArgumentError, ModelError
from coolfusion.extras import install_command
from coolfusion.models.transformers.config import find_eos_token_ids
from coolfusion.models.transformers.header import read_json_object
from coolfusion.models.transformers.model import HuggingFaceModel
from coolfusion.models.transformers.rebuilt import warn_of_rebuilt
from coolfusion.models.transformers.weights import load_module, tell_file

HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
# Names that are checked before torch is imported; `_check_dtype` has the last word.
DTYPES = ("auto", "float32", "bfloat16", "float16", "float64", "float", "half", "double")


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
    threads: int | None = None,
    **model_options: Any,
) -> list[Loaded]:
    """Loads causal models and their tokenizers.

    A name that stands twice is read once. The two runners share the weights, not the context.

    Args:
        names: local directories or hub names.
        device: a torch device for all or one for each; None takes the first GPU if there is one, else the CPU.
        dtype: "auto" (as the checkpoint says), a torch dtype or its name.
        trust_remote_code: whether code that comes with a model may run.
        threads: number of torch's threads for one operation, from now on and in the whole process; None leaves it.
        model_options: passed on to transformers, such as `device_map`, `quantization_config` or
            `attn_implementation`. Where one of the first two is given transformers says where the weights lie.

    Raises:
        ModelError: a name is no directory with config.json and safetensors weights, or cannot be loaded.
        TokenizerError: the tokenizer of one cannot be loaded.
        ArgumentError: an unknown device or dtype, or a number outside its range.
    """
    check_arguments(names, device=device, dtype=dtype, threads=threads)
    torch = _import_torch()
    checked = [str(name) for name in names]
    devices = _check_devices(device, len(checked), torch)
    torch_dtype = _check_dtype(dtype, torch)
    if threads is not None:
        torch.set_num_threads(threads)
    shared: dict[tuple[str, str], tuple[Any, Any]] = {}
    loaded = []
    with _quiet_transformers():
        for name, place in zip(checked, devices, strict=True):
            if (name, place) not in shared:
                shared[name, place] = _load_one(name, place, torch_dtype, trust_remote_code, model_options)
            loaded.append(_runner(name, *shared[name, place]))
    return loaded


def _runner(name: str, module: Any, tokenizer: Tokenizer) -> Loaded:
    """Returns a runner of a module, with its tokenizer.

    Raises:
        ModelError: the model cannot be run.
    """
    ends = sorted(_eos_token_ids(module, tokenizer))
    try:
        runner = HuggingFaceModel(module, name=Path(name).name, eos_token_ids=ends)
    except ModelError as err:
        raise ModelError(f"{name}: {err}{tell_file(name, str(err))}") from err
    return Loaded(runner, tokenizer, tuple(tokenizer.prefix_ids))


def from_objects(
    module: Any,
    tokenizer: Any = None,
    *,
    name: str | None = None,
    eos_token_ids: Sequence[int] | None = None,
    max_model_len: int | None = None,
    trust_remote_code: bool = False,
) -> Loaded:
    """Returns the member parts of a loaded model, as `load_models` does for a folder.

    Args:
        module: a transformers model with a language-model head.
        tokenizer: anything that `Tokenizer.wrap` takes; None loads the one from where the model was loaded.
        name: the name in messages and records; None takes the last part of where the model was loaded from.
        eos_token_ids: ids that end a text; None takes those of the model's configurations and the tokenizer's EOS.
        max_model_len: most tokens of one context; None takes the number from the configuration.
        trust_remote_code: whether code that comes with a tokenizer may run; only where it is loaded.

    Raises:
        ArgumentError: no tokenizer, and the model does not say where it was loaded from.
        TokenizerError: the tokenizer cannot be loaded or used.
        ModelError: the model cannot be run.
    """
    source = getattr(module, "name_or_path", "")
    label = name or (Path(source).name if source else type(module).__name__)
    if tokenizer is None and not source:
        raise ArgumentError(f"tokenizer is None and {label} does not say where it was loaded from; pass its tokenizer")
    if tokenizer is None:
        tokenizer = _load_tokenizer(source, trust_remote_code, None)
    own = with_declarations(tokenizer)
    ends = sorted(_eos_token_ids(module, own)) if eos_token_ids is None else eos_token_ids
    runner = HuggingFaceModel(module, name=label, eos_token_ids=ends, max_model_len=max_model_len)
    return Loaded(runner, own, tuple(own.prefix_ids))


def check_arguments(
    names: Sequence[str | Path], *, device: Any = None, dtype: Any = "auto", threads: int | None = None
) -> None:
    """Checks all that can be checked before torch is imported and anything is read.

    Raises:
        ModelError: a name is no directory with config.json and safetensors weights.
        ArgumentError: a number of devices that is not that of the names, an unknown dtype, or no number of threads.
    """
    spread_devices(device, len(names))
    if isinstance(dtype, str) and dtype not in DTYPES:
        raise _unknown_dtype(dtype)
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise ArgumentError(f"threads must be None or a whole number of at least 1, not {threads!r}")
    for name in names:
        check_model_name(name)


def spread_devices(device: Any, count: int) -> list[Any]:
    """Returns one device for each of `count` models.

    Raises:
        ArgumentError: a list of another length.
    """
    places = list(device) if isinstance(device, list | tuple) else [device] * count
    if len(places) != count:
        raise ArgumentError(f"{len(places)} devices for {count} models; expected one, or one for each")
    return places


@lru_cache(maxsize=64)
def _read_once(file: Path, changed: int, size: int) -> None:
    """Reads a JSON object, once for each state of the file, because a tokenizer.json may hold 30 MB."""
    del changed, size  # part of the key
    read_json_object(file)


def check_model_name(name: str | Path) -> str:
    """Returns the name, if it is a complete local model directory or may be a hub name.

    Raises:
        ModelError: names the missing file, and the expected ones.
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
            state = file.stat()
            _read_once(file, state.st_mtime_ns, state.st_size)
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
        raise ModelError(f"loading models needs torch and transformers: {install_command('hf')} ({err})") from err
    return torch


def _check_devices(device: str | Sequence[str] | None, count: int, torch: Any) -> list[str]:
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    places = spread_devices(device, count)
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
        raise _unknown_dtype(dtype)
    return found


def _unknown_dtype(dtype: Any) -> ArgumentError:
    expected = "'auto', 'float32', 'bfloat16', 'float16' or 'float64'"
    return ArgumentError(f"dtype {dtype!r} is unknown; expected {expected}")


def _load_one(name: str, device: str, dtype: Any, trust_remote_code: bool, options: dict[str, Any]) -> tuple[Any, Any]:
    """Returns the module and its tokenizer.

    Quantised weights and those that transformers spreads over devices must not be moved afterwards.
    """
    tokenizer = _load_tokenizer(name, trust_remote_code, options.get("revision"))
    module = load_module(name, dtype, trust_remote_code, options)
    placed = "device_map" in options or getattr(module, "hf_device_map", None) or hasattr(module, "hf_quantizer")
    return (module if placed else module.to(device)).eval(), tokenizer


def _tokenizer_name(name: str) -> str:
    """Returns the folder of the tokenizer: an adapter that was saved without one has that of its base model."""
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


def _eos_token_ids(module: Any, tokenizer: Tokenizer) -> set[int]:
    own = tokenizer.eos_id
    return find_eos_token_ids(module) | ({own} if own is not None else set()) | chat_end_ids(tokenizer)


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Switches off progress bars and notes on stderr for the duration of the context."""
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
