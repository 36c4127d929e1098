"""Batches and threads: many at a time are each one's answer, and threads do not disturb each other."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import coolfusion as cf
from fixtures import Family, every_family, examples, family
from strategies import FRAGMENTS, texts


@every_family
@examples(0.2)
@given(data=st.data())
def test_a_batch_is_each_by_itself(family: Family, data: st.DataObject) -> None:
    """Every name that takes many gives what it gives for each one, in order, for str and bytes."""
    tok = family.tok
    many: list[str | bytes] = []
    for text in data.draw(st.lists(texts(4), max_size=5)):
        many.append(data.draw(st.sampled_from([text, text.encode()])))
    continues = data.draw(st.booleans())
    ids = [tok.encode(text, continues=continues) for text in many]
    assert tok.encode_batch(many, continues=continues) == ids
    assert tok.decode_batch(ids) == [tok.decode(each) for each in ids]
    assert tok.represents(many, continues=continues) == [tok.represents(text, continues=continues) for text in many]
    assert tok.word_boundaries(many) == [tok.word_boundaries(text) for text in many]
    assert tok.settled_cuts(tuple(many)) == [tok.settled_cuts(text) for text in many]
    others = [tok, GPT2]
    assert cf.common_boundaries(others, many) == [cf.common_boundaries(others, text) for text in many]


GPT2 = family("made_gpt2").tok


def _page(number: int) -> str:
    """A page of hard text, another one for each number."""
    count = len(FRAGMENTS)
    return "".join(FRAGMENTS[(number * 31 + step * (number % 7 + 1)) % count] for step in range(200))


def _answers(tok: cf.Tokenizer, text: str) -> dict[str, Any]:
    ids = tok.encode(text)
    decoder, encoder = cf.StreamDecoder(tok), cf.StreamEncoder(tok)
    shown = [decoder.push(token_id) for token_id in ids[: len(ids) // 2]]
    for start in range(0, len(text), 50):
        encoder.push(text[start : start + 50])
    return {
        "ids": ids,
        "text": tok.decode(ids),
        "boundaries": tok.word_boundaries(text),
        "cuts": tok.settled_cuts(text),
        "stream": "".join(shown) + decoder.extend(ids[len(ids) // 2 :]) + decoder.flush(),
        "encoder": (encoder.ids, encoder.widened),
    }


# One of each engine and model; real ones where they are.
SHARED = ["made_llama3", "made_llama2", "made_qwen", "made_unigram", "made_t5", "made_bert"]


@pytest.mark.parametrize("name", SHARED)
def test_threads_share_a_tokenizer(name: str) -> None:
    """Eight threads, free to do what they like with one tokenizer, get what one thread gets."""
    tok = family(name).tok
    pages = [_page(number) for number in range(24)]
    expected = [_answers(tok, page) for page in pages]
    together = threading.Barrier(8)

    def work(first: int) -> list[tuple[int, dict[str, Any]]]:
        together.wait()
        order = [(first * 5 + step) % len(pages) for step in range(len(pages))]
        return [(number, _answers(tok, pages[number])) for number in order]

    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(work, range(8)):
            assert len(found) == len(pages)
            assert all(answers == expected[number] for number, answers in found)


def test_threads_share_a_batch() -> None:
    """Batches large enough for all cores, from several threads at once."""
    tok = family("made_llama3").tok
    pages = [_page(number) for number in range(100)]
    assert sum(len(page.encode()) for page in pages) > 50_000, "enough for several threads"
    ids, cuts = [tok.encode(page) for page in pages], [tok.word_boundaries(page) for page in pages]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: (tok.encode_batch(pages), tok.word_boundaries(pages)), range(8)))
    assert all(each == (ids, cuts) for each in found)


class Slow:
    """Encodes to bytes; on "wait" it says so and waits, with no lock of ours held by its thread but the stream's."""

    vocab_size = 256

    def __init__(self) -> None:
        self.waiting, self.go_on = threading.Event(), threading.Event()

    def encode(self, text: str) -> list[int]:
        if text.endswith("wait"):
            self.waiting.set()
            assert self.go_on.wait(30)
        return list(text.encode())

    def decode(self, ids: list[int]) -> str:
        return bytes(ids).decode("utf-8", "replace")


@pytest.mark.parametrize(
    "use",
    [
        lambda encoder: encoder.push("x"),
        lambda encoder: encoder.peek("x"),
        lambda encoder: encoder.fork(),
        lambda encoder: encoder.ids,
        lambda encoder: encoder.text,
        lambda encoder: encoder.widened,
        len,
    ],
    ids=["push", "peek", "fork", "ids", "text", "widened", "len"],
)
def test_a_stream_has_one_owner(use: Callable[[cf.StreamEncoder], object]) -> None:
    """A call during another thread's call is refused by name and changes nothing."""
    slow = Slow()
    encoder = cf.StreamEncoder(cf.Tokenizer.wrap(slow))
    encoder.push("a")
    with ThreadPoolExecutor(1) as pool:
        push = pool.submit(encoder.push, " wait")
        assert slow.waiting.wait(30)
        try:
            with pytest.raises(cf.ConcurrentUseError, match=r"this StreamEncoder is at work .*fork"):
                use(encoder)
        finally:
            slow.go_on.set()
        push.result()
    assert (encoder.text, encoder.ids) == ("a wait", list(b"a wait"))
    assert issubclass(cf.ConcurrentUseError, RuntimeError)


def test_a_segmenter_has_one_owner() -> None:
    slow = Slow()
    segmenter = cf.Segmenter(cf.Tokenizer.wrap(slow))
    with ThreadPoolExecutor(1) as pool:
        pushes = pool.submit(lambda: [segmenter.push(byte) for byte in b"a wait wait"])
        assert slow.waiting.wait(30)
        try:
            uses: list[Callable[[], object]] = [lambda: segmenter.push(97), segmenter.finish, segmenter.fork]
            for use in [*uses, lambda: segmenter.restart("x")]:
                with pytest.raises(cf.ConcurrentUseError, match=r"this Segmenter is at work"):
                    use()
        finally:
            slow.go_on.set()
        segments = [segment.text for segment in pushes.result() if segment]
    while rest := segmenter.finish():
        segments.append(rest.text)
    assert "".join(segments) == "a wait wait"


def test_a_decoder_under_free_use_from_threads() -> None:
    """Long extends let other threads run: each call is either whole or refused, so the text is one of whole calls."""
    tok = family("made_gpt2").tok
    ids = tok.encode("the cat sat. ") * 2000
    assert len(ids) > 8192
    decoder = cf.StreamDecoder(tok)
    refused = []

    def work(_: int) -> int:
        done = 0
        for _ in range(20):
            try:
                assert decoder.extend(ids) == "the cat sat. " * 2000
                done += 1
            except cf.ConcurrentUseError as error:
                refused.append(error)
        return done

    with ThreadPoolExecutor(4) as pool:
        done = sum(pool.map(work, range(4)))
    assert done + len(refused) == 80
    assert done >= 1
    assert decoder.extend(ids[:3]) == tok.decode(ids[:3])


def test_a_push_beside_another_thread_is_whole_or_refused() -> None:
    """One thread extends, others push: all get what the stream gave, and no id is lost or said twice."""
    tok = family("made_gpt2").tok
    ids = tok.encode("the cat sat. ") * 2000
    cat = tok.encode("cat")
    decoder = cf.StreamDecoder(tok, prompt_ids=ids[:1])
    tried = 3_000

    def push(_: int) -> int:
        done = 0
        for _ in range(tried):
            try:
                assert "".join(decoder.push(n) for n in cat) == "cat"
                done += 1
            except cf.ConcurrentUseError:
                pass
        return done

    def extend(_: int) -> int:
        done = 0
        for _ in range(50):
            try:
                assert decoder.extend(ids) == "the cat sat. " * 2000
                done += 1
            except cf.ConcurrentUseError:
                pass
        return done

    with ThreadPoolExecutor(3) as pool:
        pushers = [pool.submit(push, number) for number in range(2)]
        extended = pool.submit(extend, 0).result()
        pushed = sum(pusher.result() for pusher in pushers)
    assert pushed
    assert extended
    with pytest.raises(cf.UnknownTokenError, match=r"token id \d+ at position \d+") as refused:
        decoder.push(tok.vocab_size)
    said = int(re.search(r"at position (\d+)", str(refused.value))[1])  # type: ignore[index]
    # A word whose second id was refused was begun all the same.
    least = pushed * len(cat) + extended * len(ids)
    assert least <= said <= least + (2 * tried - pushed) * (len(cat) - 1)
