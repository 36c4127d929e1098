"""Reads the declarations of a tokenizer in the configuration files of a model folder, and checks every field.

The files are ``tokenizer_config.json``, ``special_tokens_map.json``, ``added_tokens.json``, ``chat_template.jinja``,
``additional_chat_templates/`` and ``chat_template.json``. Where two files name one role, ``special_tokens_map.json``
wins if ``tokenizer_config.json`` has no ``added_tokens_decoder``, as in transformers. Templates in files of their own
win over those in ``tokenizer_config.json``, and these over ``chat_template.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from coolfusion.errors import TokenizerFileError

__all__ = ["Configuration", "Token", "read_configuration", "read_json"]

_ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_LISTS = ("additional_special_tokens", "extra_special_tokens")
_FLAGS = ("special", "lstrip", "rstrip", "single_word", "normalized")
# Switches of tokenizer_config.json that change ids.
_SWITCHES = (
    "add_bos_token",
    "add_eos_token",
    "add_prefix_space",
    "do_lower_case",
    "strip_accents",
    "tokenize_chinese_chars",
)
_TOKEN = "a text, or an object with a text as `content`"
_MOST_IDS = 1 << 31


class Token(NamedTuple):
    """A token that a configuration file declares, for example ``<|im_end|>`` with the id 151645.

    Attributes:
        id: the id of the token, or None where the file gives only its content.
        content: the text that the token stands for.
        flags: those of `special`, `lstrip`, `rstrip`, `single_word` and `normalized` that are set or unset.
        source: the file that declares the token.
    """

    id: int | None
    content: str
    flags: Mapping[str, bool]
    source: str


@dataclass(slots=True)
class Configuration:
    """The declarations in the configuration files of a folder.

    Attributes:
        tokens: all tokens, those that win in a conflict first.
        roles: the content of the token of each role, such as `bos_token`.
        switches: the switches of tokenizer_config.json that are true or false, such as `add_bos_token`.
        templates: chat templates by name.
        tokenizer_class: the class that tokenizer_config.json or config.json names, without `Fast`.
        model_type: the type of model that config.json names.
        remote_code: whether code that comes with the folder makes the tokenizer.
    """

    tokens: list[Token] = field(default_factory=list)
    roles: dict[str, str] = field(default_factory=dict)
    switches: dict[str, bool] = field(default_factory=dict)
    templates: dict[str, str] = field(default_factory=dict)
    tokenizer_class: str = ""
    model_type: str = ""
    remote_code: bool = False


class _File:
    """A reader of the fields of one JSON file, which makes their errors."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = read_json(path) if path.is_file() else {}

    def wrong(self, where: str, value: Any, expected: str) -> TokenizerFileError:
        return TokenizerFileError(f"{self.path}: {where} is {value!r:.80}: expected {expected}")

    def text(self, key: str) -> str:
        value = self.data.get(key)
        if value is not None and not isinstance(value, str):
            raise self.wrong(key, value, "a text or null")
        return value or ""

    def switch(self, key: str) -> bool | None:
        value = self.data.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(key, value, "true, false or null")
        return value

    def content(self, where: str, value: Any) -> str:
        content = value.get("content") if isinstance(value, Mapping) else value
        if not isinstance(content, str):
            raise self.wrong(where, value, _TOKEN)
        return content

    def token(self, where: str, token_id: int | None, value: Any, **flags: bool) -> Token:
        content = self.content(where, value)
        for key in _FLAGS if isinstance(value, Mapping) else ():
            flag = value.get(key)
            if flag is not None and not isinstance(flag, bool):
                raise self.wrong(f"{where}.{key}", flag, "true or false")
            if flag is not None:
                flags.setdefault(key, flag)
        return Token(token_id, content, flags, self.path.name)


def read_json(path: Path) -> dict[str, Any]:
    """Returns the object in a JSON file.

    Raises:
        TokenizerFileError: the file cannot be read, is not JSON, or holds no object.
    """
    try:
        value = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:  # ValueError: not UTF-8, not JSON
        raise TokenizerFileError(f"{path}: cannot be read as JSON ({error}), expected an object") from error
    if not isinstance(value, dict):
        raise TokenizerFileError(f"{path}: a JSON {type(value).__name__}, expected an object")
    return value


def read_configuration(folder: Path) -> Configuration:
    """Returns the declarations in the configuration files of ``folder``, or none if there are no files.

    Raises:
        TokenizerFileError: a file is broken, or a field has a wrong type. The error of a field names file, field, value
            and the expected form.
    """
    config, legacy = _File(folder / "tokenizer_config.json"), _File(folder / "special_tokens_map.json")
    found = Configuration(
        tokens=[*_by_id(config), *_added(_File(folder / "added_tokens.json"))],
        templates=_templates(folder, config),
        tokenizer_class=config.text("tokenizer_class"),
    )
    # The more telling file last, because it wins.
    order = (legacy, config) if config.data.get("added_tokens_decoder") else (config, legacy)
    for file in order:
        for role in _ROLES:
            if file.data.get(role) is not None:
                found.roles[role] = file.content(role, file.data[role])
        found.tokens += _named(file)
    for key in _SWITCHES:
        switch = config.switch(key)
        if switch is not None:
            found.switches[key] = switch
    auto_map = config.data.get("auto_map")
    if auto_map is not None and not isinstance(auto_map, str | list | dict):
        raise config.wrong("auto_map", auto_map, "an object or a list")
    found.remote_code = bool(auto_map.get("AutoTokenizer") if isinstance(auto_map, dict) else auto_map)
    model = _File(folder / "config.json")
    # Here a wrong type counts as none, because the checks of this file are those of the model.
    named = [model.data.get(key) for key in ("model_type", "tokenizer_class")]
    found.model_type, by_model = (each if isinstance(each, str) else "" for each in named)
    found.tokenizer_class = (found.tokenizer_class or by_model).removesuffix("Fast")
    return found


def _by_id(file: _File) -> Iterator[Token]:
    """Yields the tokens of ``added_tokens_decoder``."""
    decoder = file.data.get("added_tokens_decoder")
    if decoder is not None and not isinstance(decoder, dict):
        raise file.wrong("added_tokens_decoder", decoder, "an object of id to token")
    for key, value in (decoder or {}).items():
        where = f"added_tokens_decoder[{key!r}]"
        if not (key.isascii() and key.isdigit() and int(key) < _MOST_IDS):
            raise file.wrong(where, value, f"an id from 0 to {_MOST_IDS - 1} as the key")
        if not isinstance(value, Mapping):
            raise file.wrong(where, value, "an object with a text as `content`")
        yield file.token(where, int(key), value)


def _added(file: _File) -> Iterator[Token]:
    """Yields the tokens of ``added_tokens.json``, content to id.

    These tokens are text where no other file calls them special.
    """
    for content, token_id in file.data.items():
        if isinstance(token_id, bool) or not isinstance(token_id, int) or not 0 <= token_id < _MOST_IDS:
            raise file.wrong(repr(content), token_id, f"an id from 0 to {_MOST_IDS - 1}")
        yield file.token(repr(content), token_id, content)


def _named(file: _File) -> Iterator[Token]:
    """Yields the special tokens that have a name or stand in a list, without ids."""
    for key, value in file.data.items():
        # Names of other roles, such as `image_token`, end so. Switches such as `add_bos_token` end so too.
        is_token = isinstance(value, str) or (isinstance(value, dict) and "content" in value)
        if (key in _ROLES and value is not None) or (key.endswith("_token") and is_token):
            yield file.token(key, None, value, special=True)
    for key in _LISTS:
        values = file.data.get(key)
        if values is not None and not isinstance(values, list | dict):
            raise file.wrong(key, values, "a list of tokens")
        for at, value in enumerate(values.values() if isinstance(values, dict) else values or ()):
            yield file.token(f"{key}[{at}]", None, value, special=True)


def _templates(folder: Path, config: _File) -> dict[str, str]:
    """Returns the chat templates by name."""
    found: dict[str, str] = {}
    for path in sorted((folder / "additional_chat_templates").glob("*.jinja")):
        found[path.stem] = _read_text(path)
    if (folder / "chat_template.jinja").is_file():
        found["default"] = _read_text(folder / "chat_template.jinja")
    return found or _template_field(config) or _template_field(_File(folder / "chat_template.json"))


def _template_field(file: _File) -> dict[str, str]:
    """Returns the templates in the field ``chat_template``, which holds one template or a list of named ones."""
    value = file.data.get("chat_template")
    if value is None or isinstance(value, str):
        return {} if value is None else {"default": value}
    if isinstance(value, dict):
        value = [{"name": name, "template": template} for name, template in value.items()]
    if not isinstance(value, list):
        raise file.wrong("chat_template", value, "a text, or a list of objects with `name` and `template`")
    found = {}
    for at, each in enumerate(value):
        named = isinstance(each, dict) and isinstance(each.get("name"), str) and isinstance(each.get("template"), str)
        if not named:
            raise file.wrong(f"chat_template[{at}]", each, "an object with `name` and `template`, both texts")
        found[each["name"]] = each["template"]
    return found


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise TokenizerFileError(f"{path}: cannot be read as text ({error}), expected UTF-8") from error
