"""Joins a tokenizer definition with what the configuration files of its folder declare.

The file that holds the vocabulary is the truth. A declaration adds what the file lacks, and makes a token special. A
declaration never gives an id or a content another meaning. Where one id has two contents, or one content two ids, the
file's holds, and after it that of the first declaration. Each such conflict is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from coolfusion._core import Tokenizer
from coolfusion.adapters.folder import Configuration, Token
from coolfusion.errors import TokenizerFileError

__all__ = ["Joined", "declare", "join"]

_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
# Classes that put BOS before a text if no file says whether, and the types of models that have such a class.
_WITH_BOS = {"LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer"}
_MODELS_WITH_BOS = {"llama", "mistral", "mixtral", "gemma", "gemma2", "gemma3", "gemma3_text"}


class Joined(NamedTuple):
    """Holds the result of joining.

    Attributes:
        changed: whether the definition differs from before.
        ids: content -> id, of all tokens.
        conflicts: the declarations that were refused, in words.
    """

    changed: bool
    ids: dict[str, int]
    conflicts: list[str]


def join(definition: dict[str, Any], tokens: Iterable[Token], name: str) -> Joined:
    """Adds ``tokens`` to the added tokens of ``definition``.

    Raises:
        TokenizerFileError: the definition itself is broken.
    """
    pieces, added = _pieces(definition, name), _added(definition, name)
    ids = {piece: token_id for token_id, piece in pieces.items()}
    ids |= {entry["content"]: token_id for token_id, entry in added.items()}
    source = dict.fromkeys(added, "the file")
    guessed = _guessed(definition, added)
    conflicts, changed = [], False
    for token in tokens:
        token_id = ids.get(token.content) if token.id is None else token.id
        if token_id is None:  # no row of a model can stand for it
            continue
        for guess in {token_id, ids.get(token.content, token_id)} & guessed:
            if (guess, added[guess]["content"]) != (token_id, token.content):
                ids.pop(added.pop(guess)["content"], None)
                guessed.discard(guess)
        there = added.get(token_id)
        meaning = there["content"] if there else pieces.get(token_id)
        if meaning is not None and meaning not in (token.content, there or _byte_level(token.content)):
            held = source.get(token_id, "the file")
            conflicts.append(f"id {token_id} is {meaning!r} in {held} and {token.content!r} in {token.source}")
            continue
        if ids.get(token.content, token_id) != token_id:
            held = source.get(ids[token.content], "the file")
            other = f"{ids[token.content]} in {held} and {token_id} in {token.source}"
            conflicts.append(f"{token.content!r} is id {other}")
            continue
        special = token.flags.get("special", False)
        if there:
            changed |= special and not there["special"]
            there["special"] = there["special"] or special
        # A padding token may be an ordinary one, such as "!": a single character stays text.
        elif token.id is not None or len(token.content) > 1:
            flags = {key: token.flags.get(key, False) for key in _FLAGS}
            added[token_id] = {"id": token_id, "content": token.content, **flags}
            source[token_id] = token.source
            ids[token.content] = token_id
            changed = True
    definition["added_tokens"] = [added[token_id] for token_id in sorted(added)]
    if changed:
        # Without this key an added token that is no piece gets the next free id, as the tokenizers library numbers it.
        definition["declared_ids"] = True
    return Joined(changed, ids, conflicts)


def declare(
    tokenizer: Tokenizer, definition: Mapping[str, Any], ids: Mapping[str, int], configuration: Configuration, name: str
) -> Tokenizer:
    """Returns ``tokenizer`` with its BOS, its EOS, the ids before a text, and the chat templates.

    Raises:
        TokenizerFileError: the post-processor of the definition is broken.
    """
    # Declarations in the file itself (GGUF) hold where the configuration says nothing.
    own = (definition.get("coolfusion") or {}).get("declared") or {}
    roles = (("bos_token", "bos_id"), ("eos_token", "eos_id"))
    bos, eos = (ids.get(configuration.roles.get(role, ""), own.get(key)) for role, key in roles)
    if definition.get("post_processor") is not None or not definition.get("coolfusion"):
        prefix = _prefix(definition.get("post_processor"), name)
    else:  # a format that has no post-processor
        usual = configuration.tokenizer_class in _WITH_BOS or (
            not configuration.tokenizer_class and configuration.model_type in _MODELS_WITH_BOS
        )
        if bos is None and usual:
            bos = ids.get("<s>", ids.get("<bos>"))
        adds = configuration.switches.get("add_bos_token", own.get("adds_bos", usual))
        prefix = [bos] if bos is not None and adds else []
    templates = configuration.templates
    if not templates and own.get("chat_template"):
        templates = {"default": own["chat_template"]}
    return tokenizer._declaring(bos, eos, prefix, templates)


def _byte_level(content: str) -> str:
    """Returns ``content`` as byte-level vocabularies spell it.

    Each byte becomes a character. Bytes that cannot be seen become the characters from 256 on.
    """
    seen = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(0x100) if byte not in seen]
    return "".join(chr(byte if byte in seen else 256 + hidden.index(byte)) for byte in content.encode())


def _pieces(definition: Mapping[str, Any], name: str) -> dict[int, str]:
    """Returns id -> content of each entry of the model's vocabulary."""
    vocab = definition["model"].get("vocab") or {}
    try:
        if isinstance(vocab, Mapping):
            return {token_id: piece for piece, token_id in vocab.items()}
        return {at: entry[0] for at, entry in enumerate(vocab)}
    except (TypeError, IndexError, KeyError) as error:
        raise TokenizerFileError(f"{name}: model.vocab is broken ({error}), expected entries with ids") from error


def _added(definition: Mapping[str, Any], name: str) -> dict[int, dict[str, Any]]:
    """Returns id -> entry of ``added_tokens``, each with all flags."""
    entries = definition.get("added_tokens") or []
    if not isinstance(entries, list):
        raise TokenizerFileError(f"{name}: added_tokens is {entries!r:.80}: expected a list")
    found = {}
    for at, entry in enumerate(entries):
        token_id, content = (entry.get("id"), entry.get("content")) if isinstance(entry, dict) else (None, None)
        if isinstance(token_id, bool) or not isinstance(token_id, int) or not isinstance(content, str):
            raise TokenizerFileError(f"{name}: added_tokens[{at}] is {entry!r:.80}: expected an id and a content")
        found[token_id] = {**dict.fromkeys(_FLAGS, False), **entry}
    return found


def _guessed(definition: Mapping[str, Any], added: Mapping[int, Mapping[str, Any]]) -> set[int]:
    """Returns the ids whose names the file does not hold.

    Their names come from other publications of the same ranks, or from their places.
    """
    source = (definition.get("coolfusion") or {}).get("source_format")
    if source == "tekken":
        return {token_id for token_id, entry in added.items() if entry["content"].startswith("<SPECIAL_")}
    return set(added) if source == "tiktoken" else set()


def _prefix(processor: Any, name: str) -> list[int]:
    """Returns the ids that a post-processor puts before a text."""
    if processor is None:
        return []
    try:
        kind = processor.get("type")
        if kind == "Sequence":
            inner = [_prefix(each, name) for each in processor["processors"]]
            return [token_id for prefix in reversed(inner) for token_id in prefix]
        if kind in ("BertProcessing", "RobertaProcessing"):
            return [_id(processor["cls"][1])]
        if kind != "TemplateProcessing":
            return []
        found: list[int] = []
        for item in processor["single"]:
            if "Sequence" in item:
                break
            found += map(_id, processor["special_tokens"][item["SpecialToken"]["id"]]["ids"])
        return found
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise TokenizerFileError(f"{name}: post_processor is broken ({what}), expected one of `tokenizers`") from error


def _id(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"{value!r} is no id")
    return value
