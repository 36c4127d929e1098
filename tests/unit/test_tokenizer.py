"""Tokenizer: loading, encoding, decoding, and what is said when something is wrong."""

from __future__ import annotations

import base64
import copy
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import coolfusion as cf
from fixtures import SELF_MADE, family, llama2

TOK = family("made_llama2").tok
BPE: dict[str, Any] = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}


def _write(folder: Path, content: Any, name: str = "tokenizer.json") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


# A tokenizer small enough to check by hand ---------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> cf.Tokenizer:
    """Eight pieces: ``a b c ab abc ▁ ▁a`` and bytes are not there, so everything else is unknown."""
    definition = llama2()
    pieces = ["<unk>", "<s>", "</s>", "▁", "a", "b", "c", "ab", "abc", "▁a"]
    definition["model"] |= {
        "vocab": {piece: token_id for token_id, piece in enumerate(pieces)},
        "merges": [["a", "b"], ["ab", "c"], ["▁", "a"]],
        "byte_fallback": False,
    }
    return cf.Tokenizer.from_file(_write(tmp_path, definition))


def test_merges_go_by_rank(small: cf.Tokenizer) -> None:
    """``a b`` is the first merge, so it wins over ``▁ a``; the dummy prefix is there at the start only."""
    assert small.encode("abc") == [3, 8]
    assert small.encode("abc", continues=True) == [8]
    assert small.encode("a cab") == [9, 3, 6, 7]
    assert small.encode("") == []
    assert small.encode("", continues=True) == []


def test_decoding_drops_one_dummy_space(small: cf.Tokenizer) -> None:
    """One space at the very start is the dummy prefix; every other space is text."""
    assert small.decode([3, 8]) == "abc"
    assert small.decode([3, 3, 8]) == " abc"
    assert small.decode([8, 3, 8]) == "abc abc"
    assert small.decode([1, 3, 8, 2]) == "abc", "control tokens say nothing"
    assert small.decode([]) == ""
    assert small.decode_bytes([3, 8]) == b"abc"


def test_the_unknown_token_says_nothing(small: cf.Tokenizer) -> None:
    """What has no piece is the unknown token, one for several characters where the file says so."""
    assert small.encode("axyb") == [9, 0, 5]
    assert not small.represents("axyb")
    assert small.represents("ab a")


def test_what_an_id_is(small: cf.Tokenizer) -> None:
    assert small.vocab_size == 10
    assert small.control_ids == [0, 1, 2]
    assert small.unused_ids == []
    assert [small.token_bytes(n) for n in (1, 3, 8, 9)] == [b"", b" ", b"abc", b" a"]


# Loading -------------------------------------------------------------------------------------------------------------


def test_loading_twice_gives_the_same(tmp_path: Path) -> None:
    """A file means one tokenizer; its path is its name, as `str` or as `Path`."""
    path = family("made_gemma").path
    one, two = cf.Tokenizer.from_file(path), cf.Tokenizer.from_file(str(path))
    assert one.describe() == two.describe()
    assert one.name == str(path)
    assert repr(one) == f'Tokenizer("{path}", vocab_size={one.vocab_size})'


def test_changed_content_is_another_tokenizer(tmp_path: Path) -> None:
    """What is loaded again is known by its content: neither path nor size nor time of the file say enough."""
    path = _write(tmp_path, {"model": BPE})
    before = cf.Tokenizer.from_file(path)
    status = path.stat()
    changed = json.dumps({"model": BPE | {"vocab": {"a": 1, "b": 0, "ab": 2}}}).encode()
    _write(tmp_path, changed)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    after = cf.Tokenizer.from_file(path)
    assert [before.token_bytes(n) for n in range(3)] == [b" a", b" b", b" ab"]
    assert [after.token_bytes(n) for n in range(3)] == [b" b", b" a", b" ab"]
    del before
    assert [cf.Tokenizer.from_file(path).token_bytes(n) for n in range(3)] == [b" b", b" a", b" ab"]


def test_one_content_under_two_names_and_two_patterns(tmp_path: Path) -> None:
    """Each path is named in its own errors, and the pattern is part of what is loaded."""
    ranks = b"".join(base64.b64encode(bytes([n])) + b" %d\n" % n for n in range(256)) + b"YWI= 256\n"
    paths = [_write(tmp_path, ranks, name) for name in ("one.tiktoken", "two.tiktoken")]
    toks = [cf.Tokenizer.from_file(path, pattern=pattern) for path in paths for pattern in (r"[ab]+", r".")]
    assert [tok.name for tok in toks] == [str(path) for path in paths for _ in range(2)]
    assert [tok.encode("ab") for tok in toks] == [[256], [97, 98]] * 2


def test_threads_that_load_one_file_get_equal_tokenizers() -> None:
    """The first loads of one file may run side by side."""
    path = family("made_gemma").path
    content = Path(path).read_bytes()
    text = "the cat  sat\n"
    expected = family("made_gemma").tok.encode(text)
    found: list[tuple[str, list[int]]] = []

    def load() -> None:
        for number in range(10):
            tok = cf.Tokenizer._from_json(content.decode(), f"load {number}")
            found.append((tok.name, tok.encode(text)))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted((f"load {number}", expected) for number in range(10) for _ in range(4))


@pytest.mark.parametrize(
    "model",
    [
        '{"type": "BPE", "merges": [["a", "b"]], "vocab": {"ab": 2, "b": 1, "a": 0}}',
        '{"vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"], "type": "BPE"}',
        '{"type": "BPE", "merges": 3, "vocab": 1, "vocab": {"a": 7, "b": 1, "ab": 2, "a": 0}, "merges": [["a", "b"]]}',
        r'{"type": "BPE", "vocab": {"\u0061": 0, "b": 1, "a\u0062": 2}, "merges": [["\u0061", "b"]]}',
    ],
    ids=["merges-first", "lines", "repeated-keys", "escapes"],
)
def test_the_order_and_the_spelling_of_json_do_not_matter(tmp_path: Path, model: str) -> None:
    """Vocabulary and merges are read without a JSON value for each, in whatever way they are written."""
    expected = cf.Tokenizer.from_file(_write(tmp_path, {"model": BPE}, "expected.json"))
    tok = cf.Tokenizer.from_file(_write(tmp_path, f'{{"model": {model}}}'.encode()))
    assert [tok.token_bytes(n) for n in range(tok.vocab_size)] == [b" a", b" b", b" ab"]
    for text in ("ab", "abab ba", "b"):
        assert tok.encode(text) == expected.encode(text)


def test_ids_between_the_tokens_are_unused(tmp_path: Path) -> None:
    """Gaps in the ids (padded rows) are known, and refused when they are asked for."""
    definition = {"model": BPE | {"vocab": {"a": 0, "b": 1, "ab": 5}}}
    tok = cf.Tokenizer.from_file(_write(tmp_path, definition))
    assert (tok.vocab_size, tok.unused_ids) == (6, [2, 3, 4])
    with pytest.raises(cf.UnknownTokenError, match=r"token id 3 at position 1 .*expected one of the ids below 6"):
        tok.decode([5, 3])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (b'{"model": {"type": "BPE", ', "broken JSON"),
        (b"{}", "without `model`"),
        (b'{"model": "BPE"}', "without `model`"),
        (b'{"version": "1.0", "model": null}', "without `model`"),
        (b"[1, 2]", "expected"),
        (b"3", "expected"),
        (b"\x00\x01\x02 something \xff" * 9, "expected"),
        (b"hello world, this is a text\n" * 3, "expected"),
        (b'"a string"', "expected"),
        (b'{"model": {"type": "BPE", "vocab": {"\xff": 0}}}', "JSON"),
        (b'{"model": {"type": "BPE",\n "vocab": {"a": 0,}}}', r"broken JSON: .* at line 2 column 19"),
    ],
    ids=[
        *("empty", "half", "no-model", "model-string", "model-null", "list"),
        *("number", "junk", "text", "string", "latin1", "comma"),
    ],
)
def test_a_file_that_is_no_tokenizer(tmp_path: Path, content: bytes, expected: str) -> None:
    """The file is named, with what was found and which formats were expected."""
    path = _write(tmp_path, content)
    with pytest.raises(cf.TokenizerFileError, match=expected) as caught:
        cf.Tokenizer.from_file(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(cf.TokenizerFileError, match=r"none\.json: cannot be read .*expected a tokenizer file"):
        cf.Tokenizer.from_file(tmp_path / "none.json")
    with pytest.raises(cf.TokenizerFileError, match=r"cannot be read .*expected a tokenizer file"):
        cf.Tokenizer.from_file(tmp_path)


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ({"model": {"type": "BPE"}}, r"model\.vocab: missing: expected"),
        ({"model": {"type": "BPE", "vocab": {}, "merges": []}}, r"model\.vocab: it is empty: expected at least one"),
        ({"model": BPE | {"vocab": {"a": -1}}}, r"model\.vocab: a: expected"),
        ({"model": BPE | {"vocab": {"a": "x"}}}, r"model\.vocab: a: expected"),
        ({"model": BPE | {"merges": [["a", "c"]]}}, r'model\.merges: merge 0: "c" is out of vocabulary: expected two'),
        ({"model": BPE | {"merges": [["b", "a"]]}}, "out of vocabulary"),
        ({"model": BPE | {"merges": [["a", "b"], ["a"]]}}, r"model\.merges: merge 1 is no pair: expected two pieces"),
        ({"model": {"type": "Unigram", "unk_id": 0, "vocab": [["a"]]}}, "expected"),
        ({"model": {"type": "Unigram", "unk_id": 9, "vocab": [["a", -1.0]]}}, "[Uu]nk"),
        ({"model": {"type": "Magic", "vocab": {"a": 0}}}, "Magic.*expected"),
        ({"model": BPE, "normalizer": {"type": "Magic"}}, "Magic.*expected"),
        ({"model": BPE, "pre_tokenizer": {"type": "Magic"}}, "Magic.*expected"),
        ({"model": BPE, "added_tokens": [{"id": "x"}]}, r"added_tokens\[0\]\.id: \"x\": expected a whole"),
    ],
    ids=str,
)
def test_a_definition_that_cannot_be_run(tmp_path: Path, definition: dict[str, Any], expected: str) -> None:
    """The part of the definition is named that is broken or that nobody here can run."""
    with pytest.raises(cf.UnsupportedTokenizerError, match=expected):
        cf.Tokenizer.from_file(_write(tmp_path, definition))


def test_an_enormous_id_does_not_eat_the_memory(tmp_path: Path) -> None:
    """One id of four thousand millions in a broken file is an error, not an allocation of a hundred gigabytes."""
    path = _write(tmp_path, {"model": BPE | {"vocab": {"a": 4_000_000_000}, "merges": []}})
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)); import coolfusion as cf\n"
        "try: cf.Tokenizer.from_file(sys.argv[1])\n"
        "except cf.TokenizerError as error: print('refused:', error)"
    )
    command = [sys.executable, "-c", program, path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-500:]
    assert "refused" in done.stdout
    assert "4000000000" in done.stdout


def test_special_flags_do_not_change_the_text(tmp_path: Path) -> None:
    """Truncation, padding and post-processing of a file have no say in `encode`: the text only."""
    definition = copy.deepcopy(family("made_bert").definition)
    plain = cf.Tokenizer.from_file(_write(tmp_path, definition, "plain.json"))
    definition["truncation"] = {"max_length": 3, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    definition["padding"] = {
        "strategy": {"Fixed": 16},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }
    definition["post_processor"] = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}
    padded = cf.Tokenizer.from_file(_write(tmp_path, definition, "padded.json"))
    text = "It was late and the dog slept."
    assert len(plain.encode(text)) > 3
    assert padded.encode(text) == plain.encode(text)


# Arguments -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token_id", [TOK.vocab_size, 10**6, 2**32, 2**40, 2**70, -1, -(2**70)])
def test_an_id_that_is_not_in_the_vocabulary(token_id: int) -> None:
    """Past the end and negative alike: the class, the id, its position, what was expected."""
    with pytest.raises(cf.UnknownTokenError, match=rf"token id {token_id} at position 2\b.*expected"):
        TOK.decode([300, 301, token_id])
    with pytest.raises(cf.UnknownTokenError, match=rf"token id {token_id} .*expected"):
        TOK.token_bytes(token_id)
    with pytest.raises(LookupError):
        TOK.decode_bytes([token_id])
    assert TOK.decode(TOK.encode("as it was")) == "as it was"


@pytest.mark.parametrize("token_id", ["7", 1.5, None, b"7", [7]])
def test_an_id_that_is_no_number(token_id: Any) -> None:
    with pytest.raises(cf.ArgumentError, match=r"token id .* at position 1: expected an integer"):
        TOK.decode([300, token_id])
    with pytest.raises(cf.ArgumentError, match="expected an integer"):
        TOK.token_bytes(token_id)


@pytest.mark.parametrize("ids", [None, 7, 1.5])
def test_ids_that_are_no_sequence(ids: Any) -> None:
    with pytest.raises(cf.ArgumentError, match=rf"token ids are of type {type(ids).__name__}: expected a sequence"):
        TOK.decode(ids)


def test_ids_come_in_any_sequence() -> None:
    """Lists, tuples, ranges, generators and numpy-like integers."""

    class Index:
        def __index__(self) -> int:
            return 300

    expected = TOK.decode([300, 301])
    assert TOK.decode((300, 301)) == expected
    assert TOK.decode(range(300, 302)) == expected
    assert TOK.decode(n for n in (300, 301)) == expected
    assert TOK.token_bytes(Index()) == TOK.token_bytes(300)


@pytest.mark.parametrize("text", [None, 3, ["a"], bytearray(b"a"), ("a",)], ids=repr)
def test_a_text_of_another_type(text: Any) -> None:
    kind = type(text).__name__
    takes_many = (TOK.word_boundaries, TOK.settled_cuts, TOK.represents)
    for call in (TOK.encode, *(takes_many if not isinstance(text, list | tuple) else ())):
        with pytest.raises(cf.ArgumentError, match=f"text is of type {kind}: expected str or bytes"):
            call(text)


@pytest.mark.parametrize(
    ("text", "position"), [("\ud800", 0), ("ab\udfff", 2), ("né😀\udc80x", 3), ("\ud83d\ude00", 0)], ids=ascii
)
def test_a_lone_surrogate(text: str, position: int) -> None:
    """The position is in characters."""
    for call in (TOK.encode, TOK.word_boundaries, TOK.settled_cuts, TOK.represents):
        with pytest.raises(cf.TextError, match=rf"character {position} of the text is a lone surrogate: expected"):
            call(text)


@pytest.mark.parametrize(
    ("data", "position"),
    [(b"\xff", 0), (b"ab\xe5\xb2", 2), ("né".encode() + b"\x80", 3), (b"a\xc0\x80", 1), (b"\xed\xa0\x80", 0)],
    ids=repr,
)
def test_bytes_that_are_no_utf8(data: bytes, position: int) -> None:
    """The position is in bytes."""
    for call in (TOK.encode, TOK.word_boundaries, TOK.settled_cuts, TOK.represents):
        with pytest.raises(cf.TextError, match=rf"byte {position} of the text is not valid UTF-8: 0x"):
            call(data)


def test_errors_is_replace_or_strict() -> None:
    with pytest.raises(cf.ArgumentError, match='errors is "ignore": expected "replace" or "strict"'):
        TOK.encode("a", errors="ignore")


def test_refusals_name_tokenizer_position_and_text() -> None:
    """What a lossy tokenizer cannot say is refused with the position, the text there and the reason."""
    tok = family("made_characters").tok
    for text, place in (("ab\nb", "character 2"), (b"ab\nb", "byte 2")):
        with pytest.raises(cf.UnrepresentableTextError) as caught:
            tok.encode(text, errors="strict")
        assert f'at {place} "\\nb" does not come back' in str(caught.value)
        assert "made_characters" in str(caught.value)
        assert "newlines" in str(caught.value), "the load probe knew"
    assert tok.encode("ab\nb", errors="replace")
    assert tok.encode("ab", errors="strict") == tok.encode("ab")


def test_all_errors_have_one_root() -> None:
    """Everything above can be caught as `CoolFusionError`, and as the built-in class that it also is."""
    for kind in (cf.ArgumentError, cf.TextError, cf.UnknownTokenError, cf.TokenizerFileError):
        assert issubclass(kind, cf.CoolFusionError)
    assert issubclass(cf.ArgumentError, ValueError)
    assert issubclass(cf.TextError, ValueError)
    assert issubclass(cf.UnknownTokenError, LookupError)


def test_a_tokenizer_is_no_constructor() -> None:
    with pytest.raises(TypeError, match="cannot create"):
        cf.Tokenizer()  # type: ignore[call-arg]


# Use -----------------------------------------------------------------------------------------------------------------


def test_long_words_take_no_quadratic_time() -> None:
    """A word of a hundred thousand letters is encoded at once (merging by search would take minutes)."""
    for name in ("made_gpt2", "made_llama2", "made_llama3"):
        tok = family(name).tok
        text = "abracadabra" * 10_000
        ids = tok.encode(text)
        assert tok.decode(ids) == text


def test_threads_share_a_tokenizer() -> None:
    """A tokenizer is immutable: threads that use it together see what one alone sees."""
    names = [name for name in SELF_MADE if name in ("made_gpt2", "made_gemma", "made_unigram", "made_bert")]
    assert len(names) == 4
    texts = ["It was late and the dog slept. " * 50, "你好，世界 " * 50, "x == y\n\n" * 50]
    expected = {(name, text): family(name).tok.encode(text) for name in names for text in texts}
    wrong = []

    def work() -> None:
        for (name, text), ids in expected.items():
            if family(name).tok.encode(text) != ids:
                wrong.append((name, text))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
