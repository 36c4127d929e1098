"""Finds the file of a folder that holds the vocabulary, and reads it as the class that the folder names does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coolfusion._core import Tokenizer
from coolfusion.adapters.folder import Configuration
from coolfusion.errors import TokenizerFileError

__all__ = ["definition_by_class", "find_vocabulary", "is_vocabulary_needed"]

_MODEL_FILES = ("tokenizer.model", "spiece.model", "*.tiktoken", "*.model")
# Files that only a class of transformers can read, among them SentencePiece models whose ids it shifts.
_CLASS_FILES = (
    *("*.model", "*.spm", "vocab*.json", "vocab*.txt", "vocab*.bpe", "bpe.codes", "dict.txt", "*.tokenizer", "*.vocab"),
    *("source.spm", "entity_vocab.json", "merges.txt"),
)
# Classes whose SentencePiece files hold other ids, or texts that the class changes first.
_SHIFTED = {
    *("BarthezTokenizer", "CamembertTokenizer", "CpmTokenizer", "ErnieMTokenizer", "GPTSw3Tokenizer"),
    *("M2M100Tokenizer", "MBartTokenizer", "MBart50Tokenizer", "MarianTokenizer", "NllbTokenizer", "PLBartTokenizer"),
    *("PegasusTokenizer", "SeamlessM4TTokenizer", "SiglipTokenizer", "Speech2TextTokenizer", "XGLMTokenizer"),
    *("XLMRobertaTokenizer", "XLMProphetNetTokenizer"),
}
# Classes with GPT-2's split rule. Those of the second set put BOS before a text.
_BYTE_LEVEL = {"", "GPT2Tokenizer", "CodeGenTokenizer", "BlenderbotTokenizer"}
_FRAMED_BYTE_LEVEL = {"RobertaTokenizer", "BartTokenizer", "LongformerTokenizer", "LEDTokenizer", "MvpTokenizer"}
_WORD_PIECES = {
    *("BertTokenizer", "ConvBertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "LayoutLMTokenizer"),
    *("LxmertTokenizer", "MobileBertTokenizer", "RetriBertTokenizer", "SqueezeBertTokenizer"),
}
# Classes whose ids are bytes or characters.
_WITHOUT_VOCABULARY = {"ByT5Tokenizer", "CanineTokenizer", "PerceiverTokenizer"}


def find_vocabulary(folder: Path, configuration: Configuration) -> Path | None:
    """Returns the file to read, or None where only a class of transformers can say what the files mean."""
    for name in ("tokenizer.json", "tekken.json"):
        if (folder / name).is_file():
            return folder / name
    name = configuration.tokenizer_class
    if name not in _SHIFTED:
        models = [each for pattern in _MODEL_FILES for each in sorted(folder.glob(pattern))]
        model = next((each for each in models if each.name != "sentencepiece.bpe.model"), None)
        if model is not None:
            return model
        pair = (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()
        if pair and name in {"Qwen2Tokenizer", *_BYTE_LEVEL, *_FRAMED_BYTE_LEVEL}:
            return folder / "vocab.json"
        if (folder / "vocab.txt").is_file() and name in {"", *_WORD_PIECES} and not (folder / "bpe.codes").is_file():
            return folder / "vocab.txt"
    return next((each for pattern in ("rwkv*.txt", "*.gguf") for each in sorted(folder.glob(pattern))), None)


def is_vocabulary_needed(folder: Path, configuration: Configuration) -> bool:
    """Returns whether the folder lacks any vocabulary, and its class cannot do without."""
    held = any(True for pattern in _CLASS_FILES for _ in folder.glob(pattern))
    return not held and configuration.tokenizer_class not in _WITHOUT_VOCABULARY


def definition_by_class(file: Path, configuration: Configuration) -> str:
    """Returns the text of a tokenizer.json that says the same as ``file``, read as the class of the folder reads it.

    Raises:
        TokenizerFileError: a file is broken.
    """
    name, switches = configuration.tokenizer_class, configuration.switches
    if file.name == "vocab.json":
        qwen = name == "Qwen2Tokenizer"
        text = Tokenizer._definition_of_merges(
            _bytes(file),
            _bytes(file.with_name("merges.txt")),
            str(file),
            pattern=Tokenizer._pattern_of_class(name),
            add_prefix_space=switches.get("add_prefix_space", False),
        )
        if qwen:
            return _changed(text, normalizer={"type": "NFC"})
        return _framed(text, configuration, "bos_token", "<s>") if name in _FRAMED_BYTE_LEVEL else text
    if file.name == "vocab.txt":
        text = Tokenizer._definition_of_word_pieces(
            _bytes(file),
            str(file),
            lowercase=switches.get("do_lower_case", True),
            strip_accents=switches.get("strip_accents"),
            part_ideographs=switches.get("tokenize_chinese_chars", True),
            unknown=configuration.roles.get("unk_token", "[UNK]"),
        )
        return _framed(text, configuration, "cls_token", "[CLS]") if name else text
    try:
        return Tokenizer._definition(file)
    except TokenizerFileError:  # ranks that are not known by their content
        pattern = Tokenizer._pattern_of_class(name)
        if pattern is None:
            raise
        return Tokenizer._definition(file, pattern=pattern)


def _framed(text: str, configuration: Configuration, role: str, usual: str) -> str:
    """Returns the definition with a post-processor that puts the token of ``role`` before a text."""
    content = configuration.roles.get(role, usual)
    definition = json.loads(text)
    token_id = next(_ids(definition, content), None)
    if token_id is None:
        return text
    token = {"SpecialToken": {"id": content, "type_id": 0}}
    single = [token, {"Sequence": {"id": "A", "type_id": 0}}]
    tokens = {content: {"id": content, "ids": [token_id], "tokens": [content]}}
    template = {"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": tokens}
    return json.dumps({**definition, "post_processor": template}, ensure_ascii=False)


def _ids(definition: dict[str, Any], content: str) -> Iterator[int]:
    vocab = definition["model"]["vocab"]
    if content in vocab:
        yield vocab[content]


def _changed(text: str, **parts: Any) -> str:
    return json.dumps({**json.loads(text), **parts}, ensure_ascii=False)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise TokenizerFileError(f"{file}: cannot be read ({error}), expected a tokenizer file") from error
