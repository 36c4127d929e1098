"""Segmenter, by examples: words, scripts without spaces, END, restart, what is refused, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

import coolfusion as cf
from fixtures import family

LLAMA3, LLAMA2, GPT2, GEMMA, O200K, QWEN = (
    family(f"made_{name}").tok for name in ("llama3", "llama2", "gpt2", "gemma", "o200k", "qwen")
)
END = family("made_llama3").definition["added_tokens"][0]["id"]


def one(tok: cf.Tokenizer, text: str) -> int:
    """The id of the token that says ``text`` after other text."""
    ids = tok.encode(text, continues=True)
    assert len(ids) == 1
    return ids[0]


def segments(
    tok: cf.Tokenizer, text: str, align_with: Sequence[cf.Tokenizer] = (), max_bytes: int = 128
) -> list[tuple[str, str]]:
    """(text, level) of all segments of the canonical tokens of ``text``."""
    segmenter = cf.Segmenter(tok, align_with=list(align_with), max_bytes=max_bytes)
    found = [segment for token_id in tok.encode(text) if (segment := segmenter.push(token_id)) is not None]
    while (segment := segmenter.finish()) is not None:
        found.append(segment)
    return [(segment.text, segment.level) for segment in found]


@pytest.mark.parametrize("tok", [LLAMA3, LLAMA2, GPT2, GEMMA], ids=["llama3", "llama2", "gpt2", "gemma"])
def test_words(tok: cf.Tokenizer) -> None:
    """A segment is a word with the white space before it; the last one ends with the text."""
    everybody = [LLAMA3, LLAMA2, GPT2, GEMMA]
    expected = [("It", "word"), (" was", "word"), (" late,", "word"), (" don't", "word"), (" go", "rest")]
    assert segments(tok, "It was late, don't go", everybody) == expected


def test_a_segment_is_known_with_one_token_of_look_ahead() -> None:
    """The token after the word makes it known, and starts the next segment."""
    segmenter = cf.Segmenter(GPT2)
    ids = [one(GPT2, text) for text in (" the", " dog", " the")]
    assert segmenter.push(ids[0]) is None
    first = segmenter.push(ids[1])
    assert first is not None
    assert (first.text, first.token_ids, first.end, first.valid, first.level) == (" the", [ids[0]], False, True, "word")
    second = segmenter.push(ids[2])
    assert second is not None
    assert second.text == " dog"
    last = segmenter.finish()
    assert last is not None
    assert (last.text, last.token_ids, last.level) == (" the", [ids[2]], "rest")
    assert segmenter.finish() is None
    assert repr(first) == f'Segment(" the", token_ids=[{ids[0]}], end=False, level="word")'


def test_half_a_word_is_not_released() -> None:
    """Two tokens of one word leave together."""
    segmenter = cf.Segmenter(GPT2, align_with=[LLAMA2])
    parts = [" ", "c", "a", "t", "e", "g", "o", "r", "y"]
    ids = [n for part in parts for n in GPT2.encode(part)]
    assert [segmenter.push(n) for n in ids] == [None] * len(ids)
    found = segmenter.push(one(GPT2, " the"))
    assert found is not None
    assert (found.text, found.token_ids) == (" category", ids)


def test_end_is_an_event_of_its_own() -> None:
    """A control token ends the text: the pending word leaves, then END, without text and with the control token."""
    segmenter = cf.Segmenter(LLAMA3)
    ids = LLAMA3.encode("Answer: 42")
    found = [segment for n in [*ids, END] if (segment := segmenter.push(n)) is not None]
    while (segment := segmenter.finish()) is not None:
        found.append(segment)
    assert [(s.text, s.end) for s in found] == [("Answer:", False), (" 42", False), ("", True)]
    assert (found[-1].token_ids, found[-1].level) == ([END], "end")


def test_end_alone() -> None:
    """A model that ends at once gives the END segment at once."""
    segmenter = cf.Segmenter(LLAMA3)
    found = segmenter.push(END)
    assert found is not None
    assert (found.text, found.token_ids, found.end) == ("", [END], True)
    assert segmenter.finish() is None


def test_nothing_can_follow_end_before_a_restart() -> None:
    segmenter = cf.Segmenter(LLAMA3)
    segmenter.push(END)
    token_id = LLAMA3.encode("a")[0]
    with pytest.raises(cf.ArgumentError, match=rf"token_id is {token_id}: expected no token after the end"):
        segmenter.push(token_id)
    segmenter.restart(" and")
    assert segmenter.push(token_id) is None
    finished = segmenter.finish()
    assert finished is not None
    assert finished.text == "a"


def test_nothing_pushed_is_no_segment() -> None:
    assert cf.Segmenter(LLAMA3).finish() is None
    assert cf.Segmenter(LLAMA2, prompt_ids=LLAMA2.encode("a prompt")).finish() is None


def test_scripts_without_spaces_end_before_white_space_comes() -> None:
    """Chinese, Japanese, Thai: pre-token or token cuts that all share, a few characters long, inside no character."""
    chinese, japanese = "我们认为这些真理是不言而喻的，人人生而平等。你好", "日本語の文章には空白がない。私は学生です。"
    for text in (chinese, japanese, "ภาษาไทยไม่มีช่องว่างระหว่างคำ"):
        for tok in (LLAMA3, LLAMA2, QWEN):
            found = segments(tok, text, [LLAMA3, LLAMA2, QWEN, GEMMA])
            assert "".join(part for part, _ in found) == text
            assert len(found) > 1
            assert max(len(part.encode()) for part, _ in found) <= 48


def test_grapheme_clusters_and_numbers_stay_whole() -> None:
    """No segment of the weaker levels ends inside a family emoji, a flag or a run of digits."""
    text = "我们👨‍👩‍👧‍👦世界🇯🇵🇨🇳你好1234567你好"
    for tok in (LLAMA3, LLAMA2, GPT2, GEMMA):
        for part, level in segments(tok, text, [LLAMA3, LLAMA2, GPT2, GEMMA]):
            if level in ("pre_token", "token"):
                assert not part.endswith(("\u200d", "👨", "🇯", "🇨")), part
                assert not part.startswith(("\u200d", "🇵", "🇳")), part
                assert not (part[-1].isdigit() and part != text[-len(part) :] and text.split(part)[1][:1].isdigit())


@pytest.mark.parametrize(
    "text", ["9" * 300, "QWxhZGRpbjpvcGVuIHNlc2FtZQ" * 12, "—" * 200, "\n" * 300, " " * 300, "a\u0301" * 150]
)
@pytest.mark.parametrize("max_bytes", [16, 40, 128])
def test_a_hard_cap_bounds_every_segment(text: str, max_bytes: int) -> None:
    """Digits, base64, rules, white space, letters without end: progress, and no segment above the cap."""
    for tok in (LLAMA3, LLAMA2, GPT2):
        longest = max(len(tok.token_bytes(n)) for n in tok.encode(text))
        found = segments(tok, text, [LLAMA3, LLAMA2, GPT2, GEMMA], max_bytes)
        assert "".join(part for part, _ in found) == text
        assert max(len(part.encode()) for part, _ in found) <= max(max_bytes, longest)
        assert all(part for part, _ in found)


def test_alignment_takes_the_boundary_that_all_have() -> None:
    """cl100k and o200k differ inside words and agree before the space."""
    for tok in (LLAMA3, O200K, GPT2, LLAMA2):
        found = segments(tok, "don't stop \\frac{1}{2}$ so", [LLAMA3, O200K, GPT2, LLAMA2])
        assert [part for part, _ in found] == ["don't", " stop", " \\frac{1}{2}$", " so"]


def test_ill_formed_bytes_are_marked() -> None:
    """`valid` says that the text is not what was generated: a U+FFFD stands for each ill-formed part."""
    single = {GPT2.token_bytes(n): n for n in range(GPT2.vocab_size) if len(GPT2.token_bytes(n)) == 1}
    segmenter = cf.Segmenter(GPT2)
    ids = [*GPT2.encode("the"), single[b"\xff"], *GPT2.encode(" the dog")]
    found = [segment for n in ids if (segment := segmenter.push(n)) is not None]
    while (segment := segmenter.finish()) is not None:
        found.append(segment)
    assert [(s.text, s.valid) for s in found] == [("the\ufffd", False), (" the", True), (" dog", True)]


def test_prompt_is_context() -> None:
    """The segment's first cut is judged after the prompt: a space that belongs to the prompt begins nothing."""
    prompt = LLAMA2.encode("It was ")
    segmenter = cf.Segmenter(LLAMA2, prompt_ids=prompt)
    found = [s for n in LLAMA2.encode("late and", continues=True) if (s := segmenter.push(n)) is not None]
    assert [s.text for s in found] == ["late"]


def test_restart_forgets_what_was_pending() -> None:
    """The loser's tokens go, the winner's text stands before the next segment."""
    segmenter = cf.Segmenter(LLAMA2, align_with=[LLAMA3], prompt_ids=LLAMA2.encode("It"))
    for token_id in LLAMA2.encode(" was very late", continues=True):
        segmenter.push(token_id)
    segmenter.restart(" is")
    found = [s for n in LLAMA2.encode(" late now", continues=True) if (s := segmenter.push(n)) is not None]
    assert [s.text for s in found] == [" late"]


def test_fork_copies() -> None:
    segmenter = cf.Segmenter(LLAMA3)
    segmenter.push(one(LLAMA3, " the"))
    copy = segmenter.fork()
    copy.push(END)
    assert segmenter.push(one(LLAMA3, " dog")) is not None


@pytest.mark.parametrize("max_bytes", [15, 0, -1, -(2**40)])
def test_a_cap_that_is_too_small(max_bytes: int) -> None:
    with pytest.raises(cf.ArgumentError, match=rf"max_bytes is {max_bytes}: expected at least 16 bytes"):
        cf.Segmenter(LLAMA3, max_bytes=max_bytes)


@pytest.mark.parametrize("token_id", [LLAMA3.vocab_size, 2**32, -1])
def test_an_unknown_id_leaves_the_segmenter_as_it_was(token_id: int) -> None:
    segmenter = cf.Segmenter(LLAMA3)
    segmenter.push(one(LLAMA3, " the"))
    with pytest.raises(cf.UnknownTokenError, match=rf"token id {token_id} .*expected"):
        segmenter.push(token_id)
    with pytest.raises(cf.ArgumentError, match="expected an integer"):
        segmenter.push("a")  # type: ignore[arg-type]
    found = segmenter.push(one(LLAMA3, " dog"))
    assert found is not None
    assert found.text == " the"


def test_an_unknown_id_in_the_prompt() -> None:
    with pytest.raises(cf.UnknownTokenError, match="token id 999999 at position 1"):
        cf.Segmenter(LLAMA3, prompt_ids=[5, 999_999])


def test_arguments_of_another_type() -> None:
    with pytest.raises(TypeError, match="Sequence"):
        cf.Segmenter(LLAMA3, align_with=LLAMA2)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Tokenizer"):
        cf.Segmenter(LLAMA3, align_with=[3])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="Tokenizer"):
        cf.Segmenter("llama3")  # type: ignore[arg-type]


def test_restart_refuses_a_lone_surrogate() -> None:
    """As everywhere: `TextError`, and the segmenter is as it was."""
    segmenter = cf.Segmenter(LLAMA3)
    segmenter.push(one(LLAMA3, " the"))
    with pytest.raises(cf.TextError, match="lone surrogate"):
        segmenter.restart("a\ud800")
    found = segmenter.push(one(LLAMA3, " dog"))
    assert found is not None
    assert found.text == " the"


def test_restart_takes_bytes_as_well() -> None:
    """Texts are `str` or `bytes` everywhere."""
    segmenter = cf.Segmenter(LLAMA3)
    segmenter.restart(b"It was")
    assert segmenter.push(one(LLAMA3, " late")) is None


def _seconds(tok: cf.Tokenizer, count: int) -> float:
    """Time of the last 200 of ``count`` pushes."""
    ids = tok.encode("It was late and the dog slept. The cat sat on the mat. " * (count // 8))[:count]
    assert len(ids) == count
    best = float("inf")
    for _ in range(4):
        segmenter = cf.Segmenter(tok)
        for token_id in ids[:-200]:
            segmenter.push(token_id)
        start = time.perf_counter()
        for token_id in ids[-200:]:
            segmenter.push(token_id)
        best = min(best, time.perf_counter() - start)
    return best


@pytest.mark.parametrize("tok", [LLAMA3, LLAMA2, GEMMA, QWEN], ids=["llama3", "llama2", "gemma", "qwen"])
def test_time_per_token_does_not_grow_with_the_text(tok: cf.Tokenizer) -> None:
    """Token 4,000 takes what token 400 takes (five times as long would still pass)."""
    assert _seconds(tok, 4_000) < 5 * _seconds(tok, 400)
