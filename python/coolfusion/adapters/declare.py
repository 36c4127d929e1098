"""Joins the definition in a tokenizer file with the declarations in the configuration files of its folder.

The file that holds the vocabulary is the truth. A declaration adds a token that the file lacks, or makes a token
special. A declaration never gives an id or a content another meaning. Where one id has two contents, or one content
two ids, the file's holds, and after it that of the first declaration. Each such conflict is reported. For example,
"<pad>" with id 7 is refused if the file has "dog" at id 7.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from coolfusion._core import Tokenizer, _Spec
from coolfusion.adapters.folder import Configuration, Token
from coolfusion.errors import TokenizerFileError

__all__ = ["Joined", "declare", "join"]

_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
# Classes that put BOS before a text if no file says whether, and the types of models that have such a class.
_WITH_BOS = {"LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer"}
_MODELS_WITH_BOS = {"llama", "mistral", "mixtral", "gemma", "gemma2", "gemma3", "gemma3_text"}


class Joined(NamedTuple):
    """A tokenizer definition joined with the declarations of its folder.

    Attributes:
        spec: the definition in the file, with the declared tokens added.
        added: the ids of the added tokens by their contents.
        conflicts: one sentence for each declaration that was refused.
    """

    spec: _Spec
    added: dict[str, int]
    conflicts: list[str]

    def id_of(self, content: str) -> int | None:
        """Returns the id of an added token or of a piece of the vocabulary."""
        token_id = self.added.get(content)
        return self.spec.piece_id(content) if token_id is None else token_id


def join(spec: _Spec, tokens: Iterable[Token]) -> Joined:
    """Adds ``tokens`` to the added tokens of ``spec``."""
    tokens = list(tokens)
    added: dict[int, dict[str, Any]] = {entry["id"]: entry for entry in spec.added_tokens}
    joined = Joined(spec, {entry["content"]: token_id for token_id, entry in added.items()}, [])
    named = [joined.id_of(token.content) if token.id is None else token.id for token in tokens]
    pieces = spec.pieces([token_id for token_id in named if token_id is not None])
    source = dict.fromkeys(added, "the file")
    guessed = _guessed(spec.format, added)
    changed = False
    for token in tokens:
        token_id = joined.id_of(token.content) if token.id is None else token.id
        if token_id is None:  # no row of a model can stand for it
            continue
        for guess in guessed & {token_id, joined.id_of(token.content)}:
            if (guess, added[guess]["content"]) != (token_id, token.content):
                joined.added.pop(added.pop(guess)["content"], None)
                guessed.discard(guess)
        there = added.get(token_id)
        meaning = there["content"] if there else pieces.get(token_id)
        if meaning is not None and meaning not in (token.content, there or _byte_level(token.content)):
            held = source.get(token_id, "the file")
            joined.conflicts.append(f"id {token_id} is {meaning!r} in {held} and {token.content!r} in {token.source}")
            continue
        known = joined.id_of(token.content)
        if known not in (None, token_id):
            held = source.get(known, "the file")
            joined.conflicts.append(f"{token.content!r} is id {known} in {held} and {token_id} in {token.source}")
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
            joined.added[token.content] = token_id
            changed = True
    if not changed:
        return joined
    entries = (added[token_id] for token_id in sorted(added))
    return joined._replace(spec=spec.with_added_tokens([_row(entry) for entry in entries]))


def declare(
    tokenizer: Tokenizer, joined: Joined, configuration: Configuration, name: str, prefix: list[int] | None = None
) -> Tokenizer:
    """Returns ``tokenizer`` with its BOS, its EOS, the ids before a text, and the chat templates.

    Args:
        tokenizer: the tokenizer as its file defines it.
        joined: the definition in its file, joined with the declarations of its folder.
        configuration: the declarations of the folder.
        name: the name of the tokenizer in errors.
        prefix: the ids before a text, if the class of the folder gives them, else None.

    Raises:
        TokenizerFileError: the post-processor of the file is broken.
    """
    # Declarations in the file itself (GGUF) hold where the configuration says nothing.
    spec, own = joined.spec, joined.spec.declared or (None, None, None, None)
    found = [joined.id_of(configuration.roles.get(role, "")) for role in ("bos_token", "eos_token")]
    bos, eos = (usual if token_id is None else token_id for token_id, usual in zip(found, own[:2], strict=True))
    if prefix is None and (spec.post_processor is not None or spec.format == "tokenizer.json"):
        prefix = _prefix(json.loads(spec.post_processor or "null"), name)
    if prefix is None:  # a format that has no post-processor
        usual = configuration.tokenizer_class in _WITH_BOS or (
            not configuration.tokenizer_class and configuration.model_type in _MODELS_WITH_BOS
        )
        if bos is None and usual:
            bos = joined.id_of("<s>")
            bos = joined.id_of("<bos>") if bos is None else bos
        adds = configuration.switches.get("add_bos_token", usual if own[2] is None else own[2])
        prefix = [bos] if bos is not None and adds else []
    templates = configuration.templates
    if not templates and own[3]:
        templates = {"default": own[3]}
    return tokenizer._declaring(bos, eos, prefix, templates)


def _row(entry: Mapping[str, Any]) -> tuple[int, str, bool, bool, bool, bool, bool]:
    """Returns an added token in the form that `_Spec` takes."""
    single_word, lstrip, rstrip, normalized, special = (entry[flag] for flag in _FLAGS)
    return entry["id"], entry["content"], single_word, lstrip, rstrip, normalized, special


def _byte_level(content: str) -> str:
    """Returns ``content`` as byte-level vocabularies spell it.

    Each byte becomes a character. Bytes that cannot be seen become the characters from 256 on.
    """
    seen = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(0x100) if byte not in seen]
    return "".join(chr(byte if byte in seen else 256 + hidden.index(byte)) for byte in content.encode())


def _guessed(file_format: str, added: Mapping[int, Mapping[str, Any]]) -> set[int]:
    """Returns the ids whose names the file does not hold.

    Those names come from other publications of the same ranks, or from the places of the ids.
    """
    if file_format == "tekken":
        return {token_id for token_id, entry in added.items() if entry["content"].startswith("<SPECIAL_")}
    return set(added) if file_format == "tiktoken" else set()


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
