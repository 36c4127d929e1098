"""Definitions read completely: how a model sees a text, and what its decoder makes of tokens, are two readings."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import coolfusion as cf
from definitions import oracle
from reference import byte_alphabet

Load = Callable[[dict[str, Any]], cf.Tokenizer]
FLAGS = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def loaded(definition: dict[str, Any]) -> cf.Tokenizer:
        path = tmp_path / "tokenizer.json"
        path.write_text(json.dumps(definition), encoding="utf-8")
        return cf.Tokenizer.from_file(path)

    return loaded


def replace(pattern: str, content: str, kind: str = "String") -> dict[str, Any]:
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


def decoders(*stages: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "decoders": list(stages)}


def metaspace(mark: str = "▁") -> dict[str, Any]:
    return {"type": "Metaspace", "replacement": mark, "prepend_scheme": "always", "split": True}


def definition(model: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """A definition of ``model`` (BPE unless it says otherwise) and ``parts``."""
    model = model if "type" in model else {"type": "BPE", "merges": [], **model}
    added = [FLAGS | token for token in parts.pop("added_tokens", ())]
    empty = dict.fromkeys(("normalizer", "pre_tokenizer", "post_processor", "decoder", "truncation", "padding"))
    return {"version": "1.0", "added_tokens": added, "model": model, **empty, **parts}


PREPEND = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace(" ", "▁")]}
WORDS = {"type": "WhitespaceSplit"}
FUSE, BYTES = {"type": "Fuse"}, {"type": "ByteFallback"}
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
SENTENCEPIECE = decoders(replace("▁", " "), BYTES, FUSE, STRIP)
MARKED = {"vocab": {"▁": 0, "a": 1, "b": 2, "▁a": 3}, "merges": [["▁", "a"]]}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
ALPHABET = {character: byte for byte, character in enumerate(sorted(byte_alphabet()))}
WORD_PIECE = {
    "type": "WordPiece",
    "vocab": {"[UNK]": 0, "the": 1, "cat": 2, "##s": 3, ".": 4},
    "unk_token": "[UNK]",
    "continuing_subword_prefix": "##",
    "max_input_chars_per_word": 100,
}
SUFFIXED = {
    "vocab": {"a</w>": 0, "b</w>": 1, "a": 2, "b": 3, "ab</w>": 4},
    "merges": [["a", "b</w>"]],
    "end_of_word_suffix": "</w>",
}


def same(tok: cf.Tokenizer, library: Any, text: str) -> list[int]:
    """The ids of ``text``, after ids, decoded text and the decoded stream were compared with the library's."""
    expected = library.encode(text, add_special_tokens=False).ids
    ids = tok.encode(text)
    stream = cf.StreamDecoder(tok)
    assert ids == expected
    decoded = library.decode([each for each in expected if each not in tok.control_ids], skip_special_tokens=False)
    assert tok.decode(ids) == decoded
    assert "".join(map(stream.push, ids)) + stream.flush() == decoded
    return list(ids)


@pytest.mark.parametrize("pre", [True, False], ids=["pre-tokenizer", "normalizer"])
@pytest.mark.parametrize(
    "decoder",
    [None, FUSE, decoders(replace("▁", " ", "Regex"), STRIP), decoders(replace("▁", " "), FUSE, STRIP)],
    ids=["null", "fuse", "regex", "usual"],
)
def test_what_the_model_sees_does_not_depend_on_the_decoder(load: Load, decoder: Any, pre: bool) -> None:
    stage = {"pre_tokenizer": metaspace()} if pre else {"normalizer": PREPEND}
    made = definition(MARKED, decoder=decoder, **stage)
    if decoder is not None and decoder["type"] == "Sequence" and decoder["decoders"][-2:-1] != [FUSE]:
        made["decoder"]["decoders"].insert(-1, FUSE)
    assert same(load(made), oracle(made), "a b") == [3, 0, 2]


def test_a_piece_of_a_space_beside_the_mark(load: Load) -> None:
    model = {
        "vocab": {"<unk>": 0, "▁": 1, " ": 2, "a": 3, "b": 4, "▁b": 5},
        **{"merges": [["▁", "b"]], "unk_token": "<unk>", "byte_fallback": True, "fuse_unk": True},
    }
    made = definition(model, normalizer=PREPEND, decoder=SENTENCEPIECE)
    tok = load(made)
    assert same(tok, oracle(made), "a b") == [1, 3, 5]
    assert tok.represents("a b")
    assert tok.decode([2, 3]) == "a"
    assert "own byte-pair encoder" in tok.describe()["engine"]


def test_a_byte_level_piece_outside_the_alphabet_is_found_in_no_text(load: Load) -> None:
    """The piece "中" is not the three characters that spell its bytes, also where whole words are looked up."""
    vocab = ALPHABET | {"ä¸Ń": 256, "中": 257}
    made = definition({"vocab": vocab, "ignore_merges": True}, pre_tokenizer=BYTE_LEVEL, decoder=BYTE_LEVEL)
    assert same(load(made), oracle(made), "中") == [256]


def test_an_added_token_has_the_id_of_its_piece(load: Load) -> None:
    made = definition(
        {"vocab": ALPHABET}, pre_tokenizer=BYTE_LEVEL, decoder=BYTE_LEVEL, added_tokens=[{"id": 300, "content": "x"}]
    )
    tok = load(made)
    assert same(tok, oracle(made), "axb") == [ALPHABET[c] for c in "axb"]
    assert any("'x'" in note or '"x"' in note for note in tok.describe()["notes"])


@pytest.mark.parametrize("decoder", [BYTES, decoders(BYTES, FUSE)])
@pytest.mark.parametrize("flag", [True, False])
def test_byte_pieces_are_what_the_decoder_says(load: Load, decoder: Any, flag: bool) -> None:
    vocab = {"<unk>": 0, "a": 1, " ": 2, "<0xC3>": 3, "<0xA9>": 4}
    made = definition({"vocab": vocab, "byte_fallback": flag, "unk_token": "<unk>"}, decoder=decoder)
    tok = load(made)
    same(tok, oracle(made), "a é")
    assert tok.decode([1, 2, 3, 4]) == "a é"
    unigram = {"type": "Unigram", "vocab": [[piece, -1.0] for piece in vocab], "unk_id": 0, "byte_fallback": flag}
    made = definition(unigram, decoder=decoder)
    same(load(made), oracle(made), "a é")
    assert load(made).decode([1, 2, 3, 4]) == "a é"


@pytest.mark.parametrize("by", ["pre-tokenizer", "normalizer"])
def test_another_mark(load: Load, by: str) -> None:
    vocab = {"_": 0, "a": 1, "b": 2}
    pre = {"pre_tokenizer": metaspace("_"), "decoder": metaspace("_")}
    parts = pre if by == "pre-tokenizer" else {"normalizer": replace(" ", "_"), "decoder": replace("_", " ")}
    made = definition({"vocab": vocab}, **parts)
    tok = load(made)
    same(tok, oracle(made), "a b")
    assert tok.decode(tok.encode("a b")) == "a b"


def test_spaces_stand_between_words_only(load: Load) -> None:
    """GPT-1 and XLM: a word's suffix is a space if another word follows; such a model takes a prompt."""
    made = definition(SUFFIXED, pre_tokenizer=WORDS, decoder={"type": "BPEDecoder", "suffix": "</w>"})
    tok = load(made)
    assert same(tok, oracle(made), "a ab b") == [0, 4, 1]
    assert tok.represents("a b")
    assert tok.encode("a b", errors="strict") == [0, 1]
    assert tok.decode([2, 3, 1, 0]) == "abb a"
    decoder = cf.StreamDecoder(tok, prompt_ids=[0])
    assert [decoder.push(3), decoder.push(1), decoder.push(1), decoder.flush()] == [" b", "b", " b", ""]
    segmenter = cf.Segmenter(tok, prompt_ids=[0])
    found = [segmenter.push(token_id) for token_id in (1, 4)]
    assert [each.text for each in found if each is not None] == [" b"]
    assert list(cf.align([(tok, [0, 1]), (tok, [0, 1])], "a b").byte_boundaries) == [0, 1, 3]


@pytest.mark.parametrize("model", ["WordLevel", "WordPiece"])
def test_without_a_decoder_one_space_joins_tokens(load: Load, model: str) -> None:
    vocab = {"[UNK]": 0, "the": 1, "cat": 2, "##s": 3, ".": 4}
    word_level = {"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"}
    made = definition(word_level if model == "WordLevel" else WORD_PIECE, pre_tokenizer=WORDS)
    tok = load(made)
    assert same(tok, oracle(made), "the cat") == [1, 2]
    assert tok.decode([1, 3, 2]) == "the ##s cat"
    assert tok.represents("the cat")


def test_word_pieces_with_added_tokens_and_clean_up(load: Load) -> None:
    decoder = {"type": "WordPiece", "prefix": "##", "cleanup": True}
    made = definition(WORD_PIECE, pre_tokenizer=WORDS, decoder=decoder, added_tokens=[{"id": 5, "content": "NEW"}])
    tok = load(made)
    assert same(tok, oracle(made), "the NEW cat") == [1, 5, 2]
    assert tok.decode([1, 5, 2, 3, 4]) == "the NEW cats."
    assert tok.decode([3, 2]) == oracle(made).decode([3, 2]) == "##s cat"
    same(tok, oracle(made), "the cats .")


def test_a_decoder_that_no_token_can_be_told_by_is_refused_by_name(load: Load) -> None:
    ctc = {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True}
    for decoder, name in (
        (ctc, "CTC"),
        (decoders(FUSE, replace("ab", "c")), "Replace"),
        (decoders(FUSE, {"type": "Strip", "content": " ", "start": 0, "stop": 1}), "Strip"),
    ):
        with pytest.raises(cf.UnsupportedTokenizerError, match=f"decoder: {name}"):
            load(definition(MARKED, pre_tokenizer=metaspace(), decoder=decoder))


def test_a_mark_that_byte_tokens_spell_is_refused_by_name(load: Load) -> None:
    """Byte tokens at the start are one token of the library's decoder, whose marks all go."""
    pieces = ["<unk>", "_", "a", "<0x20>", "<0x5F>"]
    unigram = {"type": "Unigram", "vocab": [[piece, -float(n)] for n, piece in enumerate(pieces)], "unk_id": 0}
    made = definition(
        unigram | {"byte_fallback": True},
        pre_tokenizer=metaspace("_"),
        decoder=decoders({"type": "ByteFallback"}, metaspace("_")),
    )
    assert oracle(made).decode([3, 4]) == " "
    assert oracle(made).decode([3, 1]) == "  "
    with pytest.raises(cf.UnsupportedTokenizerError, match="decoder: Metaspace after ByteFallback"):
        load(made)


def test_control_pieces_of_a_unigram_model_are_spelled(load: Load) -> None:
    """The library finds them by name, also with `encode_special_tokens`; here they are text."""
    pieces = ["<unk>", "<pad>", "▁", "<", "p", "a", "d", ">", "▁<"]
    unigram = {"type": "Unigram", "vocab": [[piece, -float(n)] for n, piece in enumerate(pieces)], "unk_id": 0}
    added = [{"id": n, "content": pieces[n], "special": True} for n in (0, 1)]
    made = definition(unigram, pre_tokenizer=metaspace(), decoder=metaspace(), added_tokens=added)
    tok = load(made)
    ids = same(tok, oracle(made), "<pad>")
    assert 1 not in ids
    assert tok.decode(ids) == "<pad>"
    assert tok.decode([1, 2, 5]) == "a"


def test_models_without_an_unknown_token_load(load: Load) -> None:
    unigram = {"type": "Unigram", "vocab": [["▁", -1.0], ["a", -2.0], ["▁a", -2.5]], "unk_id": None}
    made = definition(unigram, pre_tokenizer=metaspace(), decoder=metaspace())
    tok = load(made)
    assert same(tok, oracle(made), "a a") == [2, 2]
    assert [tok.represents(text) for text in ("a a", "a z")] == [True, False]
    with pytest.raises(cf.UnrepresentableTextError, match='at character 2 "z"'):
        tok.encode("a z", errors="strict")
    with pytest.raises(cf.TokenizerError, match="unknown token"):
        tok.encode("a z")
    made = definition(SUFFIXED | {"unk_token": "<nope>"}, pre_tokenizer=WORDS)
    assert same(load(made), oracle(made), "a ab") == [0, 4]


def test_merges_are_read_as_the_library_reads_them(load: Load) -> None:
    made = definition(MARKED | {"merges": ["#version: 0.2", "▁ a"]}, pre_tokenizer=metaspace(), decoder=metaspace())
    assert same(load(made), oracle(made), "a b") == [3, 0, 2]
    for merges in (["▁ a b"], [["▁", "a", "b"]], ["▁  a"], [["▁", "a"], "▁ a"]):
        with pytest.raises(cf.UnsupportedTokenizerError, match=r"model\.merges: merge [01] is"):
            load(definition(MARKED | {"merges": merges}, pre_tokenizer=metaspace(), decoder=metaspace()))


def test_missing_bytes_are_named(load: Load) -> None:
    lacking = {character: n for character, n in ALPHABET.items() if byte_alphabet()[character] not in range(0xF1, 0xF5)}
    tok = load(definition({"vocab": lacking}, pre_tokenizer=BYTE_LEVEL, decoder=BYTE_LEVEL))
    found = tok.describe()
    assert not found["lossless"]
    assert found["lost"] == ["characters with the bytes F1 F2 F3 F4"]
    complete = load(definition({"vocab": ALPHABET}, pre_tokenizer=BYTE_LEVEL, decoder=BYTE_LEVEL))
    assert complete.describe()["lost"] == []
    assert complete.describe()["lossless"]


def test_the_check_at_load_is_told(load: Load) -> None:
    made = definition(MARKED, pre_tokenizer=metaspace(), decoder=metaspace())
    assert "equal those of the tokenizers library" in load(made).describe()["check"]


def test_a_control_token_that_holds_an_added_text_falls_to_the_library(load: Load) -> None:
    """The library finds "<a>" and leaves it alone, with the "<a" in it; the check at load sees that we do not."""
    added = [{"id": 256, "content": "<a>", "special": True}, {"id": 257, "content": "<a"}]
    made = definition({"vocab": ALPHABET}, pre_tokenizer=BYTE_LEVEL, decoder=BYTE_LEVEL, added_tokens=added)
    tok = load(copy.deepcopy(made))
    for text in ("<a>", "x<a>y", "<a b"):
        same(tok, oracle(made), text)


@pytest.mark.parametrize("missing", [0xC3, 0xA9, 0xE4, None], ids=str)
@pytest.mark.parametrize("spaces", [(), (" ",), ("▁",)], ids=["bytes", "space", "mark"])
@pytest.mark.parametrize("normalizer", [None, replace(" ", "▁")], ids=["plain", "marked"])
@pytest.mark.parametrize("fuse_unk", [False, True])
def test_a_cut_parts_the_ids_where_some_bytes_have_no_piece(
    load: Load, missing: int | None, spaces: tuple[str, ...], normalizer: Any, fuse_unk: bool
) -> None:
    """The library writes the byte pieces of a space before the unknown token of the character before it."""
    byte_pieces = [f"<0x{byte:02X}>" for byte in range(256) if byte != missing]
    vocab = {piece: number for number, piece in enumerate(("<unk>", "a", "b", *spaces, *byte_pieces))}
    model = {"vocab": vocab, "unk_token": "<unk>", "byte_fallback": True, "fuse_unk": fuse_unk}
    source = definition(model, normalizer=normalizer)
    tokenizer, library = load(source), oracle(source)
    for text in ("é é", "a é é b", "中 é a", " é  中é ▁", "é▁a é"):
        ids = tokenizer.encode(text)
        assert ids == library.encode(text, add_special_tokens=False).ids
        for cut in tokenizer.settled_cuts(text) + tokenizer.word_boundaries(text):
            start, rest = tokenizer.encode(text[:cut]), tokenizer.encode(text[cut:], continues=True)
            assert start + rest == ids, (text, cut)


def test_differences_on_purpose_are_noted(load: Load) -> None:
    model = {"vocab": {"<unk>": 0, "a": 1, "b": 2, " ": 3}, "unk_token": "<unk>"}
    tokenizer = load(definition(model, added_tokens=[{"id": 4, "content": "x", "lstrip": True}]))
    found = tokenizer.describe()
    assert found["check"].endswith("apart from the notes")
    assert any('"x" depends on the text beside it' in note for note in found["notes"])
    assert any('leaves out the unknown token "<unk>"' in note for note in found["notes"])
    pieces = [["<unk>", 0.0], ["a", -1.0], ["<pad>", -2.0], ["p", -3.0]]
    unigram = {"type": "Unigram", "vocab": pieces, "unk_id": 0, "byte_fallback": False}
    specials = [{"id": n, "content": content, "special": True} for n, content in ((0, "<unk>"), (2, "<pad>"))]
    notes = load(definition(unigram, added_tokens=specials)).describe()["notes"]
    assert any("spells a control token of the vocabulary" in note for note in notes)
    plain = load(definition({"vocab": {"a": 0, " ": 1}})).describe()
    assert plain["notes"] == [] and plain["check"].endswith("own pieces")


def test_two_pieces_of_one_id_have_a_note(load):
    """The library writes either by chance, so no text is right; here it is the last, and strict encoding says so."""
    found = load(definition({"vocab": {"a": 0, "b": 0, "c": 1}}, decoder=FUSE))
    assert found.encode("abc") == [0, 0, 1] and found.decode([0, 1]) == "bc"
    assert any('pieces "a" and "b" have the id 0' in note for note in found.describe()["notes"])
    assert found.represents("bc") and not found.represents("ac")
