"""Tells whether the tokenizer that transformers rebuilds from a folder is the one in the folder's file.

transformers takes vocabulary and merges out of a file and puts the stages of a class around them, which may be others
than the file's. The loop uses the file (`adapters.pretrained`), and warns of a difference once for each model.
The result is remembered in the same folder as the proofs (`proofs`), because it costs seconds to find.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

from coolfusion import _core
from coolfusion._core import Tokenizer
from coolfusion.adapters.generic import PROBES, encoder
from coolfusion.errors import CoolFusionWarning
from coolfusion.models.transformers import proofs

__all__ = ["warn_of_rebuilt"]

# Files of weights say nothing of the tokenizer, and take long to read.
WEIGHTS = {".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".h5", ".msgpack", ".onnx"}
_MORE_PROBES = (" Hello", "2023", "1234567", "a  b", "I'm I'LL", "x=1;\n\n\ty", "e\u0301 \u00e9 \ufb01", "HELLO", "?!")


def warn_of_rebuilt(name: str, tokenizer: Tokenizer, folder: str, trust_remote_code: bool) -> None:
    """Warns where transformers' tokenizer of ``folder`` encodes a probe otherwise, or puts other ids before a text.

    A tokenizer that transformers cannot load is no difference, because the loop does not need it.
    """
    key = None if trust_remote_code else _key(Path(folder))
    found = proofs.read_entry("rebuilt", key)
    if found is None or not all(isinstance(found.get(name), str) for name in ("class", "difference")):
        found = _compared(tokenizer, folder, trust_remote_code)
        if found is None:
            return
        proofs.write_entry("rebuilt", key, found)
    if found["difference"]:
        warnings.warn(
            f"{name}: transformers rebuilds this tokenizer as {found['class']}, which is not the one in its files: "
            f"{found['difference']}. The files are used",
            CoolFusionWarning,
            stacklevel=5,
        )


def _compared(tokenizer: Tokenizer, folder: str, trust_remote_code: bool) -> dict[str, str] | None:
    """Returns the class of transformers' tokenizer and its difference, "" for none; None where it cannot be loaded."""
    from transformers import AutoTokenizer

    try:
        obj = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code, local_files_only=True)
        difference = _difference(obj, tokenizer)
    except Exception:  # noqa: BLE001 - transformers, tokenizers and code of the folder have no common root
        return None
    return {"class": type(obj).__name__, "difference": difference or ""}


def _key(folder: Path) -> str | None:
    """Returns a digest of a folder's files without weights, the code and the libraries; None if one is unreadable."""
    digest = hashlib.sha256(repr(proofs.versions("coolfusion", "transformers", "tokenizers")).encode())
    digest.update(proofs.own_code().encode())
    core = Path(str(_core.__file__)).stat()
    digest.update(repr((core.st_size, core.st_mtime_ns)).encode())
    try:
        for file in sorted(each for each in folder.iterdir() if each.is_file() and each.suffix not in WEIGHTS):
            content = file.read_bytes()
            digest.update(repr((file.name, len(content))).encode())
            digest.update(content)
    except OSError:
        return None
    return digest.hexdigest()


def _difference(obj: Any, tokenizer: Tokenizer) -> str | None:
    encode, _ = encoder(obj)
    added = tokenizer.describe()["added_text_tokens"][:8]
    for text in (*PROBES, *_MORE_PROBES, *added):
        theirs, ours = encode(text), tokenizer.encode(text)
        if theirs != ours:
            return f"{text!r} is {theirs[:8]} there and {ours[:8]} in the files"
    framed, plain = list(obj("a")["input_ids"]), encode("a")
    starts = range(len(framed) - len(plain) + 1)
    at = next((start for start in starts if framed[start : start + len(plain)] == plain), 0)
    if framed[:at] != tokenizer.prefix_ids:
        return f"it puts {framed[:at]} before a text, and the files {tokenizer.prefix_ids}"
    return None
