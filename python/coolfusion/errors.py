"""The exceptions that coolfusion raises on purpose.

::

    CoolFusionError
    ├── ArgumentError             (also ValueError)   an argument outside its range
    ├── TextError                 (also ValueError)   bytes that are not UTF-8, lone surrogates
    ├── ConcurrentUseError        (also RuntimeError) a stream that is at work in another thread
    ├── TransferError             (also TypeError)    an object that cannot be sent to another process
    ├── MissingPackageError       (also ImportError)  an optional package that is not installed
    ├── TokenizerError
    │   ├── TokenizerFileError    a missing, broken or unknown tokenizer file
    │   ├── UnsupportedTokenizerError   an object or definition that cannot be run here
    │   ├── UnknownTokenError     (also LookupError)  a token id that the vocabulary does not hold
    │   ├── UnrepresentableTextError    a text that a tokenizer cannot represent
    │   └── AlignmentError        encodings that are not of one text
    ├── ModelError                a model that cannot be loaded or run
    └── FusionError
        ├── NoModelsError         nothing to fuse
        ├── EmptyPromptError      a member has nothing to start from
        ├── PromptTooLongError    a prompt above a member's limit that was not to be cut
        ├── RequestTimeoutError   (also TimeoutError) a request that did not end in time
        └── NoCandidateError      no candidate that every member can represent

The Rust core raises the classes above ``ModelError`` too. Every message names the value, the position and the expected
form. A ``FusionError`` that is raised after generation began carries the unfinished ``Output`` in ``partial``.

Every warning of this package is a ``CoolFusionWarning`` (a ``UserWarning``), so that one filter matches them all.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AlignmentError",
    "ArgumentError",
    "ConcurrentUseError",
    "CoolFusionError",
    "CoolFusionWarning",
    "EmptyPromptError",
    "FusionError",
    "MissingPackageError",
    "ModelError",
    "NoCandidateError",
    "NoModelsError",
    "PromptTooLongError",
    "RequestTimeoutError",
    "TextError",
    "TokenizerError",
    "TokenizerFileError",
    "TransferError",
    "UnknownTokenError",
    "UnrepresentableTextError",
    "UnsupportedTokenizerError",
]


class CoolFusionError(Exception):
    """The base class of all errors that coolfusion raises on purpose.

    Attributes:
        partial: the unfinished ``Output`` at the time of the error, or None if nothing was written.
    """

    partial: Any = None


class ArgumentError(CoolFusionError, ValueError):
    """An argument that is outside its range, for example a `max_bytes` of 8."""


class TextError(CoolFusionError, ValueError):
    """A text that is not valid Unicode, with bytes that are not UTF-8 or a lone surrogate in a ``str``."""


class ConcurrentUseError(CoolFusionError, RuntimeError):
    """A call of a stream or segmenter during another thread's call, which alone changes the stream."""


class TransferError(CoolFusionError, TypeError):
    """An object that cannot be pickled, such as a stream at work or a tokenizer around such an object."""


class MissingPackageError(CoolFusionError, ImportError):
    """A call that needs an optional package that is not installed, for example transformers."""


class TokenizerError(CoolFusionError):
    """A tokenizer that cannot be loaded, or cannot encode or decode its argument."""


class TokenizerFileError(TokenizerError):
    """A tokenizer file that is missing, broken or of an unknown format."""


class UnsupportedTokenizerError(TokenizerError):
    """An object or a definition that this package cannot run as a tokenizer."""


class UnknownTokenError(TokenizerError, LookupError):
    """A token id that is not in the vocabulary, for example 300 in a vocabulary of 269 ids."""


class UnrepresentableTextError(TokenizerError):
    """A text that a tokenizer cannot represent, because decoding its ids gives other bytes."""


class AlignmentError(TokenizerError):
    """An encoding that cannot be aligned with others, because it is one of another text."""


class ModelError(CoolFusionError):
    """A model that cannot be loaded, or that returned unusable values, for example logits that are not numbers."""


class FusionError(CoolFusionError):
    """A fusion that cannot start or cannot go on."""


class NoModelsError(FusionError):
    """A fusion without any model."""


class EmptyPromptError(FusionError):
    """An empty prompt for a member without a token to start from, such as BOS."""


class PromptTooLongError(FusionError):
    """A prompt above the limit of a member, in a request that does not allow it to be cut."""


class RequestTimeoutError(FusionError, TimeoutError):
    """A request that did not end within its timeout; `partial` holds the text written so far."""


class NoCandidateError(FusionError):
    """A step without a candidate that every member can represent."""


class CoolFusionWarning(UserWarning):
    """A warning of behaviour that a caller may not expect; the message names the remedy."""
