"""Reads the tokenizer of a folder or a hub name, for ``Tokenizer.from_pretrained`` and so for ``Fusion`` too.

A hub name becomes a folder first. In a folder the file that holds the vocabulary is the truth. The first of these files
that exists is taken:

- ``tokenizer.json``;
- ``tekken.json``;
- a SentencePiece or tiktoken file;
- ``vocab.json`` with ``merges.txt``;
- ``vocab.txt``;
- the RWKV vocabulary;
- GGUF.

The configuration files declare the rest (`adapters.folder`, `adapters.declare`). A fact that no file states is left to
the class of transformers that the folder names.
"""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path

from coolfusion._core import Tokenizer, _Spec
from coolfusion.adapters.declare import declare, join
from coolfusion.adapters.folder import Configuration, read_configuration
from coolfusion.adapters.folder_formats import find_vocabulary, is_vocabulary_needed, spec_by_class
from coolfusion.adapters.objects import is_fast, with_frame
from coolfusion.adapters.wrap import spec_of, wrap
from coolfusion.errors import CoolFusionWarning, TokenizerFileError, UnsupportedTokenizerError
from coolfusion.extras import install_command

__all__ = ["from_pretrained", "resolve"]

_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
# Files of a hub repository that a tokenizer may need. Weights, GGUF among them, are not read for it.
_HUB_FILES = (
    *("tokenizer*", "*.model", "*.tiktoken", "tekken.json", "vocab*", "merges.txt", "*.spm", "rwkv*.txt"),
    *("added_tokens.json", "special_tokens_map.json", "config.json", "chat_template*", "additional_chat_templates/*"),
)
_EXPECTED = (
    "expected tokenizer.json, tekken.json, a SentencePiece (*.model) or tiktoken (*.tiktoken) file, "
    "vocab.json with merges.txt, vocab.txt, an RWKV vocabulary or a GGUF file"
)


def from_pretrained(
    name_or_dir: str | os.PathLike[str], *, trust_remote_code: bool = False, revision: str | None = None
) -> Tokenizer:
    """Returns the tokenizer of a model directory or of a name on the Hugging Face hub.

    Args:
        name_or_dir: a directory, a tokenizer file, or a hub name.
        trust_remote_code: run the Python code that comes with a tokenizer.
        revision: branch, tag or commit of a hub name.

    Raises:
        TokenizerFileError: there is no such directory, nothing in it that is a tokenizer, or a field of a configuration
            file has a wrong type.
        UnsupportedTokenizerError: only another library can read it, and that is not installed.
    """
    path = Path(name_or_dir).expanduser()
    if path.is_file():
        return Tokenizer.from_file(path)
    folder = resolve(name_or_dir, trust_remote_code=trust_remote_code, revision=revision)
    return _from_folder(folder, str(name_or_dir), trust_remote_code)


def resolve(name_or_dir: str | os.PathLike[str], *, trust_remote_code: bool, revision: str | None = None) -> Path:
    """Returns the directory itself, or for a hub name the one that holds its tokenizer files.

    The files of a hub name come from the cache where they can.

    Raises:
        TokenizerFileError: there is neither such a directory nor such a name.
        UnsupportedTokenizerError: a hub name, and huggingface_hub is not installed.
    """
    path, name = Path(name_or_dir).expanduser(), str(name_or_dir)
    if path.is_dir():
        return path
    if not _HUB_NAME.fullmatch(name) or name.startswith("."):
        raise TokenizerFileError(f"{name}: no such file or directory, expected a model directory or a hub name")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise UnsupportedTokenizerError(
            f"{name}: reading a tokenizer of the hub needs huggingface_hub: {install_command('hf')}"
        ) from error
    files = [*_HUB_FILES, "*.py"] if trust_remote_code else list(_HUB_FILES)
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=files))
    # Raised without a connection and cache, for an unknown repository or revision, and for a malformed name.
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise TokenizerFileError(f"{name}: no local directory, and as a hub name not to be had: {reason}") from error


def _from_folder(folder: Path, name: str, trust_remote_code: bool) -> Tokenizer:
    configuration = read_configuration(folder)
    by_code = trust_remote_code and configuration.remote_code and not (folder / "tokenizer.json").is_file()
    file = None if by_code else find_vocabulary(folder, configuration)
    if file is None:
        return _rebuilt(folder, name, configuration, trust_remote_code)
    spec, prefix = spec_by_class(file, configuration)
    return _joined(spec, name, str(file), configuration, prefix)


def _joined(
    spec: _Spec, name: str, file: str, configuration: Configuration, prefix: list[int] | None = None
) -> Tokenizer:
    """Returns the tokenizer of a file with the declarations of its folder, and warns of conflicts."""
    joined = join(spec, configuration.tokens)
    if joined.conflicts:
        more = f", and {len(joined.conflicts) - 3} more" if len(joined.conflicts) > 3 else ""
        warnings.warn(
            f"{name}: its files contradict each other: {'; '.join(joined.conflicts[:3])}{more}. The first one holds",
            CoolFusionWarning,
            stacklevel=5,
        )
    return declare(joined.spec.load(name), joined, configuration, file, prefix)


def _rebuilt(folder: Path, name: str, configuration: Configuration, trust_remote_code: bool) -> Tokenizer:
    """Returns the tokenizer that transformers makes, for a folder whose files alone do not define one."""
    by_code = trust_remote_code and configuration.remote_code
    if not by_code and is_vocabulary_needed(folder, configuration):
        found = ", ".join(sorted(each.name for each in folder.iterdir())[:8]) or "an empty directory"
        raise TokenizerFileError(f"{name}: no vocabulary, found {found}: {_EXPECTED}")
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise UnsupportedTokenizerError(
            f"{name}: reading this tokenizer needs transformers: {install_command('hf')}"
        ) from error
    try:
        obj = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=trust_remote_code, local_files_only=True)
    except Exception as error:  # transformers, tokenizers and code of the folder have no common root
        reason = (str(error).splitlines() or [""])[0]
        raise TokenizerFileError(f"{name}: transformers cannot load this tokenizer: {reason}") from error
    if obj is None or isinstance(obj, bool):
        raise TokenizerFileError(f"{name}: transformers found no tokenizer there")
    if is_fast(obj):
        tokenizer = _joined(spec_of(obj, name), name, name, configuration)
    else:
        tokenizer = with_frame(wrap(obj, name=name), obj, configuration.templates)
    if tokenizer.vocab_size <= len(tokenizer.control_ids) + len(tokenizer.unused_ids):
        raise TokenizerFileError(f"{name}: {type(obj).__name__} has no tokens but its special ones: {_EXPECTED}")
    return tokenizer
