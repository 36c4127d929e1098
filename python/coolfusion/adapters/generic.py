"""Asks an object with ``encode`` and ``decode`` alone for plain ids, literal text, its size and its specials.

Options are passed only to a function that names them, because another function may refuse an unknown option. The
exceptions caught here are those that decoders raise for ids that they do not have (``LookupError`` and kin). Any other
exception is the object's own and goes through.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

__all__ = [
    "PROBES",
    "Decode",
    "Encode",
    "attempt",
    "control_ids",
    "control_tokens",
    "decoder",
    "encoder",
    "speller",
    "vocabulary_size",
]

Encode = Callable[[str], list[int]]
Decode = Callable[[list[int]], str]

# Texts on which the framing of an encoder is checked: words, digits, white space, other scripts.
PROBES = ("Hello world", " two  spaces", "a\nb\n", "don't 3,456.78", "Grüße, 日本語 👩‍🚀", "\tx\r\n ", "x")
# Exceptions that decoders raise for an id that they do not have. A Rust extension raises OverflowError above 2^32.
_NO_SUCH_ID = (LookupError, ValueError, OverflowError, TypeError)
# In an object without any size this many empty or failing ids in a row are taken for the end.
_GAP = 1024
_SPELLERS = ("convert_ids_to_tokens", "id_to_token", "id_to_piece")
# Attributes that hold the spelling of each id, as RWKV's and GPT-2's tokenizers have them.
_SPELLINGS = ("idx2token", "id2token", "id_to_token", "ids_to_tokens", "itos", "decoder")
_MOST_IDS = 1 << 21


def attempt(function: Callable[[Any], Any], argument: Any) -> Any:
    """Returns the result of ``function(argument)``, or None if there is no such id."""
    try:
        return function(argument)
    except _NO_SUCH_ID:
        return None


def _spellings(obj: Any) -> Mapping[int, Any]:
    """Returns the spelling of each id from an attribute of the object or its vocabulary, or nothing without both."""
    for name in _SPELLINGS:
        found = getattr(obj, name, None)
        if isinstance(found, list | tuple):
            found = dict(enumerate(found))
        if isinstance(found, Mapping) and found and all(isinstance(each, int) for each in found):
            return found
    vocabulary = obj.get_vocab() if callable(getattr(obj, "get_vocab", None)) else None
    if not isinstance(vocabulary, Mapping):
        return {}
    return {token_id: token for token, token_id in vocabulary.items() if isinstance(token_id, int)}


def speller(obj: Any) -> Callable[[int], Any] | None:
    """Returns a function from an id to its spelling by the object, or None if the object has no spellings."""
    spell = next((getattr(obj, each) for each in _SPELLERS if callable(getattr(obj, each, None))), None)
    if spell is None and (spellings := _spellings(obj)):
        return spellings.get
    return spell


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Returns the parameters of a function, or none for a function without a signature, such as some built-in ones."""
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def _options(function: Callable[..., Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those of the ``wanted`` keyword arguments that ``function`` takes.

    A function that names at least one of them and has ``**kwargs``, as transformers' methods have, takes all of them.
    """
    parameters = _parameters(function)
    named = {name: value for name, value in wanted.items() if name in parameters}
    anything = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    return dict(wanted) if named and anything else named


def _id_list(result: Any) -> list[int]:
    """Returns the ids in the result of an ``encode``: a list, an array, an ``Encoding`` or a ``BatchEncoding``."""
    if isinstance(result, Mapping):
        result = result["input_ids"]
    result = getattr(result, "ids", result)
    if hasattr(result, "tolist"):
        result = result.tolist()
    ids = list(result)
    if len(ids) == 1 and isinstance(ids[0], list | tuple):
        ids = list(ids[0])
    return [int(each) for each in ids]


def encoder(obj: Any) -> tuple[Encode, list[str]]:
    """Returns ``encode`` without special tokens, and notes on the way in which they were left out.

    Where the object has no option that leaves BOS and EOS out, they are the ids of ``encode("")``. These ids are taken
    away if every probe begins and ends with them.

    Raises:
        UnsupportedTokenizerError: the object adds ids that cannot be told from those of the text.
    """
    if callable(getattr(obj, "encode_ordinary", None)):
        return lambda text: _id_list(obj.encode_ordinary(text)), ["encoded by its encode_ordinary"]
    plain: dict[str, Any] = {"add_special_tokens": False}
    if hasattr(obj, "split_special_tokens"):  # transformers: text that looks like a special token is text
        plain["split_special_tokens"] = True
    options = _options(obj.encode, plain) | _options(obj.encode, {"disallowed_special": ()})
    options |= _options(obj.encode, {"out_type": int, "add_bos": False, "add_eos": False, "enable_sampling": False})

    def encode(text: str) -> list[int]:
        return _id_list(obj.encode(text, **options))

    frame = encode("")
    if not frame:
        return encode, []
    encodings = [encode(text) for text in PROBES]
    for cut in range(len(frame) + 1):
        head, tail = frame[:cut], frame[cut:]
        if all(ids[:cut] == head and ids[len(ids) - len(tail) :] == tail for ids in encodings):
            notes = [f"encode adds {head} before and {tail} after every text; they are taken away"]
            return _trimmed(encode, len(head), len(tail)), notes
    # A dummy prefix that even an empty text gets is part of the text's own tokens.
    return encode, [f"encode gives {frame} for an empty text"]


def _trimmed(encode: Encode, head: int, tail: int) -> Encode:
    def trimmed(text: str) -> list[int]:
        ids = encode(text)
        return ids[head : len(ids) - tail]

    return trimmed


def decoder(obj: Any) -> Decode:
    """Returns the ``decode`` of the object with the options that make it most literal."""
    exact = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
    options = _options(obj.decode, exact)

    def decode(ids: list[int]) -> str:
        text = obj.decode(ids, **options)
        return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)

    return decode


def _is_id(decode: Decode, token_id: int) -> bool:
    """Returns whether an id has a text.

    A decoder that refuses bytes that are no character has found such bytes.
    """
    try:
        return bool(decode([token_id]))
    except UnicodeError:
        return True
    except _NO_SUCH_ID:
        return False


def vocabulary_size(obj: Any, decode: Decode) -> int:
    """Returns the number one past the largest id.

    This is the largest size that the object names, or else the end of the ids that it decodes.

    Complexity: one call per size that exists; without any, one decode per id.
    """
    sizes = [len(obj)] if callable(getattr(obj, "__len__", None)) else []
    for name in ("vocab_size", "n_vocab", "get_piece_size", "get_vocab_size"):
        size = getattr(obj, name, None)
        size = size() if callable(size) else size
        if isinstance(size, int) and not isinstance(size, bool):
            sizes.append(size)
    if callable(getattr(obj, "get_vocab", None)):
        sizes.append(1 + max(obj.get_vocab().values(), default=-1))
    if not sizes:
        sizes += [1 + max(spellings) for spellings in [_spellings(obj)] if spellings]
    if sizes:
        return max(sizes)
    used = 0
    for token_id in range(_MOST_IDS):
        if _is_id(decode, token_id):
            used = token_id + 1
        elif token_id - used >= _GAP:
            break
    return used


def control_ids(obj: Any, size: int) -> set[int]:
    """Returns the ids that stand for no text, because the object calls them special, control or unknown."""
    found: set[int] = set()
    for name in ("all_special_ids", "special_ids", "_special_token_values"):
        found.update(each for each in getattr(obj, name, None) or () if isinstance(each, int))
    for name in ("_special_tokens", "special_tokens"):
        tokens = getattr(obj, name, None)
        if isinstance(tokens, Mapping):
            found.update(each for each in tokens.values() if isinstance(each, int))
    for kind in ("bos", "eos", "pad", "unk", "sep", "cls", "mask", "eot"):
        for name in (f"{kind}_token_id", f"{kind}_id"):
            value = getattr(obj, name, None)
            value = value() if callable(value) else value
            if isinstance(value, int) and not isinstance(value, bool):
                found.add(value)
    for name in ("IsControl", "IsUnknown", "IsUnused"):
        test = getattr(obj, name, None)
        if callable(test):
            found.update(each for each in range(size) if test(each))
    return {each for each in found if 0 <= each < size}


def control_tokens(obj: Any, ids: set[int]) -> list[tuple[str, int]]:
    """Returns the names of control tokens with their ids, ascending; none if the object does not name them."""
    found: dict[str, int] = {}
    for name in ("_special_tokens", "special_tokens"):
        tokens = getattr(obj, name, None)
        if isinstance(tokens, Mapping):
            found |= {each: token_id for each, token_id in tokens.items() if isinstance(each, str) and token_id in ids}
    spell = speller(obj)
    for token_id in ids - set(found.values()):
        content = attempt(spell, token_id) if spell else None
        if isinstance(content, str) and content:
            found.setdefault(content, token_id)
    return sorted(found.items(), key=lambda entry: entry[1])
