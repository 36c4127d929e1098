"""Tells whether the tokenizer that transformers rebuilds from a folder is the one in the folder's file.

transformers takes vocabulary and merges out of a file and puts the stages of a class around them, which may be others
than the file's. The loop uses the file (:mod:`coolfusion.pretrained`), and warns of a difference once for each model.
"""

from __future__ import annotations

import warnings
from typing import Any

from coolfusion import Tokenizer
from coolfusion.errors import CoolFusionWarning
from coolfusion.foreign import PROBES, encoder

__all__ = ["warn_of_rebuilt"]

_MORE_PROBES = (" Hello", "2023", "1234567", "a  b", "I'm I'LL", "x=1;\n\n\ty", "e\u0301 \u00e9 \ufb01", "HELLO", "?!")


def warn_of_rebuilt(name: str, tokenizer: Tokenizer, folder: str, trust_remote_code: bool) -> None:
    """Warns where transformers' tokenizer of ``folder`` encodes a probe otherwise, or puts other ids before a text.

    What transformers cannot load is no difference: the loop does not need it.
    """
    from transformers import AutoTokenizer

    try:
        obj = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code, local_files_only=True)
        difference = _difference(obj, tokenizer)
    except Exception:  # noqa: BLE001 - transformers, tokenizers and code of the folder have no common root
        return
    if difference is not None:
        warnings.warn(
            f"{name}: transformers rebuilds this tokenizer as {type(obj).__name__}, which is not the one in its files: "
            f"{difference}. The files are used",
            CoolFusionWarning,
            stacklevel=5,
        )


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
