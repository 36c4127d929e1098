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
    │   ├── UnrepresentableTextError    a text that a tokenizer cannot say
    │   └── AlignmentError        encodings that are not of one text
    ├── ModelError                a model that cannot be loaded or run
    └── FusionError
        ├── NoModelsError         nothing to fuse
        ├── EmptyPromptError      a member has nothing to start from
        ├── PromptTooLongError    a prompt above a member's limit that was not to be cut
        ├── RequestTimeoutError   (also TimeoutError) a request that did not end in time
        └── NoCandidateError      no candidate can be said by every member

The Rust core raises the classes above ``ModelError`` too. Every message names the value, the position and what was
expected. A ``FusionError`` raised after generation began carries what was written so far in
``partial``.

Every warning of this package is a ``CoolFusionWarning`` (a ``UserWarning``), so that filters can name them all.
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
    """Root of all errors that coolfusion raises on purpose.

    Attributes:
        partial: what was already written when the error came (an ``Output``), or None.
    """

    partial: Any = None


class ArgumentError(CoolFusionError, ValueError):
    """An argument is outside its range."""


class TextError(CoolFusionError, ValueError):
    """A text is not valid Unicode: bytes that are not UTF-8, or a lone surrogate in a ``str``."""


class ConcurrentUseError(CoolFusionError, RuntimeError):
    """A stream or segmenter is called while another call on it has not come back; it is as that call leaves it."""


class TransferError(CoolFusionError, TypeError):
    """An object cannot be pickled: a stream at work, or a tokenizer around an object that cannot."""


class MissingPackageError(CoolFusionError, ImportError):
    """Something needs an optional package that is not installed."""


class TokenizerError(CoolFusionError):
    """A tokenizer cannot be loaded or cannot do what was asked."""


class TokenizerFileError(TokenizerError):
    """A tokenizer file is missing, broken or of an unknown kind."""


class UnsupportedTokenizerError(TokenizerError):
    """An object or a definition that cannot be used as a tokenizer here."""


class UnknownTokenError(TokenizerError, LookupError):
    """A token id is not in the vocabulary."""


class UnrepresentableTextError(TokenizerError):
    """A tokenizer cannot say a text: decoding its encoding gives other bytes."""


class AlignmentError(TokenizerError):
    """An encoding that is to be aligned with others is not one of the same text."""


class ModelError(CoolFusionError):
    """A model cannot be loaded, or answered with something that cannot be used."""


class FusionError(CoolFusionError):
    """A fusion cannot start or cannot go on."""


class NoModelsError(FusionError):
    """There is no model to fuse."""


class EmptyPromptError(FusionError):
    """The prompt is empty and a member has no token to start from."""


class PromptTooLongError(FusionError):
    """A prompt is longer than what a member can hold, and was not to be cut."""


class RequestTimeoutError(FusionError, TimeoutError):
    """A request did not end within its timeout; `partial` holds what was written."""


class NoCandidateError(FusionError):
    """No candidate can be said by every member."""


class CoolFusionWarning(UserWarning):
    """Something was done otherwise than a caller may expect; the message says what to do about it."""
