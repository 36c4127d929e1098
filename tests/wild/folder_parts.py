"""Folders of models and tokenizers, made by the tests: definitions, configurations, tiny weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tokenizers

CLASSES = (
    *("AlbertTokenizer", "BartTokenizer", "BertTokenizer", "BloomTokenizer", "CLIPTokenizer", "CamembertTokenizer"),
    *("CodeGenTokenizer", "CodeLlamaTokenizer", "CohereTokenizer", "DebertaTokenizer", "DebertaV2Tokenizer"),
    *("DistilBertTokenizer", "ElectraTokenizer", "FunnelTokenizer", "GPT2Tokenizer", "GPTNeoXTokenizer"),
    *("GemmaTokenizer", "LlamaTokenizer", "LlamaTokenizerFast", "MBartTokenizer", "MPNetTokenizer", "NllbTokenizer"),
    *("PegasusTokenizer", "PreTrainedTokenizerFast", "Qwen2Tokenizer", "RobertaTokenizer", "T5Tokenizer"),
    *("TokenizersBackend", "WhisperTokenizer", "XGLMTokenizer", "XLMRobertaTokenizer"),
)
SWITCHES: tuple[dict[str, Any], ...] = (
    {},
    {"legacy": True},
    {"legacy": False, "add_bos_token": True},
    {"add_bos_token": False, "add_eos_token": True},
    {"add_prefix_space": True},
    {"add_prefix_space": False, "clean_up_tokenization_spaces": True},
)
TEXTS = ("2023", " Hello", "Hello  world 12345", "I'm here\n\n\tx=1;", "Grüße, 日本語", "a", "", "HELLO world", "A b C")
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_level(pattern: str = LLAMA3, *, bos: bool = False) -> tokenizers.Tokenizer:
    """A byte-level BPE model of a few hundred pieces, with BOS in front where `bos`."""
    pre, post = tokenizers.pre_tokenizers, tokenizers.processors
    inner = tokenizers.Tokenizer(tokenizers.models.BPE())
    split = pre.Split(tokenizers.Regex(pattern), "isolated")
    inner.pre_tokenizer = pre.Sequence([split, pre.ByteLevel(add_prefix_space=False, use_regex=False)])
    inner.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "</s>", "<|user|>"],
        initial_alphabet=pre.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(["2023 Hello world 12345 I'm here x=1", "20 23 202 ell orld Hello world"] * 9, trainer)
    inner.post_processor = post.ByteLevel(trim_offsets=False)
    if bos:
        inner.post_processor = post.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    return inner


def spaced(*, bos: bool = False) -> tokenizers.Tokenizer:
    """A BPE model with the mark U+2581 and byte fallback, as LLaMA-2's."""
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2, **{f"<0x{byte:02X}>": 3 + byte for byte in range(256)}}
    for piece in ("▁", *"HeloWwrd123", "He", "ll", "Hell", "Hello", "▁Hello", "wo", "▁wo"):
        vocab.setdefault(piece, len(vocab))
    merges = [("H", "e"), ("l", "l"), ("He", "ll"), ("Hell", "o"), ("▁", "Hello"), ("w", "o"), ("▁", "wo")]
    model = tokenizers.models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    inner = tokenizers.Tokenizer(model)
    normalizers, decoders = tokenizers.normalizers, tokenizers.decoders
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    strip = decoders.Strip(" ", 1, 0)
    inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), strip])
    inner.add_special_tokens(["<unk>", "<s>", "</s>"])
    if bos:
        template = tokenizers.processors.TemplateProcessing
        inner.post_processor = template(single="<s> $A", special_tokens=[("<s>", 1)])
    return inner


def folder(path: Path, inner: tokenizers.Tokenizer | None = None, **files: Any) -> Path:
    """A folder with a tokenizer.json and other files, `name=content`: JSON, `name__jinja` and `name__txt` text."""
    path.mkdir(parents=True, exist_ok=True)
    if inner is not None:
        inner.save(str(path / "tokenizer.json"))
    for name, content in files.items():
        stem, _, suffix = name.partition("__")
        text = content if suffix else json.dumps(content)
        (path / f"{stem}.{suffix or 'json'}").write_text(text, encoding="utf-8")
    return path


def truth(inner: tokenizers.Tokenizer, text: str) -> list[int]:
    """The ids of the file, text that looks like a special token being text."""
    inner.encode_special_tokens = True
    return list(inner.encode(text, add_special_tokens=False).ids)
