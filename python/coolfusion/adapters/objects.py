"""Reads the declarations of tokenizer objects: BOS, EOS, the ids before a text, and the chat templates.

`wrap` takes the encoding and decoding of an object. A member of a fusion also needs the ids with which a prompt begins
and a text ends, as `from_pretrained` reads them from files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coolfusion._core import Tokenizer, _Spec
from coolfusion.adapters.declare import declare, join
from coolfusion.adapters.folder import Configuration
from coolfusion.adapters.wrap import spec_of, wrap

__all__ = ["is_fast", "with_declarations", "with_frame"]


def is_fast(obj: Any) -> bool:
    """Returns whether an object is a transformers tokenizer around a definition of the tokenizers library."""
    return callable(getattr(getattr(obj, "backend_tokenizer", None), "to_str", None))


def with_declarations(obj: Any, *, name: str | None = None) -> Tokenizer:
    """Returns the tokenizer that `wrap` makes of an object, with the declarations of the object.

    Args:
        obj: anything that `Tokenizer.wrap` takes; a `Tokenizer` is returned as it is.
        name: the name of the tokenizer in errors and in `describe()`.

    Raises:
        UnsupportedTokenizerError: `obj` is no tokenizer.
        TokenizerError: its definition is broken.
    """
    if isinstance(obj, Tokenizer):
        return obj
    inner = getattr(obj, "tokenizer", None)
    if inner is not None and not callable(getattr(obj, "encode", None)):  # a transformers processor
        return with_declarations(inner, name=name)
    tokenizer = wrap(obj, name=name)
    if is_fast(obj):
        spec = spec_of(obj, tokenizer.name)
    elif callable(getattr(obj, "to_str", None)) and callable(getattr(obj, "get_vocab", None)):
        spec = _Spec.of_json(obj.to_str(), tokenizer.name)
    else:
        return with_frame(tokenizer, obj, _templates(obj))
    roles = {role: getattr(obj, role, None) for role in ("bos_token", "eos_token")}
    named = {role: str(content) for role, content in roles.items() if content}
    configuration = Configuration(roles=named, templates=_templates(obj))
    return declare(tokenizer, join(spec, ()), configuration, tokenizer.name)


def with_frame(tokenizer: Tokenizer, obj: Any, templates: Mapping[str, str]) -> Tokenizer:
    """Returns `tokenizer` with the BOS, the EOS and the ids before a text of the object that it wraps."""
    bos, eos = (getattr(obj, each, None) for each in ("bos_token_id", "eos_token_id"))
    prefix: list[int] = []
    if callable(getattr(obj, "build_inputs_with_special_tokens", None)):
        framed, mark = obj.build_inputs_with_special_tokens([-1]), -1
        prefix = list(framed[: framed.index(mark)]) if mark in framed else []
    ids = [each if isinstance(each, int) and not isinstance(each, bool) else None for each in (bos, eos)]
    return tokenizer._declaring(ids[0], ids[1], prefix, dict(templates))


def _templates(obj: Any) -> dict[str, str]:
    """Returns the chat templates of a transformers tokenizer, by name."""
    found = getattr(obj, "chat_template", None)
    if isinstance(found, str):
        return {"default": found}
    named = found.items() if isinstance(found, Mapping) else ()
    return {str(name): template for name, template in named if isinstance(template, str)}
