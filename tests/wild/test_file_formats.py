"""Files that hold a tokenizer in other forms than tokenizer.json give the ids of the library that they belong to."""

from __future__ import annotations

import base64
import json
import pickle
import random
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import coolfusion as cf
from coolfusion._core import _Spec

HARD = [
    "",
    " ",
    "  two  spaces  ",
    "Hello, World! It's 12,345.67 HELLO'LL",
    "a\nb\r\n\tc\n\n\n",
    "Grüße, naïve café",
    "日本語のテスト ภาษาไทย हिन्दी",
    "👩‍👩‍👧 🇩🇪 ok 𓀀",
    "\x00\x01\x7f",
    "<s> </s> <unk> <|endoftext|> [UNK] ##a",
    "the cat sat on the mat, the cats are   there",
]
PATTERN = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
WORDS = [b"th", b"the", b" t", b" th", b" the", b"at", b"cat", b"\n\n", b"  ", b"12", "ü".encode(), "é".encode()]


def streams(tokenizer: cf.Tokenizer, text: str) -> None:
    """A stream of the characters gives the ids of the whole, and settled cuts stay."""
    encoder = cf.StreamEncoder(tokenizer)
    for char in text:
        encoder.push(char)
    assert list(encoder.ids) == tokenizer.encode(text)


def refused(path: Path, content: bytes, *words: str, **options: str) -> None:
    path.write_bytes(content)
    with pytest.raises(cf.TokenizerFileError) as caught:
        cf.Tokenizer.from_file(path, **options)
    assert str(caught.value).startswith(str(path.parent))
    for word in words:
        assert word in str(caught.value)


# --- tekken.json ---------------------------------------------------------------------------------------------------


def tekken(specials: list[str] | None, number: int = 20, drop: int = 1) -> dict[str, Any]:
    tokens = [bytes([byte]) for byte in range(256)] + WORDS + [b"never" for _ in range(drop)]
    vocab = [
        {"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
        for rank, token in enumerate(tokens)
    ]
    config = {
        "pattern": PATTERN,
        "num_vocab_tokens": len(vocab),
        "default_vocab_size": number + len(tokens) - drop,
        "default_num_special_tokens": number,
        "version": "v3" if specials is None else "v13",
    }
    whole: dict[str, Any] = {"config": config, "vocab": vocab}
    if specials is not None:
        whole["special_tokens"] = [
            {"rank": rank, "token_str": name, "is_control": True} for rank, name in enumerate(specials)
        ]
    return whole


@pytest.mark.parametrize("specials", [None, ["<unk>", "<s>", "</s>", "[INST]"]])
def test_tekken_gives_the_ids_of_tiktoken_after_the_special_tokens(tmp_path: Path, specials: list[str] | None) -> None:
    tiktoken = pytest.importorskip("tiktoken", reason="tiktoken is not installed")
    (tmp_path / "tekken.json").write_text(json.dumps(tekken(specials)))
    ranks = {token: rank for rank, token in enumerate([bytes([byte]) for byte in range(256)] + WORDS)}
    judge = tiktoken.Encoding("tekken", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})
    tokenizer = cf.Tokenizer.from_file(tmp_path / "tekken.json")
    assert tokenizer.vocab_size == 20 + 256 + len(WORDS)
    assert list(tokenizer.control_ids) == list(range(20))
    for text in HARD:
        assert tokenizer.encode(text) == [rank + 20 for rank in judge.encode_ordinary(text)], text
        assert tokenizer.decode(tokenizer.encode(text)) == text
        streams(tokenizer, text)


# --- vocab.json and merges.txt, vocab.txt --------------------------------------------------------------------------


def write_pair(folder: Path, names: tuple[str, str] = ("vocab.json", "merges.txt")) -> tuple[Path, Path]:
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    trained = tokenizers.ByteLevelBPETokenizer()
    trained.train_from_iterator(HARD * 3, vocab_size=400, min_frequency=2, special_tokens=["<s>", "</s>"])
    trained.save_model(str(folder))
    paths = folder / names[0], folder / names[1]
    (folder / "vocab.json").rename(paths[0])
    (folder / "merges.txt").rename(paths[1])
    return paths


@pytest.mark.parametrize(
    "names", [("vocab.json", "merges.txt"), ("x-vocab.json", "x-merges.txt"), ("encoder.json", "vocab.bpe")]
)
def test_vocab_and_merges_find_each_other_and_give_the_ids_of_the_library(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    vocab, merges = write_pair(tmp_path, names)
    judge = tokenizers.ByteLevelBPETokenizer(str(vocab), str(merges))
    # Blank lines and line ends of Windows change nothing.
    merges.write_bytes(merges.read_bytes().replace(b"\n", b"\r\n") + b"\r\n\r\n")
    first, second = cf.Tokenizer.from_file(vocab), cf.Tokenizer.from_file(merges)
    for text in HARD:
        assert first.encode(text) == second.encode(text) == judge.encode(text).ids, text
        assert first.decode(first.encode(text)) == text
    assert list(first.control_ids) == [0, 1]
    assert any("GPT-2" in note for note in first.describe()["notes"])


def test_the_missing_one_of_the_pair_is_named(tmp_path: Path) -> None:
    vocab, merges = write_pair(tmp_path)
    kept = merges.read_bytes()
    merges.unlink()
    with pytest.raises(
        cf.TokenizerFileError, match=r"vocab\.json: .*merges\.txt cannot be read.*the merges of this file"
    ):
        cf.Tokenizer.from_file(vocab)
    vocab.unlink()
    merges.write_bytes(kept)
    with pytest.raises(
        cf.TokenizerFileError, match=r"merges\.txt: .*vocab\.json cannot be read.*the vocabulary of this file"
    ):
        cf.Tokenizer.from_file(merges)


PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "sat", "hello", "world", "!", ",", "cafe"]
PIECES += ["日", "naive", "it", "'", "s", "12", "##,", "a", "b", "c", "Hello", "café"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_vocab_txt_is_read_as_bert_does(tmp_path: Path, end: str) -> None:
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    (tmp_path / "vocab.txt").write_bytes((end.join(PIECES) + end).encode())
    judge = tokenizers.BertWordPieceTokenizer({piece: index for index, piece in enumerate(PIECES)}, lowercase=True)
    tokenizer = cf.Tokenizer.from_file(tmp_path / "vocab.txt")
    for text in [*HARD[:8], "Hello, CAFÉ naïve it's 日 the cats"]:
        assert tokenizer.encode(text) == judge.encode(text, add_special_tokens=False).ids, text
    assert any("lower-cased" in note for note in tokenizer.describe()["notes"])
    cased = _Spec.of_word_pieces((tmp_path / "vocab.txt").read_bytes(), "cased", lowercase=False).load("cased")
    assert cased.encode("Hello café") == [PIECES.index("Hello"), PIECES.index("café")]


# --- tiktoken ranks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "special"),
    [
        ("llama3/tokenizer.model", (128_256, 128_009, "<|eot_id|>")),
        ("glm4/tokenizer.model", (151_343, 151_336, "<|user|>")),
        ("cl100k/cl100k_base.tiktoken", (100_277, 100_257, "<|endoftext|>")),
    ],
)
def test_published_ranks_are_known_by_their_content(
    data: Path, tmp_path: Path, file: str, special: tuple[int, int, str]
) -> None:
    source = data / "tokenizers" / file
    judge = cf.Tokenizer.from_file(source.parent / "tokenizer.json")
    lines = source.read_bytes().split(b"\n")
    random.Random(7).shuffle(lines)
    # Another name, another order, other line ends.
    (tmp_path / "some.model").write_bytes(b"\r\n".join(lines))
    for path in (source, tmp_path / "some.model"):
        tokenizer = cf.Tokenizer.from_file(path)
        for text in HARD:
            assert tokenizer.encode(text) == judge.encode(text), text
        size, token_id, content = special
        assert tokenizer.vocab_size == size
        assert token_id in list(tokenizer.control_ids)
        added = _Spec.read(path).added_tokens
        assert [token["id"] for token in added if token["content"] == content] == [token_id]
    # One line less: no known file.
    kept = [line for line in lines if line.strip()][1:]
    refused(tmp_path / "less.model", b"\n".join(kept), f"{len(kept)} tiktoken ranks of no known file", "`pattern`")


# --- RWKV world ----------------------------------------------------------------------------------------------------


def world() -> dict[int, bytes]:
    tokens: dict[int, bytes] = {byte + 1: bytes([byte]) for byte in range(256)}
    words = [*WORDS, "é".encode(), b"'", b"it's", b"\"'", "日本".encode(), "日".encode()[:2], b"\r\n", b"\\n", b"cats"]
    for word in dict.fromkeys(word for word in words if len(word) > 1):
        tokens[len(tokens) + 1] = word
    return tokens


def world_line(token_id: int, token: bytes) -> str:
    try:
        literal = repr(token.decode())
    except UnicodeDecodeError:
        literal = repr(token)
    return f"{token_id} {literal} {len(token)}\n"


def longest_match(tokens: Mapping[int, bytes], text: bytes) -> list[int]:
    """The published rule, in its plainest form."""
    ids = {token: token_id for token_id, token in tokens.items()}
    found = []
    while text:
        length = max(length for length in range(1, min(len(text), 32) + 1) if text[:length] in ids)
        found.append(ids[text[:length]])
        text = text[length:]
    return found


def test_the_rwkv_vocabulary_takes_the_longest_token(tmp_path: Path) -> None:
    tokens = world()
    path = tmp_path / "rwkv_vocab_v20230424.txt"
    path.write_text("".join(world_line(*entry) for entry in tokens.items()), encoding="utf-8")
    tokenizer = cf.Tokenizer.from_file(path)
    assert list(tokenizer.control_ids) == [0]
    chance = random.Random(5)
    texts = HARD + ["".join(chance.choices("the cats\n\r日本'\"\\é", k=chance.randrange(30))) for _ in range(300)]
    for text in texts:
        ids = tokenizer.encode(text)
        assert ids == longest_match(tokens, text.encode()), text
        assert tokenizer.decode_bytes(ids) == text.encode()
        streams(tokenizer, text)
        for cut in tokenizer.settled_cuts(text):
            kept = tokenizer.encode(text[:cut])
            for more in ("", "s", "e cat", "本"):
                assert tokenizer.encode(text + more) == kept + tokenizer.encode(text[cut:] + more, continues=True)
    assert tokenizer.describe()["window"]["certificate"].startswith("longest token first")
    assert tokenizer.word_boundaries("the cat sat") == [3, 7]
    again = pickle.loads(pickle.dumps(tokenizer))
    assert [again.encode(text) for text in HARD] == [tokenizer.encode(text) for text in HARD]


# --- GGUF ----------------------------------------------------------------------------------------------------------


def gguf_text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf_value(value: Any) -> bytes:
    """(type, value): bool 7, int 4, str 8, and arrays of str, int (5) and float (6)."""
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + gguf_text(value)
    head = struct.pack("<I", 9)
    if value and isinstance(value[0], str):
        return head + struct.pack("<IQ", 8, len(value)) + b"".join(map(gguf_text, value))
    if value and isinstance(value[0], float):
        return head + struct.pack("<IQ", 6, len(value)) + struct.pack(f"<{len(value)}f", *value)
    return head + struct.pack("<IQ", 5, len(value)) + struct.pack(f"<{len(value)}i", *value)


def gguf(entries: Mapping[str, Any], tail: bytes = b"\0" * 64) -> bytes:
    whole = {"general.architecture": "llama", "general.list": [1, 2, 3], "llama.names": ["a", "b"], **entries}
    body = b"".join(gguf_text(key) + gguf_value(value) for key, value in whole.items())
    return b"GGUF" + struct.pack("<IQQ", 3, 1, len(whole)) + body + tail


def ggml(**entries: Any) -> dict[str, Any]:
    return {f"tokenizer.ggml.{key}": value for key, value in entries.items()}


def byte_level_entries(folder: Path) -> tuple[dict[str, Any], Callable[[str], list[int]]]:
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    vocab, merges = write_pair(folder)
    judge = tokenizers.ByteLevelBPETokenizer(str(vocab), str(merges))
    tokens = [token for token, _ in sorted(judge.get_vocab().items(), key=lambda item: item[1])]
    lines = [line for line in merges.read_text().split("\n")[1:] if line]
    types = [3 if token in ("<s>", "</s>") else 1 for token in tokens]
    return ggml(
        model="gpt2", pre="gpt-2", tokens=tokens, token_type=types, merges=lines
    ), lambda text: judge.encode(text).ids


def test_byte_level_bpe_in_gguf(tmp_path: Path) -> None:
    entries, judge = byte_level_entries(tmp_path)
    (tmp_path / "model.gguf").write_bytes(gguf(entries))
    tokenizer = cf.Tokenizer.from_file(tmp_path / "model.gguf")
    for text in HARD:
        assert tokenizer.encode(text) == judge(text), text
    assert list(tokenizer.control_ids) == [0, 1]
    refused(tmp_path / "a.gguf", gguf(entries | ggml(pre="new-rule")), "'new-rule'".replace("'", '"'), "`pattern`")
    unnamed = {key: value for key, value in entries.items() if not key.endswith("pre")}
    refused(tmp_path / "b.gguf", gguf(unnamed), "no key tokenizer.ggml.pre")
    (tmp_path / "b.gguf").write_bytes(gguf(unnamed))
    split = cf.Tokenizer.from_file(tmp_path / "b.gguf", pattern=r"\s*\S+|\s+")
    assert split.decode(split.encode(HARD[3])) == HARD[3]


def test_only_the_header_of_a_gguf_file_is_read(tmp_path: Path) -> None:
    entries, judge = byte_level_entries(tmp_path)
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf(entries))
    # Eight gigabytes of tensors that take no place: reading them would take the memory of the machine.
    with path.open("r+b") as file:
        file.truncate(8 << 30)
    assert cf.Tokenizer.from_file(path).encode(HARD[3]) == judge(HARD[3])


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_sentencepiece_in_gguf(tmp_path: Path, kind: str) -> None:
    sentencepiece = pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(HARD[3:] * 20), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(tmp_path / "m"), model_type=kind, vocab_size=380, byte_fallback=True,
        hard_vocab_limit=False, minloglevel=2, normalization_rule_name="identity", remove_extra_whitespaces=False,
        user_defined_symbols=["▁▁", "▁▁▁▁", "\n\n", "don"],
    )  # fmt: skip
    judge = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "m.model"))
    ids = range(judge.get_piece_size())
    tests = ((judge.is_unknown, 2), (judge.is_control, 3), (judge.is_unused, 5), (judge.is_byte, 6))
    types = [next((number for test, number in tests if test(i)), 1) for i in ids]
    types[3:7] = [4] * 4
    # The converter of llama.cpp writes spaces in user-defined symbols.
    pieces = [judge.id_to_piece(i).replace("▁", " ") if types[i] == 4 else judge.id_to_piece(i) for i in ids]
    entries = ggml(
        model="llama" if kind == "bpe" else "t5", tokens=pieces,
        scores=[judge.get_score(i) for i in ids], token_type=types, add_space_prefix=True,
    )  # fmt: skip
    (tmp_path / "model.gguf").write_bytes(gguf(entries))
    tokenizer = cf.Tokenizer.from_file(tmp_path / "model.gguf")
    for text in (*HARD, "12345 don't  \n\n x_y()", "  a     b", "a  \n\n\n  don"):
        assert tokenizer.encode(text) == judge.encode(text), text
    refused(tmp_path / "a.gguf", gguf(entries | ggml(scores=[0.0])), "tokenizer.ggml.scores")


def test_word_pieces_the_world_vocabulary_and_a_tokenizer_json_in_gguf(tmp_path: Path) -> None:
    bert = [piece[2:] if piece.startswith("##") else piece if piece[0] == "[" else "\u2581" + piece for piece in PIECES]
    plain = tmp_path / "vocab.txt"
    plain.write_text("\n".join(PIECES[:-2]) + "\n", encoding="utf-8")
    (tmp_path / "bert.gguf").write_bytes(gguf(ggml(model="bert", tokens=bert[:-2])))
    for text in HARD[:8]:
        assert cf.Tokenizer.from_file(tmp_path / "bert.gguf").encode(text) == cf.Tokenizer.from_file(plain).encode(text)
    (tmp_path / "cased.gguf").write_bytes(gguf(ggml(model="bert", tokens=bert)))
    cased = cf.Tokenizer.from_file(tmp_path / "cased.gguf")
    assert cased.encode("Hello café") == [PIECES.index("Hello"), PIECES.index("café")]
    tokens = world()
    literals = ["<s>"] + [repr(token)[2:-1] for token in tokens.values()]
    (tmp_path / "rwkv.gguf").write_bytes(gguf(ggml(model="rwkv", tokens=literals)))
    rwkv = cf.Tokenizer.from_file(tmp_path / "rwkv.gguf")
    for text in HARD:
        assert rwkv.encode(text) == longest_match(tokens, text.encode()), text
    whole = _Spec.read(plain).to_json()
    (tmp_path / "hf.gguf").write_bytes(gguf(ggml(model="gpt2") | {"tokenizer.huggingface.json": whole}))
    assert cf.Tokenizer.from_file(tmp_path / "hf.gguf").encode("the cats") == cf.Tokenizer.from_file(plain).encode(
        "the cats"
    )


def test_broken_gguf_files_name_the_entry(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    entries, _ = byte_level_entries(tmp_path)
    good = gguf(entries)
    for cut in (5, 12, 30, 60, 200, 1000, len(good) - 3000):
        refused(path, good[:cut])
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
    key = gguf_text("tokenizer.ggml.tokens")
    refused(path, head.replace(b"\x03", b"\x01", 1) + b"\0" * 40, "version 0x1, expected 2 or 3")
    refused(path, head + struct.pack("<Q", 1 << 62) + b"\0" * 40, "bytes are announced")
    refused(path, head + key + struct.pack("<IIQ", 9, 8, 1 << 61) + b"\0" * 40, "an array of", "tokenizer.ggml.tokens")
    refused(path, head + key + struct.pack("<I", 77) + b"\0" * 40, "the value type 77")
    refused(path, head + struct.pack("<Q", 2) + b"\xff\xfe" + b"\0" * 40, "not UTF-8")
    refused(path, gguf({}), "no key tokenizer.ggml.model")
    refused(path, gguf(ggml(model="newest", tokens=["a"])), '"newest", expected one of gpt2')
    refused(path, gguf(entries | ggml(merges=["a b c"])), "tokenizer.ggml.merges[0]")
    refused(path, gguf(entries | ggml(token_type=[1, 2])), "tokenizer.ggml.token_type has 2 entries")
    refused(path, gguf(entries | ggml(token_type=[-1] * len(entries["tokenizer.ggml.tokens"]))), "token_type[0] is -1")
    refused(path, gguf(entries | ggml(tokens=["a"] * len(entries["tokenizer.ggml.tokens"]))), "tokens[1]", "tokens[0]")
