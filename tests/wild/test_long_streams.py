"""Long stretches without settled cuts: after every push the ids of a stream are those of the whole text.

The streams carry state from some hundred bytes on, so the texts are longer than that; the slow twin is a full encode.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
import tokenizers
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers

import coolfusion as cf
from coolfusion.adapters.wrap import wrap
from fixtures import (
    CL100K_RULE,
    DEEPSEEK_RULES,
    GPT2_RULE,
    O200K_RULE,
    QWEN_RULE,
    Family,
    every_family,
    examples,
    family,
)

RUNS = {
    "spaces": " ",
    "a": "a",
    "ab": "ab",
    "equals": "=",
    "han": "中",
    "newlines": "\n",
    "marks": "\u0301",
    "digits": "7",
    "chain": "👩\u200d",
    "lines": "\n ",
    "mixed marks": "\u0301\u0323",
    "composed": "a\u0301",
    "jamo": "\u1100\u1161\u11a8",
    "moved": "o\u0327\u0323",
    "space marks": "▁",
    "singletons": "\u212b\u2126",
    "vowels": "\u1161",
    "flags": "🇩🇪",
    "joiners": "\u200d",
    "controls": "\x00",
    "unknown braces": "{}",
    "ligatures and flags": "🇩\ufb01🇪",
    "viramas": "\u0915\u094d",
    "two marks": "a\u0301\u0323",
    "two marks and digits": "e\u0323\u03017",
    "full width": "Ａ",
    "half width": "ｶﾞ",
    "torn syllables": "관\uacc7",
    "torn Han": "也",
    "halves": "½",
    "thirds": "⅓a",
}


def check(tok: cf.Tokenizer, parts: list[str], every: int = 1) -> cf.StreamEncoder:
    """Pushes the parts; compares ids and edits with the whole encoding."""
    encoder = cf.StreamEncoder(tok)
    text, rebuilt = "", []
    for number, part in enumerate(parts):
        edit = encoder.push(part)
        text += part
        rebuilt = rebuilt[: len(rebuilt) - edit.drop] + list(edit.ids)
        if number % every == 0 or number == len(parts) - 1:
            assert rebuilt == list(tok.encode(text)), (number, text[-40:])
    assert list(encoder.ids) == rebuilt
    assert encoder.text == text
    assert encoder.widened == 0
    return encoder


@every_family
@pytest.mark.parametrize("run", RUNS)
def test_a_run_of_one_thing(family: Family, run: str) -> None:
    """Then words, then the run again: every state is entered and left."""
    if family.described["window"]["whole_text"]:
        return  # nothing is carried: the same call at every push
    text = (RUNS[run] * 620)[:620]
    check(family.tok, [text[:500], *text[500:], *"a b. c", text[:540], *text[540:], "x"], every=29)


LETTERS = ("ab", "ab=", "a ", "a\x00", "\x00\u200d", "7a", "77 ")
# Rules that leave text between their matches, or whose later stages cut inside a match of an earlier one.
LEAVING = ((r"aa+b|\s+a?",), (r"[^a\s]+a",), (r"(?:ab)+=|b(?=a)",), (r" ?\w+|\s+", r"\d{3}"), (r"\w+", r"a{2}|b"))


def byte_pairs(seed: int, letters: str = "", normal: bool = False) -> tuple[cf.Tokenizer, str]:
    """A byte-pair encoder with random merges, in any order, and the letters of its texts: those given, or some.

    `normal`: of bytes, with one rule under NFC.
    """
    dice, more = random.Random(seed), random.Random(f"rules {seed}")
    wide = not letters and more.random() < 0.4
    letters = letters or dice.choice(("ab", "ab=", "a ", "ab \n", "abcdefgh", "a\u0301é", "中a"))
    if wide:
        letters = more.choice(LETTERS)
    byte_level = dice.random() < 0.6 or normal
    if byte_level:
        symbols = pre_tokenizers.ByteLevel.alphabet()
        stage = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        shown = {c for piece, _ in stage.pre_tokenize_str(letters) for c in piece}
    else:
        letters = letters.replace("\n", "b")
        symbols = sorted({"▁" if c == " " else c for c in letters} | {"▁"})
        if dice.random() < 0.3:
            symbols = symbols[1:]
        shown = set(symbols)
    pieces = sorted(shown)
    vocab = {symbol: number for number, symbol in enumerate(sorted(symbols))}
    if not byte_level and dice.random() < 0.5:
        vocab |= {f"<0x{byte:02X}>": len(vocab) + byte for byte in range(256)}
    vocab["<unk>"] = len(vocab)
    merges: list[tuple[str, str]] = []
    for _ in range(dice.randrange(2, 40)):
        one, other = dice.choice(pieces), dice.choice(pieces)
        if len(one + other) > 40 or (one, other) in merges:
            continue
        if one + other not in vocab:
            vocab[one + other] = len(vocab)
            pieces.append(one + other)
        merges.append((one, other))
    if dice.random() < 0.5:
        dice.shuffle(merges)  # sides before they are built
    if dice.random() < 0.3:
        extra = "".join(dice.choice(sorted(shown)) for _ in range(5))
        vocab.setdefault(extra, len(vocab))  # no merge builds it
    options: dict[str, Any] = {"ignore_merges": dice.random() < 0.4}
    if not byte_level:
        options |= {"unk_token": "<unk>", "fuse_unk": dice.random() < 0.5, "byte_fallback": "<0x00>" in vocab}
    inner = tokenizers.Tokenizer(models.BPE(vocab, merges, **options))
    if byte_level:
        rules = dice.choice(((), (GPT2_RULE,), (CL100K_RULE,), (O200K_RULE,), DEEPSEEK_RULES))
        if wide:
            rules = more.choice((*LEAVING, DEEPSEEK_RULES))
        if normal:
            rules = (dice.choice((GPT2_RULE, QWEN_RULE, O200K_RULE, r"\u0301+|[^\u0301]+", r"\p{M}{1,5}|\P{M}+")),)
        splits = [pre_tokenizers.Split(tokenizers.Regex(rule), "isolated") for rule in rules]
        inner.pre_tokenizer = pre_tokenizers.Sequence(
            [*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
        inner.decoder = decoders.ByteLevel()
        if dice.random() < 0.4 or normal:
            inner.normalizer = normalizers.NFC()
    else:
        prepend = [normalizers.Prepend("▁")] if dice.random() < 0.5 else []
        inner.normalizer = normalizers.Sequence([*prepend, normalizers.Replace(" ", "▁")])
        inner.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
    return wrap(inner, name=f"made {seed}"), letters


@examples(2)
@given(seed=st.integers(0, 1 << 40), long=st.booleans())
@example(seed=50008, long=False)  # NFC without a rule: a mark changes the letter before it, and so a seam before that
@example(seed=51162, long=False)
@example(seed=11, long=True)  # a look-up of whole words without a rule: the end of the text is no word
def test_random_merges(seed: int, long: bool) -> None:
    """Sides that are not built, look-ups of whole words, bytes and letters that are missing, several rules."""
    tok, letters = byte_pairs(seed)
    dice = random.Random(seed + 1)
    pattern = "".join(dice.choice(letters) for _ in range(dice.randrange(1, 6)))
    text = (pattern * 800)[:800] if dice.random() < 0.5 else "".join(dice.choice(letters) for _ in range(800))
    if dice.random() < 0.5:
        at = dice.randrange(500, 800)
        text = f"{text[:at]}{dice.choice((' ', ' x', '.', '7', chr(10), '▁', 'é'))}{text[at:]}"
    parts = list(text)
    if long:
        parts = [text[:520], *(text[at : at + 3] for at in range(520, len(text), 3))]
    check(tok, parts, every=1 if long else 7)


COMPOSED = ("a\u0301é", "ae\u0301\u0323ẹé", "\u1100\u1161\u11a8각가", "か\u3099が", "o\u0327\u0323ọ")


@examples(3)
@given(seed=st.integers(0, 1 << 40), letters=st.sampled_from(COMPOSED), longest=st.sampled_from((1, 1, 3)))
def test_random_merges_of_text_that_is_composed(seed: int, letters: str, longest: int) -> None:
    """Merges across letters that a mark changes: what is cut back must not be found again."""
    tok, _ = byte_pairs(seed, letters)
    dice = random.Random(seed + 1)
    parts = ["".join(dice.choice(letters) for _ in range(600))]
    parts += ["".join(dice.choice(letters) for _ in range(dice.randrange(1, longest + 1))) for _ in range(80)]
    check(tok, parts)


# Several classes; the last ones are always replaced by one or two marks.
MARKS = ("\u0301\u0323", "\u0323\u0301\u0327", "\u0301\u0308\u05b0\u0323\u0345", "\u0334\u0301\u0344\u0340\u0f73")


def told(stream: list[Any]) -> list[int]:
    """The ids of a stream, with its ids so far, a text, and edits that were not read."""
    _, ids, _, edits = stream
    for edit in edits:
        del ids[len(ids) - edit.drop :]
        ids.extend(edit.ids)
    edits.clear()
    return ids


@examples(1)
@given(seed=st.integers(0, 1 << 40), marks=st.sampled_from(MARKS))
def test_many_marks_of_one_character(seed: int, marks: str) -> None:
    """Each mark moves before those of higher classes; edits are read late, by forks too."""
    tok, _ = byte_pairs(seed, marks, normal=True)
    dice = random.Random(seed + 1)
    base = dice.choice(("a", "", "1", " ", "x!", "ab" * 200, "!" * 300, "\u034f\u0301" * 90))
    encoder, text = cf.StreamEncoder(tok), base + "".join(dice.choice(marks) for _ in range(dice.choice((200, 300))))
    streams: list[list[Any]] = [[encoder, [], text, [encoder.push(text)]]]
    for number in range(150):
        stream = dice.choice(streams)
        part = (
            dice.choice(marks)
            if dice.random() < 0.95
            else "".join(dice.choice(marks) for _ in range(dice.randrange(12)))
        )
        if dice.random() < 0.03:
            part += dice.choice(("a", "\u034f", "\u1161", "\u0316", "\n", " "))
        stream[3].append(stream[0].push(part))
        stream[2] += part
        if dice.random() < 0.02:
            streams.append([stream[0].fork(), list(stream[1]), stream[2], list(stream[3])])
        if number % 30 == 0:
            assert told(stream) == list(tok.encode(stream[2])), number
    for stream in streams:
        assert told(stream) == list(stream[0].ids) == list(tok.encode(stream[2]))
        assert stream[0].widened == 0


def unigram(seed: int) -> tuple[cf.Tokenizer, str]:
    """A Unigram model with random pieces and scores, some of which are equal, and the letters of its texts."""
    dice = random.Random(seed)
    letters = dice.choice(
        ("ab", "ab", "abc=", "a中", "ab7", "abé", "ab\u0301", "a\u0301\u0323", "🇩🇪a\u0301", "\u1161\u11a8\u1100")
    )
    known = letters if dice.random() < 0.6 else letters[:-1] if dice.random() < 0.6 else letters[:1]
    pieces = {"".join(dice.choice(known) for _ in range(dice.randrange(1, 7))) for _ in range(dice.randrange(3, 25))}
    pieces |= {f"▁{piece}" for piece in pieces if dice.random() < 0.5} | {*known, "▁"}
    scores = [dice.choice((-1.0, -2.0, -2.1, -3.3)) for _ in pieces]
    vocab = [("<unk>", 0.0), *zip(sorted(pieces), scores, strict=True)]
    fallback = dice.random() < 0.3
    if fallback:
        vocab += [(f"<0x{byte:02X}>", -9.0) for byte in range(256)]
    inner = tokenizers.Tokenizer(models.Unigram(vocab, 0, fallback))
    scheme = dice.choice(("always", "first", "never"))
    metaspace = pre_tokenizers.Metaspace("▁", scheme, dice.random() < 0.7)
    split = [pre_tokenizers.WhitespaceSplit()] if dice.random() < 0.3 and scheme == "always" else []
    inner.pre_tokenizer = pre_tokenizers.Sequence([*split, metaspace])
    inner.normalizer = dice.choice((None, normalizers.NFKC(), normalizers.Lowercase()))
    inner.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace("▁", scheme)])
    return wrap(inner, name=f"made {seed}"), letters


@examples(2)
@given(seed=st.integers(0, 1 << 40), long=st.booleans())
def test_random_scores(seed: int, long: bool) -> None:
    """Equal sums, unknown letters, letters that are rewritten, words after a mark and without one."""
    tok, letters = unigram(seed)
    dice = random.Random(seed + 1)
    pattern = "".join(dice.choice(letters) for _ in range(dice.randrange(1, 6)))
    text = (pattern * 760)[:760] if dice.random() < 0.5 else "".join(dice.choice(letters) for _ in range(760))
    text = dice.choice(("", " ", "a b ", "▁", "A ")) + text
    if dice.random() < 0.5:
        at = dice.randrange(520, 760)
        text = f"{text[:at]}{dice.choice((' ', ' x', '.', 'A', chr(10), '▁', chr(0x301)))}{text[at:]}"
    check(tok, [text[:505], *text[505:]] if long else list(text), every=1 if long else 7)


def test_a_word_that_is_too_long_for_wordpiece() -> None:
    """It is one unknown token, however long; what follows it is read as ever."""
    pieces = ("[UNK]", "a", "##a", "##b", "##ab", ".", "b")
    vocab = {piece: n for n, piece in enumerate(pieces)}
    inner = tokenizers.Tokenizer(models.WordPiece(vocab=vocab, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    encoder = check(wrap(inner, name="made"), [*"ab a. ", "a" * 500, *"ab" * 200, *". ab a "], every=3)
    assert list(encoder.ids).count(0) == 1


# What NFC composes, moves, replaces or leaves: Hangul, marks of several classes, letters in one or more parts.
REWRITTEN = (
    "a\u0301e\u0300",
    "\u1100\u1161\u11a8\uac00x",
    "o\u0327\u0323\u0301\u0308",
    "\u0301\u0323\u0327ae\u1ecd",
    "é\u0301e a",
    "\uac01\u1161\u11a8\u1100",
    "\u304b\u3099\u309a\u304c",
    "a\u0301\n 1",
    "▁a b",
    "\u0958\u0915\u093c",
    "a\u0345\u0301\u0334",
    "\u212b\u2126a",
    " \u0301a",
    "\u0f71\u0f72\u0f74a",
)


@every_family
@examples(0.2)
@given(letters=st.sampled_from(REWRITTEN), more=st.sampled_from(REWRITTEN), seed=st.integers(0, 1 << 40))
def test_texts_whose_normal_form_is_another(family: Family, letters: str, more: str, seed: int) -> None:
    """After each push the ids are those of the whole text, and the edit is that of a window: `peek` encodes one."""
    if family.described["window"]["whole_text"]:
        return  # nothing is carried: the same call at every push
    dice = random.Random(seed)
    letters += more if dice.random() < 0.3 else ""
    pattern = "".join(dice.choice(letters) for _ in range(dice.randrange(1, 7)))
    if dice.random() < 0.5:
        # Letters that compose keep together under most rules, and are carried.
        composed = ("a\u0301", "ae\u0300", "\u1100\u1161\u11a8", "\u1100\u1161e\u0323\u0302", "\u212bo\u0308")
        pattern = dice.choice(composed)
    text = (pattern * 700)[:700] if dice.random() < 0.8 else "".join(dice.choice(letters) for _ in range(700))
    encoder = cf.StreamEncoder(family.tok)
    at = dice.choice((200, 300, 600))
    if dice.random() < 0.5:
        # Nothing is altered until the pushes come.
        text = unicodedata.normalize("NFC", text[:at]) + text[at:] + text
    rebuilt = list(encoder.push(text[:at]).ids)
    longest = dice.choice((1, 1, 4))
    for number in range(100):
        part = text[at : at + dice.randrange(1, longest + 1)]
        at += len(part)
        expected = encoder.peek(part)
        edit = encoder.push(part)
        assert (edit.drop, list(edit.ids), edit.lossless) == (expected.drop, list(expected.ids), expected.lossless)
        rebuilt = rebuilt[: len(rebuilt) - edit.drop] + list(edit.ids)
        if number % 9 == 0:
            assert rebuilt == list(family.tok.encode(text[:at])), (number, text[:at][-40:])
    assert encoder.widened == 0


def pushes_are_peeks(
    tok: cf.Tokenizer, text: str, part: Callable[[], str], count: int, aside: Callable[[], str]
) -> None:
    """Pushes `text` and `count` parts: each edit is that of `peek`, and no fork changes the encoder.

    A part is drawn by `part`; `aside` draws the text of a fork, or "" for none.
    """
    encoder = cf.StreamEncoder(tok)
    rebuilt = list(encoder.push(text).ids)
    for number in range(count):
        more = part()
        if other := aside():
            encoder.fork().push(other)
        expected = encoder.peek(more)
        edit = encoder.push(more)
        text += more
        assert (edit.drop, list(edit.ids), edit.lossless) == (expected.drop, list(expected.ids), expected.lossless)
        rebuilt = rebuilt[: len(rebuilt) - edit.drop] + list(edit.ids)
        if number % 9 == 0:
            assert rebuilt == list(tok.encode(text)), (number, text[-40:])
    assert rebuilt == list(encoder.ids) == list(tok.encode(text))
    assert encoder.widened == 0


@examples(1)
@given(seed=st.integers(0, 1 << 40), marks=st.sampled_from(MARKS))
@example(seed=3, marks="\u0301\u0323")
def test_marks_after_an_added_token_of_the_normal_form(seed: int, marks: str) -> None:
    """One mark changes the token, all others leave it; a fork and the edit of `peek` are the same."""
    tok = family("made_nfc_tools").tok
    dice = random.Random(seed)
    text = dice.choice(("<K>", "a b <K>", "the", "<K><K>", "x<tool_call>", "<\u212a>", "\u00e9<K>"))
    text += "".join(dice.choice(marks) for _ in range(dice.choice((260, 300))))

    def part() -> str:
        drawn = "".join(dice.choice(marks) for _ in range(dice.choice((1, 1, 1, 3))))
        return drawn + (dice.choice(("a", "\u0338", "\u0338x>", "<K>", " ", "\u0344")) if dice.random() < 0.02 else "")

    pushes_are_peeks(tok, text, part, 150, lambda: "\u0338<K>" + marks if dice.random() < 0.05 else "")


# How the characters or bytes that have no piece are read: what is fused, what stays apart, what is dropped.
LACKING = ("fused", "apart", "dropped", "bytes", "bytes of words", "bytes under NFC")
LACKED = ("中", "中国", "a中", "ab中 ", "aab中👩b", "x\u0301", "a\x00", "\x00b中\x01", "ab\u0301\u0323\x00", "a aé\x00")

# Definitions whose text after an added token begins as a text does, or does not.
AFTER_ADDED = ("vicuna", "mistral_tools", "metaspace_tools", "chatglm", "roberta_tools", "unigram_tools", "xlm_tools")


@pytest.mark.parametrize("name", AFTER_ADDED)
@examples(1)
@given(
    seed=st.integers(0, 1 << 40),
    letters=st.sampled_from((*LACKED, "a", "ab", " ", " a", "the", "7", "▁", "<ta", "\u0301")),
)
def test_text_after_an_added_token(name: str, seed: int, letters: str) -> None:
    """Guard: a dummy prefix that stands there is text for `lossless`, and the stream goes on after the token."""
    tok = family(f"made_{name}").tok
    token = "<table>"
    assert tok.token_bytes(tok.encode(f"a {token}")[-1]).strip() == token.encode()
    dice = random.Random(seed)
    text = dice.choice((token, f"a {token}", f"{token} {token}", "x" * dice.randrange(600) + token, f"{token}b{token}"))
    pattern = "".join(dice.choice(letters) for _ in range(dice.randrange(1, 5)))
    text += (pattern * 700)[: dice.choice((280, 560, 700))]

    def part() -> str:
        drawn = "".join(dice.choice(pattern) for _ in range(dice.choice((1, 1, 3))))
        return drawn + (dice.choice((token, " ", "a", f"{token} ", ".")) if dice.random() < 0.02 else "")

    pushes_are_peeks(tok, text, part, 80, lambda: f"{token}a" if dice.random() < 0.05 else "")


def lacking(seed: int, kind: str, ignores: bool) -> cf.Tokenizer:
    """A byte-pair encoder with random merges which has pieces for few characters, or for some bytes."""
    dice = random.Random(seed)
    if kind.startswith("bytes"):
        stage = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        gone = {c for piece, _ in stage.pre_tokenize_str("\x00中") for c in piece}
        symbols = [c for c in sorted(pre_tokenizers.ByteLevel.alphabet()) if c not in gone or dice.random() < 0.2]
        shown = [c for c in "abxĠÌģĢ" if c in symbols]
    else:
        symbols = [*"ab▁", *dice.choice(("", "é", "x"))]
        shown = list(symbols)
    vocab = {symbol: number for number, symbol in enumerate(symbols)}
    vocab["<unk>"] = len(vocab)
    merges: list[tuple[str, str]] = []
    for _ in range(dice.randrange(12)):
        one, other = dice.choice(shown), dice.choice(shown)
        if (one, other) not in merges and len(one + other) < 12:
            vocab.setdefault(one + other, len(vocab))
            shown.append(one + other)
            merges.append((one, other))
    vocab.setdefault(dice.choice(("中中", "中a", "<unk>a", "a中")), len(vocab))  # no merge builds it
    options: dict[str, Any] = {"ignore_merges": ignores}
    if kind in ("fused", "apart"):
        options |= {"unk_token": "<unk>", "fuse_unk": kind == "fused"}
        if dice.random() < 0.1:
            vocab.setdefault("<unk>a", len(vocab))
            merges.append(("<unk>", "a"))  # the unknown token merges
    inner = tokenizers.Tokenizer(models.BPE(vocab, merges, **options))
    if kind.startswith("bytes"):
        words = kind != "bytes"
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=words)
        inner.decoder = decoders.ByteLevel()
        if kind == "bytes under NFC":
            inner.normalizer = normalizers.NFC()
    else:
        prepend = [normalizers.Prepend("▁")] if dice.random() < 0.5 else []
        inner.normalizer = normalizers.Sequence([*prepend, normalizers.Replace(" ", "▁")])
        inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    if dice.random() < 0.3:
        inner.add_tokens([tokenizers.AddedToken("国x"), tokenizers.AddedToken("bx")])
    return wrap(inner, name=f"made {seed}")


@pytest.mark.parametrize("kind", LACKING)
@examples(1)
@given(seed=st.integers(0, 1 << 40), letters=st.sampled_from(LACKED), ignores=st.booleans())
def test_characters_that_are_fused_or_dropped(kind: str, seed: int, letters: str, ignores: bool) -> None:
    """Each push is a window's edit; words of known and unknown characters, forks, and added tokens."""
    tok, dice = lacking(seed, kind, ignores), random.Random(seed)
    if tok.describe()["window"]["whole_text"]:
        return  # the unknown token merges, and the library runs it
    start = "".join(dice.choice(letters) for _ in range(600)) if dice.random() < 0.5 else (letters * 600)[:600]
    others = ("a", "ab", "b", " ", "中", "国", "<unk>", "国x", "bx", "\x00", "é", "7")

    def part() -> str:
        if dice.random() < 0.1:
            return dice.choice(others)
        return "".join(dice.choice(letters) for _ in range(dice.choice((1, 1, 1, 3))))

    pushes_are_peeks(tok, start, part, 120, lambda: "中ab" + letters if dice.random() < 0.05 else "")


@pytest.mark.parametrize("kind", LACKING)
@examples(3)
@given(seed=st.integers(0, 1 << 40), letters=st.sampled_from(LACKED))
def test_cuts_beside_characters_that_are_fused_or_dropped(kind: str, seed: int, letters: str) -> None:
    """No suffix changes the tokens before a settled cut: dropped characters bring those around them together."""
    tok, dice = lacking(seed, kind, ignores=False), random.Random(seed)
    text = "".join(dice.choice(letters + "ab") for _ in range(40))
    for at in tok.settled_cuts(text):
        before = list(tok.encode(text[:at]))
        for suffix in ("", "a", "b", "ab", "\x00b", "中a", "bb"):
            assert list(tok.encode(text + suffix))[: len(before)] == before, (text, at, suffix)


def test_a_merge_of_the_unknown_token() -> None:
    """It joins text that no piece tells, so the library runs the definition."""
    vocab = {"<unk>": 0, "▁": 1, "q": 2, "b": 3, "<unk>q": 4}
    inner = tokenizers.Tokenizer(models.BPE(vocab, [("<unk>", "q")], unk_token="<unk>", fuse_unk=True))
    inner.normalizer, inner.decoder = normalizers.Replace(" ", "▁"), decoders.Replace("▁", " ")
    assert list(wrap(inner, name="made").encode("中中q")) == inner.encode("中中q").ids == [4]


# The steps before a WordPiece model, and the most characters of its words.
BEFORE_PIECES = (
    (("NFC",), 100),
    (("NFC", "StripAccents"), 100),
    (("NFKC", "Lowercase"), 4),
    (("NFKD",), 20),
    (("NFC", "Lowercase", "StripAccents"), 20),
)
# Marks of several classes, and characters that become several words.
BEFORE_WORDS = (*MARKS, "\u0304\u0323\u0301", "\ufdfa", "a\ufdfa\ufdfb", "\ufdfa\u0301", "=\u0338", "a\u0301")


def word_pieces(names: tuple[str, ...], longest: int) -> cf.Tokenizer:
    """A WordPiece model after the normalizers of these names, whose words have at most `longest` characters."""
    pieces = ["[UNK]", "=", "\u2260", "l", "\u1e39", "\u0301", "##\u0301", "##\u0323", *"\u0635\u0644\u0649"]
    pieces += [f"##{c}" for c in "\u0644\u0649\u0647a"] + list("a\u00e1\u1ea1")
    vocab = {piece: n for n, piece in enumerate(dict.fromkeys(pieces))}
    inner = tokenizers.Tokenizer(models.WordPiece(vocab=vocab, unk_token="[UNK]", max_input_chars_per_word=longest))
    inner.normalizer = normalizers.Sequence([getattr(normalizers, name)() for name in names])
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    return wrap(inner, name="made")


@examples(2)
@given(seed=st.integers(0, 1 << 40), steps=st.sampled_from(BEFORE_PIECES), letters=st.sampled_from(BEFORE_WORDS))
@example(seed=4, steps=BEFORE_PIECES[1], letters="\u0301\u0323")
@example(seed=1, steps=BEFORE_PIECES[3], letters="\ufdfa")
@example(seed=30, steps=BEFORE_PIECES[4], letters="\u0304\u0323\u0301")  # the first mark of a class stays
def test_words_of_wordpiece_without_a_cut(seed: int, steps: tuple[tuple[str, ...], int], letters: str) -> None:
    """Marks move before many others, or vanish; a character becomes several words; `peek` encodes a window."""
    tok, dice = word_pieces(*steps), random.Random(seed)
    text = dice.choice(("", "a", "=", "=", "l", "a b ", "x=", "a" * 120, "\u212b", "a."))
    text += "".join(dice.choice(letters) for _ in range(dice.choice((150, 300))))
    others = ("a", "=", " ", "\u0338", "\u0338", "\u0323", "\ufdfa", "\n", "7", "b a", "\u0345")

    def part() -> str:
        drawn = dice.choice(letters)
        return drawn + (dice.choice(others) if dice.random() < 0.03 else "")

    pushes_are_peeks(tok, text, part, 120, lambda: "\u0338a" + letters if dice.random() < 0.05 else "")


@pytest.mark.parametrize("steps", BEFORE_PIECES)
def test_a_mark_that_is_composed_across_a_run(steps: tuple[tuple[str, ...], int]) -> None:
    """It changes the first character, and other marks of its class are left out of the run."""
    tok = word_pieces(*steps)
    for first, mark in (("=", "\u0338"), ("x =", "\u0338"), ("l", "\u0323"), ("a", "\u0323")):
        check(tok, [first + "\u0304" * 300, *"\u0304" * 40, mark, *"\u0304\u0323" * 40, *"\u0338a\u0304" * 3])


BLANKS = (" ", "\t", "\u3000", "\u00a0", "\x0b", "\u2028", " \u3000", "  \t")


def stripped(dice: random.Random) -> cf.Tokenizer:
    """A model with stages among which one drops white space at an end, or a rule drops it between words."""
    form = getattr(normalizers, dice.choice(("NFC", "NFD", "NFKC", "NFKD")))
    ends = normalizers.Strip(left=dice.random() < 0.7, right=dice.random() < 0.7)
    others = [form(), normalizers.Lowercase(), normalizers.Replace("x", " "), normalizers.Replace("x", "")]
    others += [normalizers.Replace(tokenizers.Regex(" +\\z"), ""), normalizers.Replace(tokenizers.Regex(" {2,}"), " ")]
    steps = [*dice.sample(others, dice.randrange(3)), *([ends] if dice.random() < 0.8 else [])]
    dice.shuffle(steps)
    kind = dice.choice(("Metaspace", "Metaspace", "WhitespaceSplit", "WhitespaceSplit", "Digits", "WordPiece"))
    if kind == "WordPiece":
        vocab = {piece: n for n, piece in enumerate(("[UNK]", "a", "b", "##a", "##b", "## ", " "))}
        inner = tokenizers.Tokenizer(models.WordPiece(vocab=vocab, unk_token="[UNK]", max_input_chars_per_word=30))
        inner.pre_tokenizer, inner.decoder = pre_tokenizers.Digits(True), decoders.WordPiece(cleanup=False)
    else:
        pieces = {"".join(dice.choice("ab▁\u3000") for _ in range(dice.randrange(1, 5))) for _ in range(9)}
        if kind != "Metaspace":
            pieces = {piece.replace("▁", " ") for piece in pieces}
        elif dice.random() < 0.5:
            pieces = {piece for piece in pieces if "▁" not in piece[1:]}
        vocab = [("<unk>", 0.0), *((piece, dice.choice((-1.0, -2.0, -3.3))) for piece in sorted(pieces | {"a", "▁"}))]
        fallback = dice.random() < 0.3
        vocab += [(f"<0x{byte:02X}>", -9.0) for byte in range(256)] if fallback else []
        inner = tokenizers.Tokenizer(models.Unigram(vocab, 0, fallback))
        metaspace = pre_tokenizers.Metaspace("▁", dice.choice(("always", "never")), dice.random() < 0.4)
        rules = {"Metaspace": metaspace, "Digits": pre_tokenizers.Digits(dice.random() < 0.5)}
        inner.pre_tokenizer = rules.get(kind) or pre_tokenizers.WhitespaceSplit()
        last = decoders.Metaspace("▁", metaspace.prepend_scheme) if kind == "Metaspace" else decoders.Fuse()
        inner.decoder = decoders.Sequence([decoders.ByteFallback(), last])
    inner.normalizer = normalizers.Sequence(steps)
    if dice.random() < 0.3:
        inner.add_tokens([tokenizers.AddedToken(dice.choice(("<x>", "a\u3000<", "b  ")), normalized=False)])
    return wrap(inner, name="made")


@examples(6)
@given(seed=st.integers(0, 1 << 40))
def test_white_space_that_is_dropped(seed: int) -> None:
    """At the ends of the text it counts as soon as something follows; between words without marks it never does."""
    dice = random.Random(seed)
    tok = stripped(dice)
    if not tok.describe()["engine"].startswith("coolfusion's own"):
        return
    some = [*dice.sample(BLANKS, dice.randrange(1, 4)), *dice.sample(("a", "b", "ab", "7", "c", "A\u0301"), 2)]
    parts = dice.sample(some, dice.randrange(1, len(some) + 1))
    text = dice.choice(("", "", "a", " a", "ab b ", "\u3000")) + "".join(dice.choice(parts) for _ in range(700))

    def part() -> str:
        drawn = dice.choice(parts)
        return drawn + (dice.choice(("x", "<x>", "a b", "\u0301", "\n", "▁", "b  ")) if dice.random() < 0.03 else "")

    pushes_are_peeks(tok, text, part, 90, lambda: " a\u3000b" if dice.random() < 0.05 else "")


def test_many_drawn_models_drop_white_space() -> None:
    """A generator whose definitions are all left to the library would find nothing."""
    engines = [stripped(random.Random(seed)).describe()["engine"] for seed in range(40)]
    assert sum(engine.startswith("coolfusion's own") for engine in engines) > 20
