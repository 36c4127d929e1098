"""Several language models write one text together, and text crosses from one tokenizer to another byte for byte.

>>> import coolfusion as cf
>>> import coolfusion.toy
>>> tok = coolfusion.toy.tokenizer()
>>> tok.word_boundaries("the cat sat")
[3, 7]

The primitives are :class:`Tokenizer`, :class:`StreamDecoder`, :class:`StreamEncoder`, :class:`Segmenter` and
:func:`align`. They need nothing but this package, and NumPy for the arrays of an alignment. The fusion of transformers
models needs ``pip install coolfusion[hf]``. ``docs/`` holds guides, definitions and proofs. Importing this package
imports neither torch nor transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from coolfusion._core import (
    Alignment,
    Edit,
    Segment,
    Segmenter,
    StreamDecoder,
    StreamEncoder,
    Tokenizer,
    __version__,
    align,
    common_boundaries,
)
from coolfusion.errors import (
    AlignmentError,
    ArgumentError,
    ConcurrentUseError,
    CoolFusionError,
    CoolFusionWarning,
    EmptyPromptError,
    FusionError,
    MissingPackageError,
    ModelError,
    NoCandidateError,
    NoModelsError,
    PromptTooLongError,
    RequestTimeoutError,
    TextError,
    TokenizerError,
    TokenizerFileError,
    TransferError,
    UnknownTokenError,
    UnrepresentableTextError,
    UnsupportedTokenizerError,
)

if TYPE_CHECKING:
    from coolfusion.fusion import Fusion, FusionEngine, Member, Request, Rerank, SelectionRule, Think
    from coolfusion.records import Candidate, Continuation, Output, Rejection, Score, Step

__all__ = [
    "Alignment",
    "AlignmentError",
    "ArgumentError",
    "Candidate",
    "ConcurrentUseError",
    "Continuation",
    "CoolFusionError",
    "CoolFusionWarning",
    "Edit",
    "EmptyPromptError",
    "Fusion",
    "FusionEngine",
    "FusionError",
    "Member",
    "MissingPackageError",
    "ModelError",
    "NoCandidateError",
    "NoModelsError",
    "Output",
    "PromptTooLongError",
    "Rejection",
    "Request",
    "RequestTimeoutError",
    "Rerank",
    "Score",
    "Segment",
    "Segmenter",
    "SelectionRule",
    "Step",
    "StreamDecoder",
    "StreamEncoder",
    "TextError",
    "Think",
    "Tokenizer",
    "TokenizerError",
    "TokenizerFileError",
    "TransferError",
    "UnknownTokenError",
    "UnrepresentableTextError",
    "UnsupportedTokenizerError",
    "__version__",
    "align",
    "common_boundaries",
]

# Loaded on first use, so that the primitives stay as quick to import as they are.
_LAZY = {
    "Candidate": "coolfusion.records",
    "Continuation": "coolfusion.records",
    "Fusion": "coolfusion.fusion",
    "FusionEngine": "coolfusion.fusion",
    "Member": "coolfusion.fusion",
    "Output": "coolfusion.records",
    "Rejection": "coolfusion.records",
    "Request": "coolfusion.fusion",
    "Rerank": "coolfusion.fusion",
    "Score": "coolfusion.records",
    "SelectionRule": "coolfusion.fusion",
    "Step": "coolfusion.records",
    "Think": "coolfusion.fusion",
}


def __getattr__(name: str) -> Any:
    """Loads the names of the fusion loop when they are first asked for."""
    if name in _LAZY:
        value = getattr(import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Lists the public names, the lazy ones included."""
    return sorted(set(globals()) | set(_LAZY))
