"""Finds the file of a folder that holds the vocabulary, and reads it as the class that the folder names does."""

from __future__ import annotations

from pathlib import Path

from coolfusion._core import Tokenizer, _Spec
from coolfusion.adapters.folder import Configuration
from coolfusion.errors import TokenizerFileError

__all__ = ["find_vocabulary", "is_vocabulary_needed", "spec_by_class"]

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
    """Returns the file that holds the vocabulary, or None where only a class of transformers can read the folder."""
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
    """Returns whether the folder lacks any vocabulary although its class needs one."""
    held = any(True for pattern in _CLASS_FILES for _ in folder.glob(pattern))
    return not held and configuration.tokenizer_class not in _WITHOUT_VOCABULARY


def spec_by_class(file: Path, configuration: Configuration) -> tuple[_Spec, list[int] | None]:
    """Returns ``file`` as the class of the folder reads it, and the ids that this class puts before a text.

    The ids are None where the class leaves them to the file and to the configuration.

    Raises:
        TokenizerFileError: a file is broken.
    """
    name, switches = configuration.tokenizer_class, configuration.switches
    if file.name == "vocab.json":
        spec = _Spec.of_merges(
            _bytes(file),
            _bytes(file.with_name("merges.txt")),
            str(file),
            pattern=Tokenizer._pattern_of_class(name),
            add_prefix_space=switches.get("add_prefix_space", False),
            composes=name == "Qwen2Tokenizer",
        )
        return spec, _prefix(spec, configuration, "bos_token", "<s>") if name in _FRAMED_BYTE_LEVEL else None
    if file.name == "vocab.txt":
        spec = _Spec.of_word_pieces(
            _bytes(file),
            str(file),
            lowercase=switches.get("do_lower_case", True),
            strip_accents=switches.get("strip_accents"),
            part_ideographs=switches.get("tokenize_chinese_chars", True),
            unknown=configuration.roles.get("unk_token", "[UNK]"),
        )
        return spec, _prefix(spec, configuration, "cls_token", "[CLS]") if name else None
    try:
        return _Spec.read(file), None
    except TokenizerFileError:  # ranks that are not known by their content
        pattern = Tokenizer._pattern_of_class(name)
        if pattern is None:
            raise
        return _Spec.read(file, pattern=pattern), None


def _prefix(spec: _Spec, configuration: Configuration, role: str, usual: str) -> list[int] | None:
    """Returns the id of the token of ``role``, which stands before a text, if that token is a piece."""
    token_id = spec.piece_id(configuration.roles.get(role, usual))
    return None if token_id is None else [token_id]


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise TokenizerFileError(f"{file}: cannot be read ({error}), expected a tokenizer file") from error
