"""Makes a :class:`coolfusion.Tokenizer` of a tokenizer object of any make, for ``Tokenizer.wrap``.

The best source is the object's own definition, because it gives exact boundaries and streams in time independent of the
context. So an object is asked, in this order, for a ``tokenizer.json``, for a SentencePiece model, and for tiktoken
ranks. A model or ranks found *inside* another object count only if both encode a set of probes alike. An object that
has none of these is used through its ``encode`` and ``decode`` alone.

Objects are recognised by their attributes, never by their class, so that none of the libraries has to be imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from coolfusion._core import Tokenizer, _Spec
from coolfusion.adapters.declare import join
from coolfusion.adapters.folder import Token
from coolfusion.adapters.generic import PROBES, control_ids, control_tokens, decoder, encoder, vocabulary_size
from coolfusion.adapters.token_bytes import starts, token_table
from coolfusion.errors import UnsupportedTokenizerError

__all__ = ["spec_of", "wrap"]

_EXPECTED = (
    "expected a transformers tokenizer, a tokenizers.Tokenizer, a tiktoken.Encoding, a SentencePieceProcessor, "
    "or an object with encode(text) and decode(ids)"
)


def wrap(obj: Any, *, name: str | None = None) -> Tokenizer:
    """Returns a ``Tokenizer`` that encodes and decodes as ``obj`` does, without BOS and EOS.

    Args:
        obj: a ``Tokenizer`` (returned as it is), or anything with ``encode`` and ``decode``. This may be a transformers
            tokenizer (fast, slow or of remote code), a ``tokenizers.Tokenizer``, a ``tiktoken.Encoding`` or a
            ``SentencePieceProcessor``.
        name: the name in errors and in ``describe()``; by default the object's own name, or that of its class.

    Raises:
        UnsupportedTokenizerError: ``obj`` is none of these.
        TokenizerError: the definition of ``obj`` is broken.

    Complexity: O(vocabulary).
    """
    if isinstance(obj, Tokenizer):
        return obj
    name = name or _name_of(obj)
    fast: Any = getattr(obj, "backend_tokenizer", None)
    if callable(getattr(fast, "to_str", None)):
        return spec_of(obj, name).load(name)
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


def spec_of(obj: Any, name: str) -> _Spec:
    """Returns the definition of a fast transformers tokenizer, with the tokens that it calls special."""
    spec = _Spec.of_json(obj.backend_tokenizer.to_str(), name)
    contents = obj.convert_ids_to_tokens(obj.all_special_ids)
    return join(spec, (Token(None, content, {"special": True}, "the object") for content in contents)).spec


def _definitions(obj: Any) -> Iterator[tuple[str, Any]]:
    """Yields (place, object) for each SentencePiece model or set of tiktoken ranks that is found in ``obj``."""
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
    """Returns the first probe that ``obj`` encodes to other ids, with both encodings; None if there is none."""
    encode, _ = encoder(obj)
    for text in PROBES:
        own, found = encode(text), list(tokenizer.encode(text))
        if own != found:
            return f"{text!r} is {own[:8]}, not {found[:8]}"
    return None


def _from_callables(obj: Any, name: str, notes: list[str]) -> Tokenizer:
    encode, framing = encoder(obj)
    decode = decoder(obj)
    # No object counts fewer ids than it gives.
    largest = max((token_id for text in PROBES for token_id in encode(text)), default=-1)
    size = max(vocabulary_size(obj, decode), 1 + largest)
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
    named = control_tokens(obj, controls)
    return Tokenizer._from_callables(
        encode, table, sorted(controls), drops, first, name, notes, control_tokens=named, object=obj
    )


def _name_of(obj: Any) -> str:
    names = (getattr(obj, each, None) for each in ("name_or_path", "name"))
    return next((each for each in names if isinstance(each, str) and each), type(obj).__name__)


def _type_name(obj: Any) -> str:
    return f"{type(obj).__module__}.{type(obj).__qualname__}"
