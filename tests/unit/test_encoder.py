"""StreamEncoder, by examples: which tokens an appended text changes, what is refused, and how long it takes."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

import coolfusion as cf
from fixtures import family

LLAMA3, LLAMA2, GEMMA, QWEN, UNIGRAM = (
    family(f"made_{name}").tok for name in ("llama3", "llama2", "gemma", "qwen", "unigram")
)


def test_an_edit_says_what_changed() -> None:
    """An apostrophe alone is a token; with a letter after it, it is a contraction: one token goes, others come."""
    encoder = cf.StreamEncoder(LLAMA3)
    first = encoder.push("I don'")
    assert (first.drop, first.ids, first.lossless) == (0, LLAMA3.encode("I don'"), True)
    before = len(encoder)
    second = encoder.push("t know")
    assert second.drop == 1
    assert second.ids == LLAMA3.encode("'t know")
    assert encoder.ids == LLAMA3.encode("I don't know")
    assert len(encoder) == before - second.drop + len(second.ids)
    assert repr(second) == f"Edit(drop={second.drop}, ids={second.ids}, lossless=True)"


def test_a_clean_boundary_drops_nothing() -> None:
    """After a whole word a text that begins with a space only appends."""
    for tok in (LLAMA3, LLAMA2, GEMMA):
        encoder = cf.StreamEncoder(tok)
        encoder.push("It was late")
        edit = encoder.push(" and the dog slept")
        assert edit.drop == 0
        assert tok.decode(encoder.ids) == "It was late and the dog slept"


def test_an_empty_push_changes_nothing() -> None:
    encoder = cf.StreamEncoder(LLAMA3)
    for _ in range(2):
        edit = encoder.push("")
        assert (edit.drop, edit.ids) == (0, [])
    encoder.push("word")
    assert (encoder.push("").drop, encoder.push(b"").ids) == (0, [])
    assert encoder.text == "word"


def test_combining_marks_reach_back() -> None:
    """NFC composes across pushes: the base letter is written again."""
    encoder = cf.StreamEncoder(QWEN)
    encoder.push("cafe")
    edit = encoder.push("\u0301 x")
    assert edit.drop >= 1
    assert encoder.ids == QWEN.encode("cafe\u0301 x") == QWEN.encode("café x")
    assert not edit.lossless, "decoding gives the composed letter, which is another text"


def test_unigram_may_rewrite_a_whole_word() -> None:
    """No fixed window is enough for Unigram: one letter can change all tokens of a word; the ids stay exact."""
    encoder = cf.StreamEncoder(UNIGRAM, context_words=1)
    text = ""
    for part in ["ab" * 40, "h", " ab", "ab" * 20, "1212" * 10, "1"]:
        encoder.push(part)
        text += part
        assert encoder.ids == UNIGRAM.encode(text)


@pytest.mark.parametrize("name", ["t5_small", "xlnet_base_cased", "bert_base_cased", "ai21_j2"])
@pytest.mark.parametrize("words", [0, 1, 4])
def test_removed_characters_do_not_move_the_window(data: Path, name: str, words: int) -> None:
    """A normalizer that drops characters shifts the library's offsets; tokens are still counted right."""
    assert data
    tok = family(name).tok
    for parts in (
        ["\x7f", "\x03\x03 the", " \x03"],
        ["\x03\x03 the", "\u3000", "x"],
        [*"\x01\x01 the dog"],
        ["\u0301IT'S c", " x"],
        ["\u09cdab'S ", "x", " y z"],
        ["a\x01\x01 ", "the", " dog", "\x03", " x y z", "\x02 s"],
        ["\ufe0fｆｕｌｌ{", "👩🏽", "\t\t", "\u200d\u200b therest of it我们认为", "ß\u200d\u200b the"],
    ):
        encoder = cf.StreamEncoder(tok, context_words=words)
        text = ""
        for part in parts:
            encoder.push(part)
            text += part
            assert encoder.ids == tok.encode(text)
        assert encoder.widened == 0


def test_added_tokens_grow_across_pushes() -> None:
    """Line ends that come one by one become the longer added token, as in the whole text."""
    encoder = cf.StreamEncoder(GEMMA)
    for count in range(1, 6):
        encoder.push("\n")
        assert encoder.ids == GEMMA.encode("\n" * count)
    encoder.push("<tab")
    encoder.push("le>")
    assert encoder.ids == GEMMA.encode("\n" * 5 + "<table>")


@pytest.mark.parametrize(("name", "token"), [("qwen", "<tool_call>"), ("deepseek", "<｜User｜>"), ("neox", "  ")])
@pytest.mark.parametrize("before", ["x\n    ", "x    ", "x \t\t", "'re    ", "x\u2028\n    ", "12 ", "x!\n\n  "])
def test_added_tokens_change_the_spaces_before_them(name: str, token: str, before: str) -> None:
    """An added token ends the text before it, and ``\\s+(?!\\S)`` then takes all spaces: no cut there was settled."""
    tok = family(f"made_{name}").tok
    reference = family(f"made_{name}").reference
    for text in (before, before + token[:1], before + token[:-1]):
        for cut in tok.settled_cuts(text):
            assert reference.unsettling_suffix(text, cut, ["", token, token[1:], token[-1:], "x"]) is None
    for parts in ([before, token, "y"], [*before, *token, "y"], [before + token[:-1], token[-1:] + "y"]):
        encoder = cf.StreamEncoder(tok, context_words=0)
        text = ""
        for part in parts:
            encoder.push(part)
            text += part
            assert encoder.ids == tok.encode(text)
        assert encoder.widened == 0


@pytest.mark.parametrize(
    "name", ["vicuna", *(f"{kind}_tools" for kind in ("mistral", "metaspace", "roberta", "unigram", "xlm", "llama3"))]
)
@pytest.mark.parametrize("words", [0, 1, 4])
def test_streams_around_added_tokens(name: str, words: int) -> None:
    """After an added token some tokenizers begin with a dummy prefix again: the window does not begin there."""
    tok, reference = family(f"made_{name}").tok, family(f"made_{name}").reference
    assert "<table>" in tok.describe()["added_text_tokens"]
    short = ("<table>", "<table>x y", "the <table", "a<table>\n b", "<table>สวัสดีครับ")
    for text in ("a b<table>b c d", "a <table> b<table><table>c d e f g", *short):
        assert tok.encode(text) == family(f"made_{name}").ids(text)
        for cut in tok.settled_cuts(text):
            if reference.inside is not None or tok.represents(text):
                assert reference.unsettling_suffix(text, cut) is None
        for parts in (list(text), re.findall(r"<table>|\s*[^\s<]+|\s", text)):
            encoder = cf.StreamEncoder(tok, context_words=words)
            said = ""
            for part in parts:
                encoder.push(part)
                said += part
                assert encoder.ids == tok.encode(said)
            assert encoder.widened == 0


def test_bytes_wait_for_their_character() -> None:
    """Half a character is no text yet."""
    encoder = cf.StreamEncoder(LLAMA2)
    data = "a😀".encode()
    for count, byte in enumerate(data, start=1):
        encoder.push(bytes([byte]))
        assert encoder.text == data[:count].decode("utf-8", "ignore")
    assert encoder.ids == LLAMA2.encode("a😀")


@pytest.mark.parametrize("text", ["a", " ", "é"])
def test_text_cannot_follow_half_a_character(text: str) -> None:
    """A `str` after half a character is refused, and so is a byte that does not continue it; both leave it waiting."""
    encoder = cf.StreamEncoder(LLAMA2)
    encoder.push(b"x\xf0\x9f")
    with pytest.raises(cf.TextError, match="UTF-8"):
        encoder.push(text)
    with pytest.raises(cf.TextError, match="UTF-8"):
        encoder.push(b"A")
    encoder.push(b"\x98\x80")
    assert encoder.text == "x😀"
    assert encoder.ids == LLAMA2.encode("x😀")


def test_ill_formed_bytes_are_refused_with_their_position() -> None:
    """The position counts from the start of all text, in bytes."""
    encoder = cf.StreamEncoder(LLAMA2)
    encoder.push("né ")
    with pytest.raises(cf.TextError, match=r"byte 6 of the text is not valid UTF-8.*expected UTF-8"):
        encoder.push(b"ab\xffc")
    assert encoder.text == "né "
    assert encoder.ids == LLAMA2.encode("né ")


@pytest.mark.parametrize("text", ["\ud83d", "ab\udc00"], ids=ascii)
def test_lone_surrogates_are_refused(text: str) -> None:
    encoder = cf.StreamEncoder(LLAMA2)
    encoder.push("so far")
    for call in (encoder.push, encoder.peek):
        with pytest.raises(cf.TextError, match="lone surrogate"):
            call(text)
    assert encoder.ids == LLAMA2.encode("so far")


@pytest.mark.parametrize("text", [None, 3, ["a"]], ids=repr)
def test_a_text_of_another_type(text: object) -> None:
    encoder = cf.StreamEncoder(LLAMA2)
    with pytest.raises(cf.ArgumentError, match="expected str or bytes"):
        encoder.push(text)  # type: ignore[arg-type]
    assert encoder.ids == []


@pytest.mark.parametrize("words", [-1, -(2**40)])
def test_a_negative_window(words: int) -> None:
    with pytest.raises(cf.ArgumentError, match=rf"context_words is {words}: expected 0 or more"):
        cf.StreamEncoder(LLAMA2, context_words=words)


def test_an_enormous_window_is_the_whole_text() -> None:
    """A window larger than any text is no mistake."""
    encoder = cf.StreamEncoder(LLAMA2, context_words=2**40)
    for part in ("It was", " late", " and the dog", " slept"):
        encoder.push(part)
    assert encoder.ids == LLAMA2.encode("It was late and the dog slept")
    with pytest.raises(cf.ArgumentError, match="context_words is"):
        cf.StreamEncoder(LLAMA2, context_words=2**70)


def test_peek_changes_nothing() -> None:
    encoder = cf.StreamEncoder(LLAMA3)
    encoder.push("It costs 12")
    ids = encoder.ids
    seen = encoder.peek("34")
    assert (encoder.ids, encoder.text) == (ids, "It costs 12")
    done = encoder.push("34")
    assert (seen.drop, seen.ids) == (done.drop, done.ids)


def test_time_does_not_depend_on_the_length_of_the_text() -> None:
    """A push after 400,000 characters takes what it takes after forty (ten times as long would still pass)."""
    words = [" the", " dog", " slept", ",", " and"] * 40
    for tok in (LLAMA3, LLAMA2, GEMMA, QWEN, family("made_t5").tok):
        assert not tok.describe()["window"]["whole_text"]
        seconds = []
        for length in (40, 400_000):
            best = float("inf")
            encoder = cf.StreamEncoder(tok)
            encoder.push("It was late and the dog slept. " * (length // 31 + 1))
            encoder.push(" so")
            for _ in range(3):
                start = time.perf_counter()
                for word in words:
                    encoder.push(word)
                best = min(best, time.perf_counter() - start)
            seconds.append(best)
        assert seconds[1] < 10 * seconds[0], tok.name
