"""Folders without a tokenizer.json: what the class that the configuration names says beside the vocabulary."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

import coolfusion as cf

tokenizers = pytest.importorskip("tokenizers", reason="makes and judges tokenizer files")

from folder_parts import TEXTS, byte_level, folder, truth  # noqa: E402 - after the skip

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
MORE = (*TEXTS, "e\u0301 ÉCOLE naïve", "中文字 mixed", "it's 'S", "unaffable!")


def pair(path: Path, inner: tokenizers.Tokenizer, **files: Any) -> Path:
    """A folder with the vocabulary and the merges of `inner`."""
    model = json.loads(inner.to_str())["model"]
    merges = "#version: 0.2\n" + "".join(f"{' '.join(merge)}\n" for merge in model["merges"])
    return folder(path, vocab=model["vocab"], merges__txt=merges, **files)


@pytest.mark.parametrize("name", [None, "GPT2Tokenizer", "CodeGenTokenizer", "RobertaTokenizer", "Qwen2Tokenizer"])
@pytest.mark.parametrize("space", [False, True])
def test_vocabulary_and_merges(name: str | None, space: bool, tmp_path: Path) -> None:
    qwen = name == "Qwen2Tokenizer"
    inner = byte_level(QWEN2 if qwen else GPT2)
    config = {"tokenizer_class": name, "add_prefix_space": space and not qwen, "bos_token": "<s>", "eos_token": "</s>"}
    path = pair(tmp_path, inner, tokenizer_config=config)
    tokenizer = cf.Tokenizer.from_pretrained(path)
    pre = tokenizers.pre_tokenizers
    split = pre.Split(tokenizers.Regex(QWEN2 if qwen else GPT2), "isolated")
    inner.pre_tokenizer = pre.Sequence([split, pre.ByteLevel(add_prefix_space=False, use_regex=False)])
    if not qwen:
        inner.pre_tokenizer = pre.ByteLevel(add_prefix_space=space)
    else:
        inner.normalizer = tokenizers.normalizers.NFC()
    for text in MORE:
        assert tokenizer.encode(text) == truth(inner, text), text
    assert (tokenizer.bos_id, tokenizer.eos_id) == (0, 1)
    assert {0, 1} <= set(tokenizer.control_ids)
    assert tokenizer.prefix_ids == ([0] if name == "RobertaTokenizer" else [])


WORDS = (
    "un",
    "##aff",
    "##able",
    "!",
    "hello",
    "Hello",
    "world",
    "中",
    "##文",
    "文",
    "字",
    "e",
    "école",
    "ecole",
    "a",
    "b",
)
PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "École", "É", "2023", "i", "'", "m", "naive", "naïve")


@pytest.mark.parametrize("name", [None, "BertTokenizer", "DistilBertTokenizer"])
@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"do_lower_case": False},
        {"do_lower_case": True, "strip_accents": False},
        {"do_lower_case": False, "strip_accents": True},
        {"tokenize_chinese_chars": False},
    ],
    ids=str,
)
def test_word_pieces_with_their_switches(name: str | None, switches: dict[str, bool], tmp_path: Path) -> None:
    config = {"tokenizer_class": name, **switches}
    path = folder(tmp_path, vocab__txt="".join(f"{piece}\n" for piece in PIECES), tokenizer_config=config)
    tokenizer = cf.Tokenizer.from_pretrained(path)
    judge = tokenizers.implementations.BertWordPieceTokenizer(
        str(path / "vocab.txt"),
        lowercase=switches.get("do_lower_case", True),
        strip_accents=switches.get("strip_accents"),
        handle_chinese_chars=switches.get("tokenize_chinese_chars", True),
    )
    for text in MORE:
        assert tokenizer.encode(text) == judge.encode(text, add_special_tokens=False).ids, text
    assert set(tokenizer.control_ids) == set(range(5))
    assert tokenizer.prefix_ids == ([2] if name else [])


def test_word_pieces_without_any_configuration(tmp_path: Path) -> None:
    path = folder(tmp_path, vocab__txt="".join(f"{piece}\n" for piece in PIECES))
    judge = tokenizers.implementations.BertWordPieceTokenizer(str(path / "vocab.txt"))
    tokenizer = cf.Tokenizer.from_pretrained(path)
    assert [tokenizer.encode(text) for text in MORE] == [judge.encode(t, add_special_tokens=False).ids for t in MORE]


def test_a_class_that_shifts_ids_is_left_to_transformers(data: Path, tmp_path: Path) -> None:
    """Its SentencePiece file alone would give other ids, so without the class it is refused."""
    folder(tmp_path, tokenizer_config={"tokenizer_class": "PegasusTokenizer"})
    (tmp_path / "spiece.model").symlink_to(data / "tokenizers" / "xlnet_base_cased" / "spiece.model")
    plain = cf.Tokenizer.from_file(tmp_path / "spiece.model")
    try:
        tokenizer = cf.Tokenizer.from_pretrained(tmp_path)
    except (cf.TokenizerFileError, cf.UnsupportedTokenizerError):
        return
    assert tokenizer.encode("Hello") != plain.encode("Hello")


@pytest.mark.parametrize(
    ("config", "prefix"),
    [
        ({}, []),
        ({"tokenizer_class": "LlamaTokenizer"}, [1]),
        ({"tokenizer_class": "LlamaTokenizer", "add_bos_token": False}, []),
        ({"tokenizer_class": "T5Tokenizer"}, []),
        ({"tokenizer_class": "T5Tokenizer", "add_bos_token": True, "bos_token": "<s>"}, [1]),
    ],
)
def test_bos_before_the_text_of_a_sentencepiece_file(
    config: dict[str, Any], prefix: list[int], data: Path, tmp_path: Path
) -> None:
    folder(tmp_path, tokenizer_config=config)
    file = data / "tokenizers" / "llama2" / "tokenizer.model"
    (tmp_path / "tokenizer.model").symlink_to(file)
    tokenizer = cf.Tokenizer.from_pretrained(tmp_path)
    assert tokenizer.prefix_ids == prefix
    plain = cf.Tokenizer.from_file(file)
    assert [tokenizer.encode(text) for text in MORE] == [plain.encode(text) for text in MORE]


def test_bos_by_the_type_of_the_model(data: Path, tmp_path: Path) -> None:
    folder(tmp_path, config={"model_type": "llama"})
    (tmp_path / "tokenizer.model").symlink_to(data / "tokenizers" / "llama2" / "tokenizer.model")
    assert cf.Tokenizer.from_pretrained(tmp_path).prefix_ids == [1]


def test_declared_specials_beside_tiktoken_ranks(data: Path, tmp_path: Path) -> None:
    tiktoken = pytest.importorskip("tiktoken", reason="judges rank files")
    file = data / "tokenizers" / "cl100k" / "cl100k_base.tiktoken"
    (tmp_path / "cl100k_base.tiktoken").symlink_to(file)
    decoder = {"100257": {"content": "<|endoftext|>", "special": True}}
    folder(tmp_path, tokenizer_config={"eos_token": "<|endoftext|>", "added_tokens_decoder": decoder})
    tokenizer = cf.Tokenizer.from_pretrained(tmp_path)
    ranks = {base64.b64decode(token): int(rank) for token, rank in map(str.split, file.read_text().splitlines())}
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    judge = tiktoken.Encoding("judge", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    assert tokenizer.eos_id == 100257
    assert 100257 in tokenizer.control_ids
    assert [tokenizer.encode(text) for text in MORE] == [judge.encode_ordinary(text) for text in MORE]


def ranks_file(path: Path) -> dict[bytes, int]:
    """Ranks of single bytes and of a few words, written as tiktoken writes them."""
    words = [bytes([byte]) for byte in range(256)]
    words += [b"He", b"ll", b"Hell", b"Hello", b" w", b"20", b"202", b"2023", b"12", b"34"]
    ranks = {word: rank for rank, word in enumerate(words)}
    path.write_bytes(b"".join(base64.b64encode(word) + f" {rank}\n".encode() for word, rank in ranks.items()))
    return ranks


@pytest.mark.parametrize("name", ["QWenTokenizer", "ChatGLM4Tokenizer", "TikTokenTokenizer", "UnknownTokenizer"])
def test_the_class_says_how_unknown_ranks_are_split(name: str, tmp_path: Path) -> None:
    tiktoken = pytest.importorskip("tiktoken", reason="judges rank files")
    ranks = ranks_file(tmp_path / "qwen.tiktoken")
    decoder = {"300": {"content": "<|end|>", "special": True}}
    folder(
        tmp_path, tokenizer_config={"tokenizer_class": name, "eos_token": "<|end|>", "added_tokens_decoder": decoder}
    )
    if name == "UnknownTokenizer":
        with pytest.raises(cf.TokenizerFileError, match="pattern"):
            cf.Tokenizer.from_pretrained(tmp_path)
        return
    pattern = cf.Tokenizer._pattern_of_class(name)
    assert pattern is not None
    tokenizer = cf.Tokenizer.from_pretrained(tmp_path)
    assert tokenizer.eos_id == 300
    judge = tiktoken.Encoding("judge", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    assert [tokenizer.encode(text) for text in MORE] == [judge.encode_ordinary(text) for text in MORE]


def test_declared_names_replace_those_that_were_guessed(data: Path, tmp_path: Path) -> None:
    """The ranks of LLaMA-3 hold no special tokens: the file is known by its content, the folder knows better."""
    file = data / "tokenizers" / "llama3" / "tokenizer.model"
    guessed = cf.Tokenizer.from_file(file).control_tokens
    decoder = {
        str(token_id): {"content": f"<|mine_{token_id}|>", "special": True} for token_id in range(128002, 128006)
    }
    folder(tmp_path, tokenizer_config={"eos_token": "<|mine_128003|>", "added_tokens_decoder": decoder})
    (tmp_path / "tokenizer.model").symlink_to(file)
    tokenizer = cf.Tokenizer.from_pretrained(tmp_path)
    assert tokenizer.eos_id == 128003
    assert tokenizer.encode("2023") == [2366, 18]
    rest = {content: token_id for content, token_id in guessed.items() if token_id not in range(128002, 128006)}
    assert tokenizer.control_tokens == rest | {each["content"]: int(token_id) for token_id, each in decoder.items()}


def tekken(path: Path) -> tuple[dict[str, Any], dict[bytes, int]]:
    """A tekken.json with five special tokens, two of them without a name."""
    ranks = ranks_file(path.with_name("ranks"))
    path.with_name("ranks").unlink()
    vocab = [{"rank": rank, "token_bytes": base64.b64encode(word).decode()} for word, rank in ranks.items()]
    named = [{"rank": at, "token_str": name} for at, name in enumerate(("<unk>", "<s>", "</s>"))]
    config = {"pattern": GPT2, "default_vocab_size": len(ranks) + 5, "default_num_special_tokens": 5, "version": "v7"}
    file = {"config": config, "vocab": vocab, "special_tokens": named}
    path.write_text(json.dumps(file))
    return file, ranks


def test_tekken_in_a_folder(tmp_path: Path) -> None:
    tiktoken = pytest.importorskip("tiktoken", reason="judges rank files")
    _, ranks = tekken(tmp_path / "tekken.json")
    config = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>"}
    decoder = {"4": {"content": "[INST]", "special": True}}
    folder(tmp_path, tokenizer_config={**config, "added_tokens_decoder": decoder}, config={"model_type": "mistral"})
    tokenizer = cf.Tokenizer.from_pretrained(tmp_path)
    shifted = {word: rank + 5 for word, rank in ranks.items()}
    judge = tiktoken.Encoding("judge", pat_str=GPT2, mergeable_ranks=shifted, special_tokens={})
    assert [tokenizer.encode(text) for text in MORE] == [judge.encode_ordinary(text) for text in MORE]
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.prefix_ids) == (1, 2, [1])
    assert tokenizer.control_tokens == {"<unk>": 0, "<s>": 1, "</s>": 2, "<SPECIAL_3>": 3, "[INST]": 4}
    inner = byte_level()
    folder(tmp_path, inner)  # beside a tokenizer.json, which is the truth then
    (tmp_path / "tokenizer_config.json").unlink()
    both = cf.Tokenizer.from_pretrained(tmp_path)
    assert [both.encode(text) for text in MORE] == [truth(inner, text) for text in MORE]


def test_rwkv_in_a_folder(tmp_path: Path) -> None:
    words = [bytes([byte]) for byte in range(256)] + [b"He", b"Hell", b"Hello", b" world", b"20", b"2023"]
    lines = [f"{at} {word!r} {len(word)}\n" for at, word in enumerate(words, 1)]
    (tmp_path / "rwkv_vocab_v20230424.txt").write_text("".join(lines))
    folder(
        tmp_path,
        added_tokens={"<|pad|>": 300},
        special_tokens_map={"pad_token": "<|pad|>"},
        config={"model_type": "rwkv"},
    )
    tokenizer = cf.Tokenizer.from_pretrained(tmp_path)
    ids = {word: at for at, word in enumerate(words, 1)}
    for text in MORE:
        data, right = text.encode(), []
        while data:  # the published rule: the longest token that the rest begins with
            longest = max((word for word in words if data.startswith(word)), key=len)
            right.append(ids[longest])
            data = data[len(longest) :]
        assert tokenizer.encode(text) == right, text
    assert tokenizer.vocab_size == 301
    assert tokenizer.decode([tokenizer.encode("Hello")[0], 0]) == "Hello"
