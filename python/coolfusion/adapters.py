"""Tokenizers of any make as a :class:`coolfusion.Tokenizer`: ``Tokenizer.wrap`` and ``Tokenizer.from_pretrained``.

The best source is the object's own definition: it gives exact boundaries and streams in time independent of the
context. So an object is asked, in this order, for a ``tokenizer.json``, for a SentencePiece model, and for tiktoken
ranks; a definition found *inside* another object counts only if both encode a set of probes alike. What has none of
these is used through its ``encode`` and ``decode`` alone.

Objects are known by what they offer, never by their class: none of the libraries is imported to look at one.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from coolfusion._core import Tokenizer
from coolfusion.errors import TokenizerFileError, UnsupportedTokenizerError
from coolfusion.foreign import PROBES, control_ids, decoder, encoder, vocabulary_size
from coolfusion.token_table import starts, token_table

__all__ = ["from_pretrained", "wrap"]

_EXPECTED = (
    "expected a transformers tokenizer, a tokenizers.Tokenizer, a tiktoken.Encoding, a SentencePieceProcessor, "
    "or an object with encode(text) and decode(ids)"
)
# sentencepiece.bpe.model is missing on purpose: XLM-R and its kin shift the ids of that file in their own class.
_MODEL_FILES = ("tokenizer.model", "spiece.model", "*.tiktoken", "*.model")
_CLASS_FILES = ("tokenizer_config.json", "vocab.json", "vocab.txt", "sentencepiece.bpe.model")
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def wrap(obj: Any, *, name: str | None = None) -> Tokenizer:
    """A ``Tokenizer`` that encodes and decodes as ``obj`` does, without BOS and EOS.

    Args:
        obj: a transformers tokenizer (fast, slow or of remote code), a ``tokenizers.Tokenizer``, a
            ``tiktoken.Encoding``, a ``SentencePieceProcessor``, a ``Tokenizer`` (returned as it is), or anything with
            ``encode`` and ``decode``.
        name: how errors and ``describe()`` call it; by default its own name, or that of its class.

    Raises:
        UnsupportedTokenizerError: if ``obj`` is none of these.
        TokenizerError: if its definition is broken.

    Complexity: O(vocabulary).
    """
    if isinstance(obj, Tokenizer):
        return obj
    name = name or _name_of(obj)
    fast: Any = getattr(obj, "backend_tokenizer", None)
    if callable(getattr(fast, "to_str", None)):
        specials = zip(obj.all_special_ids, obj.convert_ids_to_tokens(obj.all_special_ids), strict=True)
        return _from_definition(json.loads(fast.to_str()), specials, name)
    if callable(getattr(obj, "to_str", None)) and callable(getattr(obj, "get_vocab", None)):
        return Tokenizer._from_json(obj.to_str(), name)
    notes = []
    for what, inner in _definitions(obj):
        try:
            tokenizer = _from_inner(inner, name)
        except UnsupportedTokenizerError as error:  # a SentencePiece model of type CHAR, for one
            notes.append(f"{what} cannot be used: {error}")
            continue
        if inner is obj:
            return tokenizer
        difference = _difference(tokenizer, obj)
        if difference is None:
            return tokenizer
        notes.append(f"{what} is not what the object encodes with: {difference}")
    if not (callable(getattr(obj, "encode", None)) and callable(getattr(obj, "decode", None))):
        if getattr(obj, "tokenizer", None) is not None:  # a transformers processor
            return wrap(obj.tokenizer, name=name)
        raise UnsupportedTokenizerError(f"{name}: cannot use an object of type {_type_name(obj)}: {_EXPECTED}")
    return _from_callables(obj, name, notes)


def _definitions(obj: Any) -> Iterator[tuple[str, Any]]:
    """(where it was found, object) for each SentencePiece model or set of tiktoken ranks in ``obj``."""
    inside = [("", obj)] + [(f".{each}", getattr(obj, each, None)) for each in ("sp_model", "tokenizer", "model")]
    # ChatGLM3: .tokenizer is a class of its own with an .sp_model
    inside.append((".tokenizer.sp_model", getattr(getattr(obj, "tokenizer", None), "sp_model", None)))
    for where, inner in inside:
        if callable(getattr(inner, "serialized_model_proto", None)):
            yield f"the SentencePiece model{where and ' in ' + where}", inner
        elif isinstance(getattr(inner, "_mergeable_ranks", None), Mapping) and isinstance(
            getattr(inner, "_pat_str", None), str
        ):
            yield f"the tiktoken ranks{where and ' in ' + where}", inner


def _from_inner(inner: Any, name: str) -> Tokenizer:
    if callable(getattr(inner, "serialized_model_proto", None)):
        return Tokenizer._from_sentencepiece(inner.serialized_model_proto(), name)
    specials = getattr(inner, "_special_tokens", {})
    return Tokenizer._from_ranks(list(inner._mergeable_ranks.items()), inner._pat_str, list(specials.items()), name)


def _difference(tokenizer: Tokenizer, obj: Any) -> str | None:
    """The first probe that ``obj`` encodes to other ids, or None."""
    encode, _ = encoder(obj)
    for text in PROBES:
        own, found = encode(text), list(tokenizer.encode(text))
        if own != found:
            return f"{text!r} is {own[:8]}, not {found[:8]}"
    return None


def _from_callables(obj: Any, name: str, notes: list[str]) -> Tokenizer:
    encode, framing = encoder(obj)
    decode = decoder(obj)
    size = vocabulary_size(obj, decode)
    if size <= 0:
        raise UnsupportedTokenizerError(f"{name}: {_type_name(obj)} has no tokens: expected ids from 0 on")
    table = token_table(obj, encode, decode, size)
    # A token that writes nothing cannot be part of a text.
    silent = {token_id for token_id, data in enumerate(table) if data == b""}
    controls = control_ids(obj, size) | silent
    opaque = sum(data is None for token_id, data in enumerate(table) if token_id not in controls)
    notes = [*notes, *framing, f"used through encode and decode of {_type_name(obj)}"]
    if opaque:
        notes.append(f"the bytes of {opaque} of {size} ids could not be found out by decoding")
    texts = {token_id: data for token_id, data in enumerate(table) if data and token_id not in controls}
    drops, first = starts(encode, decode, texts)
    return Tokenizer._from_callables(encode, table, sorted(controls), drops, first, name, notes)


def from_pretrained(
    name_or_dir: str | os.PathLike[str], *, trust_remote_code: bool = False, revision: str | None = None
) -> Tokenizer:
    """The tokenizer of a model directory or of a name on the Hugging Face hub.

    A directory is read without transformers wherever it can be: ``tokenizer.json`` (with the special tokens that only
    ``tokenizer_config.json`` knows), else a SentencePiece or tiktoken file. Everything else goes through
    ``transformers.AutoTokenizer``.

    Args:
        name_or_dir: a directory, a tokenizer file, or a hub name.
        trust_remote_code: run the Python code that comes with a tokenizer.
        revision: branch, tag or commit of a hub name.

    Raises:
        TokenizerFileError: if there is no such directory, or nothing in it that is a tokenizer.
        UnsupportedTokenizerError: if only transformers can read it and that is not installed.
    """
    path = Path(name_or_dir).expanduser()
    if path.is_file():
        return Tokenizer.from_file(path)
    if path.is_dir():
        return _from_directory(path, trust_remote_code)
    if not _HUB_NAME.fullmatch(str(name_or_dir)) or str(name_or_dir).startswith("."):
        raise TokenizerFileError(f"{name_or_dir}: no such file or directory, expected a model directory or a hub name")
    return _from_transformers(str(name_or_dir), trust_remote_code, revision)


def _from_directory(path: Path, trust_remote_code: bool) -> Tokenizer:
    if (path / "tokenizer.json").is_file():
        definition = _read_json(path / "tokenizer.json")
        if not isinstance(definition.get("model"), Mapping):
            raise TokenizerFileError(f"{path / 'tokenizer.json'}: no `model`, expected a Hugging Face tokenizer.json")
        return _from_definition(definition, _configured(path, definition), str(path))
    models = (each for pattern in _MODEL_FILES for each in sorted(path.glob(pattern)))
    model = next((each for each in models if each.name != "sentencepiece.bpe.model"), None)
    # Of remote code only its own class knows the split pattern of tiktoken ranks, and the ids beside them.
    if model is not None and not trust_remote_code:
        return Tokenizer.from_file(model)
    if model is not None or any((path / each).is_file() for each in _CLASS_FILES):
        return _from_transformers(str(path), trust_remote_code, None)
    found = ", ".join(sorted(each.name for each in path.iterdir())[:8]) or "an empty directory"
    raise TokenizerFileError(
        f"{path}: no tokenizer, found {found}: expected tokenizer.json, a SentencePiece or tiktoken model, "
        "or tokenizer_config.json"
    )


def _from_transformers(name: str, trust_remote_code: bool, revision: str | None) -> Tokenizer:
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise UnsupportedTokenizerError(
            f"{name}: reading this tokenizer needs transformers: pip install 'coolfusion[hf]'"
        ) from error
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code, "local_files_only": Path(name).is_dir()}
    try:
        obj = AutoTokenizer.from_pretrained(name, revision=revision or "main", **options)
    # What it raises for a missing repository or file, a broken file, a missing package, an unknown class.
    except (OSError, ValueError, ImportError, KeyError, AttributeError, TypeError) as error:
        raise TokenizerFileError(f"{name}: transformers cannot load this tokenizer: {error}") from error
    if obj is None or isinstance(obj, bool):
        raise TokenizerFileError(f"{name}: transformers found no tokenizer there")
    return wrap(obj, name=name)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, not JSON
        raise TokenizerFileError(f"{path}: cannot be read as JSON ({error}), expected an object") from error
    if not isinstance(value, dict):
        raise TokenizerFileError(f"{path}: a JSON {type(value).__name__}, expected an object")
    return value


def _configured(path: Path, definition: Mapping[str, Any]) -> Iterator[tuple[int, str | Mapping[str, Any]]]:
    """(id, token) that ``tokenizer_config.json`` and ``special_tokens_map.json`` know beside ``tokenizer.json``."""
    ids = _ids_by_content(definition)
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        if not (path / file).is_file():
            continue
        config = _read_json(path / file)
        for token_id, token in (config.get("added_tokens_decoder") or {}).items():
            if isinstance(token, Mapping) and str(token_id).isdigit() and isinstance(token.get("content"), str):
                yield int(token_id), token
        named = [value for key, value in config.items() if key.endswith("_token")]
        for key in ("additional_special_tokens", "extra_special_tokens"):
            more = config.get(key) or ()
            named += more.values() if isinstance(more, Mapping) else more
        for token in named:
            content = token.get("content") if isinstance(token, Mapping) else token
            if isinstance(content, str) and content in ids:
                yield ids[content], content


def _ids_by_content(definition: Mapping[str, Any]) -> dict[str, int]:
    vocab = definition["model"].get("vocab") or {}
    pairs = vocab.items() if isinstance(vocab, Mapping) else ((entry[0], index) for index, entry in enumerate(vocab))
    return dict(pairs) | {token["content"]: token["id"] for token in definition.get("added_tokens") or ()}


def _from_definition(
    definition: dict[str, Any], specials: Iterable[tuple[int, str | Mapping[str, Any]]], name: str
) -> Tokenizer:
    """``definition`` with ``specials`` (content alone: special) among its added tokens."""
    added = {token["id"]: token for token in definition.get("added_tokens") or ()}
    for token_id, token in specials:
        if isinstance(token, Mapping):
            added.setdefault(token_id, {**token, "id": token_id})
        # A padding token may be an ordinary one, such as "!": a single character stays text.
        elif token_id in added or len(token) > 1:
            entry = added.setdefault(token_id, {"id": token_id, "content": token, "normalized": False})
            entry["special"] = True
    for token in added.values():
        for key in ("single_word", "lstrip", "rstrip", "normalized", "special"):
            token.setdefault(key, False)
    definition["added_tokens"] = [added[token_id] for token_id in sorted(added)]
    # Without this the library's numbering counts: the next free id for each token that is no piece.
    definition["declared_ids"] = True
    return Tokenizer._from_json(json.dumps(definition, ensure_ascii=False), name)


def _name_of(obj: Any) -> str:
    names = (getattr(obj, each, None) for each in ("name_or_path", "name"))
    return next((each for each in names if isinstance(each, str) and each), type(obj).__name__)


def _type_name(obj: Any) -> str:
    return f"{type(obj).__module__}.{type(obj).__qualname__}"
