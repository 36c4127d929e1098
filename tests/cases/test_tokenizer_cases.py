"""The 91 cases of tokenizer-cases.jsonl: those that speak of the primitives are answered here, by name.

``case_table.py`` says where each of the others is answered. The cases name real tokenizers: COOLFUSION_DATA is needed.
"""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from case_table import ABSENT, ANSWERED, HERE, OTHER_FILES, TOKENIZERS, WITHOUT_PREFIX

import coolfusion as cf
from fixtures import Family, family
from reference import byte_alphabet, cluster_starts

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def cases(data: Path) -> dict[str, dict[str, Any]]:
    """id -> case."""
    lines = (data / "tokenizer-cases.jsonl").read_text(encoding="utf-8").splitlines()
    found = {case["id"]: case for case in map(json.loads, lines)}
    assert len(found) == len(lines) == 91
    return found


def real(name: str) -> Family:
    """The real tokenizer that a case calls ``name``."""
    return family(TOKENIZERS.get(name, name))


def tok(name: str) -> cf.Tokenizer:
    """Its tokenizer under test."""
    return real(name).tok


def say(name: str, text: str) -> list[int]:
    """The ids that say ``text`` after other text."""
    return tok(name).encode(text, continues=True)


def segments(writer: str, ids: Sequence[int], align_with: Sequence[str] = (), max_bytes: int = 128) -> list[cf.Segment]:
    """All segments of ``ids``."""
    segmenter = cf.Segmenter(tok(writer), [tok(name) for name in align_with], max_bytes=max_bytes)
    found = [segment for token_id in ids if (segment := segmenter.push(token_id)) is not None]
    while (segment := segmenter.finish()) is not None:
        found.append(segment)
    return found


def parts(writer: str, text: str, align_with: Sequence[str] = (), max_bytes: int = 128) -> list[str]:
    """The texts of the segments of ``text`` as ``writer`` says it; they are the text."""
    found = [segment.text for segment in segments(writer, tok(writer).encode(text), align_with, max_bytes)]
    assert "".join(found) == text
    assert all(found)
    return found


def is_spelled(name: str, ids: Sequence[int], observed: Sequence[str]) -> bool:
    """Whether the last tokens are those that a case observed, which shows them as entries of the file or as text."""
    last = list(ids)[len(ids) - len(observed) :]
    return len(last) == len(observed) and all(_means(name, n, seen) for n, seen in zip(last, observed, strict=True))


def _means(name: str, token_id: int, seen: str) -> bool:
    alphabet = byte_alphabet()
    meanings = [seen.replace("\u2581", " ").encode()]
    if match := re.fullmatch(r"<0x(..)>", seen):
        meanings.append(bytes.fromhex(match[1]))
    if set(seen) <= set(alphabet):
        meanings.append(bytes(alphabet[c] for c in seen))
    said = tok(name).token_bytes(token_id)
    # The unknown token says nothing; a case shows the text that it stood for.
    unknown = not said and token_id in tok(name).control_ids
    return unknown or said in meanings or said.decode("utf-8", "backslashreplace").encode() in meanings


# The table -----------------------------------------------------------------------------------------------------------


def test_every_case_is_answered_exactly_once(cases: dict[str, dict[str, Any]]) -> None:
    """Guard: the table holds all ids of the file and no others."""
    assert set(ANSWERED) == set(cases)


@pytest.mark.parametrize(("case", "file"), ANSWERED.items(), ids=ANSWERED)
def test_the_named_file_answers_the_case(case: str, file: str) -> None:
    """Guard: the file has a test that names the case; the append cases are one test with their ids as parameters."""
    source = (TESTS / file).read_text(encoding="utf-8")
    names = re.findall(r"^def (test_case_\w+)\(", source, re.MULTILINE)
    assert names
    if case.startswith("B"):
        assert case in APPEND_CASES
    else:
        assert [name for name in names if case.lower() in name.split("_")], f"no test_case_{case.lower()}_... in {file}"


def test_tokenizers_that_are_left_out_have_a_reason() -> None:
    """Guard: each says why."""
    assert ABSENT
    assert all(len(reason) > 40 for reason in ABSENT.values())


# B: appending text ---------------------------------------------------------------------------------------------------

APPEND_CASES = [case for case in ANSWERED if case.startswith("B")]


@pytest.mark.parametrize("case", APPEND_CASES)
def test_case_b_rewritten_tokens_are_reported(cases: dict[str, dict[str, Any]], case: str) -> None:
    """The stream reports exactly how many tail tokens an appended text rewrites, and none of them was settled."""
    prefix, append = cases[case]["input"]["prefix"], cases[case]["input"]["append"]
    observed = {name: seen for name, seen in cases[case]["observed"].items() if name not in ABSENT}
    assert observed
    for name, seen in observed.items():
        encoder = cf.StreamEncoder(tok(name))
        encoder.push(prefix)
        before = encoder.ids
        assert before == tok(name).encode(prefix)
        edit = encoder.push(append)
        assert encoder.ids == tok(name).encode(prefix + append), "never a silent mismatch with the full encoding"
        assert encoder.widened == 0
        if name not in OTHER_FILES or "  " not in prefix + append:
            assert edit.drop == seen["unstable_tail_tokens"], name
            inside = name in WITHOUT_PREFIX
            assert is_spelled(name, tok(name).encode(prefix, continues=inside), seen["P"]), name
            assert is_spelled(name, tok(name).encode(prefix + append, continues=inside), seen["PS"]), name
        # What is called settled was not rewritten.
        for cut in tok(name).settled_cuts(prefix):
            head = real(name).reference.head(prefix, cut)
            assert head is not None
            assert len(head) <= len(before) - edit.drop
        for at in tok(name).word_boundaries(prefix):
            assert len(tok(name).encode(prefix[:at])) <= len(before) - edit.drop


# A: word boundaries --------------------------------------------------------------------------------------------------


def test_case_a01_word_ids_are_not_relied_on(cases: dict[str, dict[str, Any]]) -> None:
    """SentencePiece files have one word number for everything: byte spans find the boundaries, `describe` says so."""
    text = cases["A01"]["input"]
    for name in ("llama2", "phi3", "gemma2"):
        assert set(real(name).oracle.encode(text, add_special_tokens=False).word_ids) == {0}
        assert tok(name).word_boundaries(text, "word_ids") == []
        assert tok(name).word_boundaries(text) == [5, 12]
        assert "word_ids" not in tok(name).describe()["methods"]
        assert tok(name).describe()["method"] == "bytes"


def test_case_a02_spans_come_from_the_bytes_of_tokens(cases: dict[str, dict[str, Any]]) -> None:
    """Whatever a library's offsets say of whole-vocabulary words, spans are recomputed from the tokens' bytes."""
    text = cases["A02"]["input"]
    assert [tok("llama3").token_bytes(n) for n in tok("llama3").encode(text)] == [b"Sample", b" input"]
    for method in ("auto", "bytes", "offsets", "word_ids", "decode"):
        assert tok("llama3").word_boundaries(text, method) == [6]


def test_case_a03_no_boundary_inside_a_code_point(cases: dict[str, dict[str, Any]]) -> None:
    """Falcon's digit and punctuation stages divide the bytes of a character; no cut is ever placed there."""
    text = cases["A03"]["input"]
    ids = tok("falcon").encode(text)
    assert is_spelled("falcon", ids, cases["A03"]["observed"]["tokens"])
    starts = {len(text[:n].encode()) for n in range(len(text) + 1)}
    for more in (text, text + " x", f"a {text} {text}12"):
        assert set(tok("falcon").settled_cuts(more.encode())) <= {len(more[:n].encode()) for n in range(len(more))}
        for method in ("auto", "word_ids", "offsets", "decode"):
            found = tok("falcon").word_boundaries(more.encode(), method)
            assert all(more.encode()[:at].decode() for at in found)
    assert set(tok("falcon").word_boundaries(text.encode())) <= starts
    assert len(parts("falcon", text * 3)) <= len(text * 3), "segments are whole characters"


def test_case_a04_only_common_boundaries_count(cases: dict[str, dict[str, Any]]) -> None:
    """LLaMA-3's rule breaks at vowel signs, o200k's does not: the common boundary is before the space."""
    text = cases["A04"]["input"]
    assert cf.common_boundaries([tok("llama3"), tok("o200k")], text) == [6]
    for writer in ("llama3", "o200k"):
        assert parts(writer, text, ["llama3", "o200k"]) == ["नमस्ते", " दुनिया"]


def test_case_a05_a_fallback_bounds_segments_in_thai(cases: dict[str, dict[str, Any]]) -> None:
    """Six words for one tokenizer, one for the other: token cuts that both have bound the segment."""
    text = cases["A05"]["input"]
    for writer in ("llama3", "o200k"):
        found = parts(writer, text, ["llama3", "o200k"])
        assert len(found) > 2
        assert max(map(len, found)) <= 10


def test_case_a06_segments_in_chinese_are_short(cases: dict[str, dict[str, Any]]) -> None:
    """White-space words are paragraphs there; common token cuts give segments of a few characters."""
    text = cases["A06"]["input"]
    group = ["llama3", "phi3", "qwen2_5", "o200k"]
    for writer in group:
        found = parts(writer, text, group)
        assert sum(map(len, found)) / len(found) < 6
        assert max(len(part.encode()) for part in found) < 48


def test_case_a07_a_base64_run_is_bounded(cases: dict[str, dict[str, Any]]) -> None:
    """800 characters without white space: bounded segments, and alone a model's ids stay what it wrote."""
    start = cases["A07"]["input"].split("...")[0]
    rest = base64.b64encode(random.Random(7).randbytes(600)).decode()
    text = (start + rest)[:800]
    assert len(text) == 800
    for writer in ("llama3", "phi3", "gpt2", "o200k", "qwen2_5"):
        for group in ([], ["llama3", "phi3", "o200k"]):
            ids = tok(writer).encode(text)
            found = segments(writer, ids, group)
            assert max(len(segment.text) for segment in found) <= 128
            assert [n for segment in found for n in segment.token_ids] == ids


def test_case_a08_end_closes_the_last_word(cases: dict[str, dict[str, Any]]) -> None:
    """ "42" is released when END comes, without one more token."""
    assert cases["A08"]["input"] == "Answer: 42<EOS>"
    for name in ("llama3", "phi3", "qwen2_5", "llama2"):
        segmenter = cf.Segmenter(tok(name), prompt_ids=tok(name).encode("Answer:"))
        end = tok(name).control_ids[-1]
        assert all(segmenter.push(n) is None for n in say(name, " 42"))
        released, event = segmenter.push(end), segmenter.finish()
        assert released is not None
        assert (released.text, released.end) == (" 42", False)
        assert event is not None
        assert (event.text, event.end, event.token_ids) == ("", True, [end])
        assert segmenter.finish() is None


def test_case_a09_one_definition_for_all(cases: dict[str, dict[str, Any]]) -> None:
    """Punctuation belongs to the word for everybody, whatever their pre-token rules say; the order does not matter."""
    text = cases["A09"]["input"]
    group = ["llama3", "phi3", "gpt2", "o200k", "gemma2"]
    for names in (group, group[::-1]):
        assert cf.common_boundaries([tok(name) for name in names], text) == [3]
        for writer in group:
            assert parts(writer, text, names) == ["42.", " Next"]


def test_case_a10_white_space_is_one_documented_set(cases: dict[str, dict[str, Any]]) -> None:
    """Unicode White_Space: NBSP and the ideographic space are, ZWSP is not; the text comes back byte for byte."""
    text = cases["A10"]["input"]
    assert text == "a\u00a0b\u3000c\u200bd"
    for name in ("llama3", "phi3"):
        assert tok(name).decode_bytes(tok(name).encode(text)) == text.encode()
        assert set(tok(name).word_boundaries(text)) <= {1, 3}
        assert "".join(parts(name, text)) == text
    assert tok("phi3").word_boundaries(text) == [1, 3]


def test_case_a11_half_a_word_is_not_released(cases: dict[str, dict[str, Any]]) -> None:
    """ " ca" waits for "tegory"; the look-ahead token that shows the end of the word is kept for the next segment."""
    assert cases["A11"]["expected"].startswith('" ca" is not released')
    for name in ("llama3", "phi3", "gpt2", "gemma2"):
        segmenter = cf.Segmenter(tok(name), prompt_ids=tok(name).encode("A"))
        ids = say(name, " ca") + say(name, "tegory")
        assert [segmenter.push(n) for n in ids] == [None] * len(ids)
        look_ahead = say(name, " of")
        found = segmenter.push(look_ahead[0])
        assert found is not None
        assert (found.text, found.token_ids) == (" category", ids)
        rest = segmenter.finish()
        assert rest is not None
        assert (rest.text, rest.token_ids) == (" of", look_ahead)


def test_case_a12_white_space_makes_progress(cases: dict[str, dict[str, Any]]) -> None:
    """Nothing but line ends: every segment has at least one byte and the run ends."""
    text = cases["A12"]["input"]
    group = ["llama3", "phi3", "gpt2", "gemma2", "chatglm3"]
    for writer in group:
        for whole in (text, text * 200):
            found = parts(writer, whole, group)
            assert len(found) <= len(whole)


def test_case_a13_a_run_of_digits_does_not_stall(cases: dict[str, dict[str, Any]]) -> None:
    """40 digits are 16 tokens of one word for GPT-2; the cap bounds the segment."""
    text = cases["A13"]["input"]
    assert len(tok("gpt2").encode(text)) == cases["A13"]["observed"]["tokens"]
    assert parts("gpt2", text, max_bytes=128) == [text], "a number stays whole below the cap"
    for max_bytes in (16, 32):
        assert max(map(len, parts("gpt2", text, ["llama3", "phi3"], max_bytes))) <= max_bytes
    assert max(map(len, parts("gpt2", text * 20))) <= 128


def test_case_a14_contractions_are_not_divided(cases: dict[str, dict[str, Any]]) -> None:
    """don|'t for some, don't for others: the first aligned boundary is after the whole word."""
    group = ["llama3", "o200k", "gpt2", "phi3"]
    for name in group:
        assert is_spelled(name, tok(name).encode(cases["A14"]["input"]), cases["A14"]["observed"][name])
        assert parts(name, cases["A14"]["input"], group) == ["don't", " stop"]
    assert cf.common_boundaries([tok(name) for name in group], cases["A14"]["input"]) == [5]


def test_case_a15_numbers_are_not_divided(cases: dict[str, dict[str, Any]]) -> None:
    """Groups of three, single digits, whole runs: no aligned segment ends between two digits."""
    text = cases["A15"]["input"]
    group = ["llama3", "phi3", "gpt2", "qwen2_5", "deepseek_v3"]
    for writer in group:
        found = parts(writer, text, group)
        assert found == ["$1,234.50", " and", " 3.14e-5"]
        for left, right in pairwise(found):
            assert not (left[-1].isdigit() and right[0].isdigit())
        # In a text without spaces the weaker levels apply, and they do not divide numbers either.
        dense = parts(writer, "我们有1234567人，还有89012个" * 3, group)
        for left, right in pairwise(dense):
            assert not (left[-1].isdigit() and right[0].isdigit())


def test_case_a16_a_formula_is_one_segment(cases: dict[str, dict[str, Any]]) -> None:
    """A lone backslash is not released: the formula ends before the white space."""
    group = ["llama3", "phi3", "gpt2", "o200k"]
    for writer in group:
        assert parts(writer, cases["A16"]["input"], group) == ["\\frac{1}{2}$", " so"]


# C: windows and losses -----------------------------------------------------------------------------------------------

WINDOWS = ["C01", "C02", "C03", "C04", "C05", "C06", "C07", "C15"]


@pytest.mark.parametrize("case", WINDOWS)
def test_case_c01_c02_c03_c04_c05_c06_c07_c15_windows_begin_where_it_is_safe(
    cases: dict[str, dict[str, Any]], case: str
) -> None:
    """The bare window encodes to something else than the tail; a stream's own begins at a settled cut, and agrees."""
    full, window = cases[case]["input"]["full"], cases[case]["input"]["window"]
    name = cases[case]["tokenizer_family"]
    assert full.endswith(window)
    whole, bare = tok(name).encode(full), tok(name).encode(window)
    if name not in OTHER_FILES:
        inside = name in WITHOUT_PREFIX
        assert is_spelled(name, tok(name).encode(full, continues=inside), cases[case]["observed"]["full"])
        assert is_spelled(name, tok(name).encode(window, continues=inside), cases[case]["observed"]["window"])
        if not inside:
            assert whole[len(whole) - len(bare) :] != bare, "the case is one"
    cut = len(full) - len(window)
    if cut in tok(name).settled_cuts(full):
        tail = tok(name).encode(window, continues=True)
        assert whole[len(whole) - len(tail) :] == tail
    for words in range(5):
        for pieces in ([full[:cut], window], [*full], re.findall(r"\s*\S+", full)):
            encoder = cf.StreamEncoder(tok(name), context_words=words)
            text = ""
            for piece in pieces:
                encoder.push(piece)
                text += piece
                assert encoder.ids == tok(name).encode(text)
            assert encoder.widened == 0


def test_case_c08_windows_are_cut_in_bytes(cases: dict[str, dict[str, Any]], data: Path) -> None:
    """Tokens that hold part of a character keep their own bytes; streams in Korean, Russian, Arabic are exact."""
    text = cases["C08"]["input"]
    assert b"".join(tok("gpt2").token_bytes(n) for n in tok("gpt2").encode(text)) == text.encode()
    lines = [text]
    for language in ("kor", "rus", "arb"):
        files = sorted((data / "text" / "udhr").glob(f"*{language}*"))
        assert files
        lines += [line for line in files[0].read_text(encoding="utf-8").splitlines() if len(line) > 60][:3]
    assert len(lines) == 10
    for line in lines:
        encoder = cf.StreamEncoder(tok("gpt2"))
        for start in range(0, len(line.encode()), 7):
            encoder.push(line.encode()[start : start + 7])
        assert encoder.ids == tok("gpt2").encode(line)
        assert encoder.widened == 0


def test_case_c09_what_a_model_wrote_is_kept(cases: dict[str, dict[str, Any]]) -> None:
    """Tokens that are not canonical stay as they are; texts are compared, never ids."""
    stored, canonical = cases["C09"]["observed"]["stored"], cases["C09"]["observed"]["canonical"]
    assert tok("llama3").encode("Hello") == canonical
    assert tok("llama3").decode(stored) == tok("llama3").decode(canonical) == "Hello"
    world = say("llama3", " world")
    found = segments("llama3", [*stored, *world], ["phi3", "gpt2"])
    assert [(segment.text, segment.token_ids) for segment in found] == [("Hello", stored), (" world", world)]
    encoder = cf.StreamEncoder(tok("phi3"))
    assert all(encoder.push(segment.text).lossless for segment in found)
    assert tok("phi3").decode(encoder.ids) == "Hello world"


def test_case_c10_nfc_is_known_at_load(cases: dict[str, dict[str, Any]]) -> None:
    """A normalising tokenizer is told at load, per text, per edit; the text itself is never replaced."""
    text = cases["C10"]["input"]
    assert text == "e\u0301"
    for name in ("gpt_neox", "qwen2_5"):
        assert tok(name).describe()["lost"] == ["text that is not in NFC"]
        assert tok(name).decode(tok(name).encode(text)) == cases["C10"]["observed"]["decoded"] == "é"
        assert not tok(name).represents(text)
        with pytest.raises(cf.UnrepresentableTextError, match="not in NFC"):
            tok(name).encode(text, errors="strict")
        encoder = cf.StreamEncoder(tok(name))
        assert not encoder.push(text).lossless
        assert encoder.text == text


def test_case_c11_lossy_tokenizers_are_flagged_and_refuse(cases: dict[str, dict[str, Any]]) -> None:
    """T5 and XLNet fold white space and characters: flagged at load, refused with position when it matters."""
    for name in ("t5_small", "xlnet_base_cased"):
        found = tok(name).describe()
        assert not found["lossless_but_for_space_mark"]
        assert {"newlines", "runs of spaces", "compatibility characters"} <= set(found["lost"])
    for text, decoded in cases["C11"]["observed"].items():
        assert text in cases["C11"]["input"]
        refused = 0
        for name in ("t5_small", "xlnet_base_cased"):
            written = tok(name).decode(tok(name).encode(text))
            assert tok(name).represents(text) == (written == text)
            if written != text:
                refused += 1
                with pytest.raises(cf.UnrepresentableTextError, match=r"at character \d+ .*the load probe found"):
                    tok(name).encode(text, errors="strict")
        assert refused
        assert tok("t5_small").decode(tok("t5_small").encode(text)) == decoded


def test_case_c12_decoding_is_exact_in_bytes(cases: dict[str, dict[str, Any]]) -> None:
    """The decoder of the case's file loses the space before a line end; decoding from the vocabulary does not."""
    text = cases["C12"]["input"]
    assert (text, cases["C12"]["observed"]["decoded"]) == (" \n", "\n")
    assert tok("chatglm3").decode_bytes(tok("chatglm3").encode(text)) == text.encode()
    assert tok("chatglm3").describe()["lossless_but_for_space_mark"]


def test_case_c13_unigram_in_japanese(cases: dict[str, dict[str, Any]], data: Path) -> None:
    """No window of words is exact for Unigram without white space: streams are exact all the same, and say how."""
    assert "88%" in cases["C13"]["expected"]
    files = sorted((data / "text" / "udhr").glob("*jpn*"))
    assert files
    lines = [line for line in files[0].read_text(encoding="utf-8").splitlines() if len(line) > 40][:3]
    assert lines
    for name in ("ai21_j2", "t5_small", "xlnet_base_cased"):
        for line in lines:
            encoder = cf.StreamEncoder(tok(name), context_words=4)
            for count in range(1, 81):
                encoder.push(line[count - 1 : count])
                assert encoder.ids == tok(name).encode(line[:count])
            assert encoder.widened == 0
    window = tok("ai21_j2").describe()["window"]
    assert not window["factorises_at_word_boundaries"], "the rest of a text by itself may be encoded otherwise"
    assert not window["whole_text"], "a stream carries the sum of scores over"


def test_case_c14_a_window_is_never_shorter_than_the_unstable_tail(cases: dict[str, dict[str, Any]]) -> None:
    """Six tokens are rewritten by one appended piece; the window begins at a settled cut, whatever its words."""
    seen = 0
    for case, name in (("B14", "llama2"), ("B15", "llama3"), ("B16", "gpt2")):
        prefix, append = cases[case]["input"]["prefix"], cases[case]["input"]["append"]
        for before in ("", "It was late and the dog slept. ", "x" * 50 + " "):
            for words in range(5):
                encoder = cf.StreamEncoder(tok(name), context_words=words)
                encoder.push(before + prefix)
                edit = encoder.push(append)
                assert encoder.ids == tok(name).encode(before + prefix + append)
                assert encoder.widened == 0
                seen = max(seen, edit.drop)
    assert seen >= 6


# D: decoding in a window ---------------------------------------------------------------------------------------------


def test_case_d01_a_stream_keeps_its_spaces(cases: dict[str, dict[str, Any]]) -> None:
    """Decoding token by token loses the spaces; the stream knows where the text began."""
    text = cases["D01"]["input"]
    for name in ("llama2", "phi3"):
        ids = tok(name).encode(text)
        oracle = real(name).oracle
        assert "".join(oracle.decode([n]) for n in ids) == cases["D01"]["observed"]["joined"]
        decoder = cf.StreamDecoder(tok(name))
        assert "".join(decoder.push(n) for n in ids) + decoder.flush() == text == tok(name).decode(ids)


def test_case_d02_nothing_leaves_before_the_character_is_whole(cases: dict[str, dict[str, Any]]) -> None:
    """The four bytes of an emoji are held, then it leaves at once."""
    text = cases["D02"]["input"]
    for name in ("llama2", "phi3", "stories260K", "babyllama361-yarn3"):
        decoder = cf.StreamDecoder(tok(name))
        shown = [decoder.push(n) for n in tok(name).encode(text)]
        assert [part for part in shown if part] == ["a", "😀", "b"]
        assert "\ufffd" not in "".join(shown)


def _byte_ids(name: str, data: bytes) -> list[int]:
    unused = set(tok(name).unused_ids)
    single = {tok(name).token_bytes(n): n for n in range(tok(name).vocab_size) if n not in unused}
    return [single[bytes([byte])] for byte in data]


def test_case_d03_a_whole_character_is_never_withdrawn(cases: dict[str, dict[str, Any]]) -> None:
    """E5 B2 81 is shown and stays when a stray E5 follows; the library turns all four into U+FFFD."""
    assert cases["D03"]["input"] == "bytes E5 B2 81 | E5"
    for name in ("llama2", "phi3", "gemma2", "chatglm3", "mistral_v3"):
        ids = _byte_ids(name, b"\xe5\xb2\x81\xe5")
        oracle = real(name).oracle
        assert oracle.decode(ids, skip_special_tokens=False) == cases["D03"]["observed"]["four"]
        decoder = cf.StreamDecoder(tok(name), prompt_ids=tok(name).encode("a"))
        assert [decoder.push(n) for n in ids] == ["", "", cases["D03"]["observed"]["three"], ""]
        assert decoder.flush() == "\ufffd"


def test_case_d04_an_invalid_byte_does_not_stop_the_stream(cases: dict[str, dict[str, Any]]) -> None:
    """81 E5 B2 81: one U+FFFD for the first byte, then the character."""
    assert cases["D04"]["input"] == "bytes 81 E5 B2 81"
    for name in ("llama2", "gpt2", "o200k", "rwkv4-660k"):
        decoder = cf.StreamDecoder(tok(name), prompt_ids=tok(name).encode("a"))
        assert [decoder.push(n) for n in _byte_ids(name, b"\x81\xe5\xb2\x81")] == ["\ufffd", "", "", "岁"]


def test_case_d05_a_literal_replacement_character_is_text(cases: dict[str, dict[str, Any]]) -> None:
    """A U+FFFD that a model wrote leaves with its last byte."""
    assert cases["D05"]["property"].startswith('"ends with U+FFFD"')
    for name in ("llama2", "llama3", "gpt2", "qwen2_5", "phi3", "chatglm3"):
        ids = tok(name).encode("a\ufffd b")
        decoder = cf.StreamDecoder(tok(name))
        shown = ""
        for count, token_id in enumerate(ids, start=1):
            shown += decoder.push(token_id)
            whole = tok(name).decode_bytes(ids[:count])
            if whole.endswith("\ufffd".encode()):
                assert shown == "a\ufffd"
        assert shown == "a\ufffd b"


# E: special tokens and clusters --------------------------------------------------------------------------------------


def test_case_e01_text_that_looks_like_a_control_token_is_text(cases: dict[str, dict[str, Any]]) -> None:
    """No id of the encoding is a control token, nothing is eaten, the text comes back; END is never text."""
    text = cases["E01"]["input"]
    ids = tok("phi3").encode(text)
    assert not set(ids) & set(tok("phi3").control_ids)
    assert tok("phi3").decode_bytes(ids) == text.encode()
    safe = cases["E01"]["observed"]["safe"]
    # The case's own "safe" encoding still matches </s>; ours agrees up to there.
    upto = next(n for n, piece in enumerate(safe) if piece.startswith("</s>"))
    assert is_spelled("phi3", ids[:upto], safe[:upto])
    for segment in segments("phi3", ids):
        assert not segment.end


def test_case_e09_added_tokens_that_strip_are_out_of_the_matcher(cases: dict[str, dict[str, Any]]) -> None:
    """`</s>` is not special and eats white space: as text it is spelled out, and every byte comes back."""
    text = cases["E09"]["input"]
    ids = tok("phi3").encode(text)
    assert tok("phi3").decode_bytes(ids) == text.encode()
    assert 2 not in ids
    assert 2 in tok("phi3").control_ids


def test_case_e04_clusters_stay_whole(cases: dict[str, dict[str, Any]]) -> None:
    """Families and flags: never inside a code point, and at the levels above the cap never inside a cluster."""
    text = cases["E04"]["input"]
    group = ["llama3", "phi3", "gpt2", "gemma2", "qwen2_5"]
    for whole in (text, "我们" + text.replace(" ", "你好") * 3, text.replace(" ", "") * 4):
        clusters = cluster_starts(whole) | {len(whole)}
        for writer in group:
            found = segments(writer, tok(writer).encode(whole), group)
            assert "".join(segment.text for segment in found) == whole
            assert "\ufffd" not in whole
            reached = 0
            for segment in found:
                reached += len(segment.text)
                assert segment.valid
                if segment.level != "code_point":
                    assert reached in clusters, (writer, segment)


def test_this_file_answers_what_the_table_says() -> None:
    """Guard: cases that have a test here are in the table with this file."""
    names = re.findall(r"^def (test_case_\w+)\(", Path(__file__).read_text(encoding="utf-8"), re.MULTILINE)
    answered = {part.upper() for name in names for part in name.split("_") if re.fullmatch(r"[a-g]\d\d", part)}
    assert answered | set(APPEND_CASES) == {case for case, file in ANSWERED.items() if file == HERE}
