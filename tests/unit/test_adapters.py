"""A wrapped object and its wrapper encode and decode alike, whatever the object is."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import coolfusion as cf
from coolfusion.adapters import pretrained
from coolfusion.adapters import wrap as adapters
from coolfusion.adapters.token_bytes import token_table
from coolfusion.extras import install_command

TEXTS = [
    "",
    "the cat sat on the mat",
    "  two  spaces",
    "a\nb\r\n\tc",
    "Grüße, 日本語 👩‍🚀",
    "it's 12,345.67 <s> </s>",
]
CORPUS = ["the cat sat on the mat, it's 12,345.67", "Grüße and other words\n\tin lines", "a b c"] * 20


def assert_alike(tokenizer: cf.Tokenizer, encode: Any, texts: list[str] = TEXTS) -> None:
    """Same ids; the ids come back as the text."""
    for text in texts:
        ids = tokenizer.encode(text)
        assert ids == list(encode(text)), text
        assert tokenizer.decode(ids) == text
        assert tokenizer.decode_bytes(ids) == text.encode()


@pytest.fixture(scope="module")
def byte_level() -> Any:
    """A byte-level BPE tokenizer of the `tokenizers` package, with one special token."""
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300, special_tokens=["</s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.encode_special_tokens = True
    return tokenizer


@pytest.fixture(scope="module")
def processor() -> Any:
    """A SentencePiece BPE model with byte fallback, which represents every text."""
    sentencepiece = pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_writer=model,
        model_type="bpe",
        vocab_size=330,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


class Bytes:
    """The smallest tokenizer there is: one id per byte, decoded strictly as UTF-8 with U+FFFD."""

    vocab_size = 256

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: list[int]) -> str:
        return bytes(ids).decode("utf-8", "replace")


class Pieces:
    """Bytes and some pieces that begin and end inside characters; cannot spell an id."""

    pieces = (
        *(bytes([byte]) for byte in range(256)),
        b"\xc3",
        b" \xe6\x97",
        b"\xa4\xba",
        b"\x9f\x9a",
        b"th",
        b"\xc3\xbc",
    )
    vocab_size = len(pieces)

    def encode(self, text: str) -> list[int]:
        data, ids = text.encode(), []
        while data:
            longest = max((p for p in self.pieces if data.startswith(p)), key=len)
            ids.append(self.pieces.index(longest))
            data = data[len(longest) :]
        return ids

    def decode(self, ids: list[int]) -> str:
        return b"".join(self.pieces[each] for each in ids).decode("utf-8", "replace")


class SpelledBytes(Bytes):
    """The same, and it can spell an id."""

    def id_to_token(self, token_id: int) -> str:
        return f"<0x{token_id:02X}>"


class Characters:
    """One id per character of a small set, BOS and EOS around every text, no option to leave them out, no size."""

    alphabet = "? abcdefghijklmnopqrstuvwxyzH,3.4567-'8\n\r\tGrüße日本語👩\u200d🚀Wordl0129<>/"
    letters = sorted(set(alphabet))

    def encode(self, text: str) -> list[int]:
        return [0, *(self.letters.index(each if each in self.letters else "?") + 2 for each in text), 1]

    def decode(self, ids: list[int]) -> str:
        pieces = ["", "", *self.letters]
        return "".join(pieces[each] for each in ids)


def test_a_tokenizer_is_returned_as_it_is(byte_level: Any) -> None:
    tokenizer = adapters.wrap(byte_level)
    assert adapters.wrap(tokenizer) is tokenizer


def test_tokenizers_tokenizer(byte_level: Any) -> None:
    tokenizer = adapters.wrap(byte_level, name="small")
    assert tokenizer.name == "small"
    assert_alike(tokenizer, lambda text: byte_level.encode(text, add_special_tokens=False).ids)


def test_sentencepiece_processor(processor: Any) -> None:
    assert_alike(adapters.wrap(processor), processor.encode)


def test_sentencepiece_of_a_type_that_the_core_cannot_run() -> None:
    sentencepiece = pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=model, model_type="char", vocab_size=60, hard_vocab_limit=False,
        character_coverage=1.0, minloglevel=2, normalization_rule_name="identity", remove_extra_whitespaces=False,
    )  # fmt: skip
    original = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    tokenizer = adapters.wrap(original)
    assert_alike(tokenizer, original.encode, ["", "the cat", "  two  mats", "Grüße"])
    assert {0, 1, 2} <= set(tokenizer.control_ids)


def test_tiktoken_encoding() -> None:
    tiktoken = pytest.importorskip("tiktoken", reason="tiktoken is not installed")
    tokens = [bytes([byte]) for byte in range(256)] + [b"  ", b"   ", b"th", b"the", b" the", "ü".encode()]
    encoding = tiktoken.Encoding(
        "small",
        pat_str=r"\p{L}++| ?[^\s\p{L}]+|\s+(?!\S)|\s+",
        mergeable_ranks={token: rank for rank, token in enumerate(tokens)},
        special_tokens={"<|end|>": 300},
    )
    tokenizer = adapters.wrap(encoding)
    assert tokenizer.name == "small"
    assert tokenizer.control_ids == [300]
    assert_alike(tokenizer, encoding.encode_ordinary, [*TEXTS, "<|end|>", "     x"])


def test_transformers_fast_with_specials_of_its_own(byte_level: Any) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=byte_level, eos_token="</s>", pad_token="<pad>")
    tokenizer = adapters.wrap(fast)
    assert sorted(fast.all_special_ids) == tokenizer.control_ids
    # Text that looks like a special token is text.
    assert_alike(tokenizer, lambda text: byte_level.encode(text, add_special_tokens=False).ids)


def test_the_definition_inside_an_object_counts_only_if_the_ids_agree(processor: Any) -> None:
    def encode(text: str, add_special_tokens: bool = True) -> list[int]:
        return [1] * add_special_tokens + processor.encode(text)

    same = SimpleNamespace(encode=encode, decode=processor.decode, sp_model=processor)
    tokenizer = adapters.wrap(same)
    assert "encode and decode" not in json.dumps(tokenizer.describe())
    assert_alike(tokenizer, processor.encode)

    def shifted(text: str) -> list[int]:  # as XLM-R does
        return [each + 1 for each in processor.encode(text)]

    other = SimpleNamespace(
        encode=shifted,
        decode=lambda ids: processor.decode([each - 1 for each in ids]),
        sp_model=processor,
        vocab_size=processor.get_piece_size() + 1,
        id_to_token=lambda token_id: processor.id_to_piece(token_id - 1),
    )
    tokenizer = adapters.wrap(other)
    assert "is not what the object encodes with" in json.dumps(tokenizer.describe())
    assert_alike(tokenizer, shifted)


def test_only_encode_and_decode_with_a_way_to_spell() -> None:
    tokenizer = adapters.wrap(SpelledBytes())
    assert_alike(tokenizer, SpelledBytes().encode)
    assert [tokenizer.token_bytes(byte) for byte in range(256)] == [bytes([byte]) for byte in range(256)]


def test_bytes_are_found_out_by_what_completes_them_to_characters() -> None:
    obj = Pieces()
    table = token_table(obj, obj.encode, obj.decode, obj.vocab_size)
    # No text in UTF-8 holds these bytes, and no neighbour makes a character of them.
    never = {0xC0, 0xC1, *range(0xF5, 0x100)}
    assert {index for index, data in enumerate(table) if data is None} == never
    assert all(data in (None, obj.pieces[index]) for index, data in enumerate(table))
    tokenizer = adapters.wrap(obj)
    assert_alike(tokenizer, obj.encode)
    assert tokenizer.token_bytes(258) == b"\xa4\xba"
    with pytest.raises(cf.TokenizerError):
        tokenizer.token_bytes(0xC0)


def test_bytes_that_a_decoder_drops_are_found_out() -> None:
    class Dropping(Pieces):
        """As ByT5: bytes that are no character vanish."""

        def decode(self, ids: list[int]) -> str:
            return b"".join(self.pieces[each] for each in ids).decode("utf-8", "ignore")

    obj = Dropping()
    table = token_table(obj, obj.encode, obj.decode, obj.vocab_size)
    never = {0xC0, 0xC1, *range(0xF5, 0x100)}
    assert [data for index, data in enumerate(table) if index not in never] == [
        piece for index, piece in enumerate(obj.pieces) if index not in never
    ]
    assert_alike(adapters.wrap(obj), obj.encode)


def test_bytes_that_cannot_be_found_out_are_not_guessed() -> None:
    class NoBytes(Bytes):
        """Encodes only ASCII, so that no text shows what the other ids are."""

        def encode(self, text: str) -> list[int]:
            return list(text.encode("ascii", "replace"))

    obj = NoBytes()
    table = token_table(obj, obj.encode, obj.decode, 256)
    assert table[:128] == [bytes([byte]) for byte in range(128)]
    assert table[128:] == [None] * 128


def test_bos_and_eos_that_cannot_be_switched_off_are_taken_away() -> None:
    obj = Characters()
    tokenizer = adapters.wrap(obj)
    assert tokenizer.vocab_size == len(obj.letters) + 2
    assert tokenizer.control_ids == [0, 1]
    assert_alike(tokenizer, lambda text: obj.encode(text)[1:-1], ["", "the cat", " Grüße,\n日本語"])


def test_a_dummy_prefix_shows_only_where_it_is_text(processor: Any) -> None:
    class Opaque:
        """Hides that there is a SentencePiece model in it."""

        encode = staticmethod(lambda text: processor.encode(text))
        decode = staticmethod(lambda ids: processor.decode(ids))
        id_to_token = staticmethod(lambda token_id: processor.id_to_piece(token_id))
        vocab_size = processor.get_piece_size()

    table = token_table(Opaque, Opaque.encode, Opaque.decode, Opaque.vocab_size)
    for token_id in range(Opaque.vocab_size):
        if processor.is_byte(token_id):
            assert table[token_id] == bytes([token_id - processor.piece_to_id("<0x00>")])
        elif not processor.is_control(token_id) and not processor.is_unknown(token_id):
            assert table[token_id] == processor.id_to_piece(token_id).replace("▁", " ").encode()
    assert_alike(adapters.wrap(Opaque()), processor.encode)


@pytest.mark.parametrize("obj", [None, 7, "gpt2", object(), SimpleNamespace(encode=list)])
def test_what_is_no_tokenizer_is_refused_by_name(obj: Any) -> None:
    with pytest.raises(cf.UnsupportedTokenizerError, match=rf"{type(obj).__qualname__}.*encode\(text\) and decode"):
        adapters.wrap(obj)


def test_a_decoder_that_is_no_concatenation_is_refused() -> None:
    reverse = SimpleNamespace(
        encode=lambda text: list(text.encode()), decode=lambda ids: str(sorted(ids)), vocab_size=256
    )
    with pytest.raises(cf.UnsupportedTokenizerError, match="decode gives no fixed text"):
        adapters.wrap(reverse)


def test_from_pretrained_reads_a_directory_without_transformers(
    byte_level: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    byte_level.save(str(tmp_path / "tokenizer.json"))
    config = {
        "eos_token": {"content": "</s>"},
        "pad_token": "a",  # an ordinary token that stays text
        "added_tokens_decoder": {"400": {"content": "<|user|>", "special": True}},
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = pretrained.from_pretrained(tmp_path)
    assert tokenizer.vocab_size == 401
    assert tokenizer.control_ids == [byte_level.token_to_id("</s>"), 400]
    assert_alike(tokenizer, lambda text: byte_level.encode(text, add_special_tokens=False).ids)
    assert pretrained.from_pretrained(tmp_path / "tokenizer.json").encode("a b") == tokenizer.encode("a b")


def test_from_pretrained_reads_a_sentencepiece_file(processor: Any, tmp_path: Path) -> None:
    (tmp_path / "spiece.model").write_bytes(processor.serialized_model_proto())
    assert_alike(pretrained.from_pretrained(str(tmp_path)), processor.encode)


def test_from_pretrained_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(cf.TokenizerFileError, match=r"empty directory.*expected tokenizer\.json"):
        pretrained.from_pretrained(tmp_path)
    with pytest.raises(cf.TokenizerFileError, match="no such file or directory"):
        pretrained.from_pretrained(tmp_path / "missing")
    broken = [("{", "broken JSON: EOF"), ("[]", "it begins with"), ("{}", "a JSON object without `model`")]
    for content, words in broken:
        (tmp_path / "tokenizer.json").write_text(content)
        with pytest.raises(cf.TokenizerFileError, match=rf"tokenizer\.json: {words}"):
            pretrained.from_pretrained(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(cf.UnsupportedTokenizerError, match=re.escape(install_command("hf"))):
        pretrained.from_pretrained("some/name")
