"""Objects in another process: pickles, copies, a real pool of spawned workers."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import coolfusion as cf
from coolfusion import toy

TEXT = "the cat sat on the mat\n  Grüße, 日本語 123"


class Letters:
    """Offers encode and decode alone; can be pickled."""

    vocab_size = 256

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: list[int]) -> str:
        return bytes(ids).decode("utf-8", "replace")


def objects() -> dict[str, Any]:
    """One of everything that has a value, by its name."""
    plain, spaced = toy.tokenizer(), toy.spaced_tokenizer()
    segmenter = cf.Segmenter(plain)
    segmenter.push(257)
    return {
        "byte level": plain,
        "SentencePiece": spaced,
        "wrapped": cf.Tokenizer.wrap(Letters()),
        "edit": cf.StreamEncoder(plain).push("the c"),
        "segment": segmenter.push(264),
        "alignment": cf.align([plain, spaced], "the cat sat"),
    }


def value(obj: Any) -> Any:
    """What an object says, in lists."""
    if isinstance(obj, cf.Tokenizer):
        ids = [obj.encode(TEXT), obj.encode(TEXT, continues=True)]
        return [*ids, obj.name, obj.describe(), obj.control_tokens, obj.bos_id, obj.eos_id, obj.prefix_ids]
    if isinstance(obj, cf.Edit):
        return [obj.drop, obj.ids, obj.lossless]
    if isinstance(obj, cf.Segment):
        return [obj.text, obj.token_ids, obj.end, obj.valid, obj.level]
    arrays = [obj.byte_boundaries, *obj.token_boundaries, *obj.ids]
    return [obj.text_bytes, *(each.tolist() for each in arrays)]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", sorted(objects()))
def test_pickles_give_back_the_same(name: str, protocol: int) -> None:
    obj = objects()[name]
    again = pickle.loads(pickle.dumps(obj, protocol))
    assert type(again) is type(obj)
    assert value(again) == value(obj)


@pytest.mark.parametrize("name", sorted(objects()))
def test_copies_are_the_same(name: str) -> None:
    obj = objects()[name]
    for again in (copy.copy(obj), copy.deepcopy(obj), copy.deepcopy({"inside": [obj]})["inside"][0]):
        assert value(again) == value(obj)
        assert again is obj or not isinstance(obj, cf.Tokenizer), "a tokenizer cannot be changed: one is enough"


def test_what_a_folder_declares_goes_along() -> None:
    declared = toy.spaced_tokenizer()._declaring(1, 2, [1], {"default": "{{ messages }}"})
    for again in (pickle.loads(pickle.dumps(declared)), copy.deepcopy(declared)):
        assert (again.bos_id, again.eos_id, again.prefix_ids) == (1, 2, [1])
        assert again.chat_templates == {"default": "{{ messages }}"}


def test_scores_come_back_bit_by_bit(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers", reason="makes a Unigram definition")
    # Sums of these scores tie but for the last bits, so a score that is read one unit off gives other ids.
    pieces = [("<unk>", 0.0), *((chr(97 + at), -(2.0 + at / 7) / 3) for at in range(26))]
    score = dict(pieces)
    pairs = [(a + b, score[a] + score[b]) for a in "abcdefghijklmnopqrstuvwxyz" for b in "abcdefghijklmnopqrstuvwxyz"]
    inner = tokenizers.Tokenizer(tokenizers.models.Unigram([*pieces, *pairs], unk_id=0))
    inner.save(str(tmp_path / "tokenizer.json"))
    tokenizer = cf.Tokenizer.from_file(tmp_path / "tokenizer.json")
    state = tokenizer.__reduce__()[1]
    again = cf._core._tokenizer(state[0], "another name, so that it is read", state[2])
    texts = [pair + other for pair, _ in pairs[::5] for other, _ in pairs[::7]]
    assert again.encode_batch(texts) == tokenizer.encode_batch(texts)


def encode_there(tokenizer: cf.Tokenizer, text: str) -> tuple[list[int], str]:
    """Runs in the worker."""
    return tokenizer.encode(text), tokenizer.name


@pytest.mark.parametrize("name", ["byte level", "SentencePiece", "wrapped"])
def test_a_pool_of_spawned_workers(name: str) -> None:
    tokenizer = objects()[name]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        answers = pool.starmap(encode_there, [(tokenizer, TEXT), (tokenizer, "the cat")])
    assert answers == [(tokenizer.encode(TEXT), tokenizer.name), (tokenizer.encode("the cat"), tokenizer.name)]


def test_a_pickle_needs_no_file(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers", reason="makes a file")
    inner = tokenizers.Tokenizer(tokenizers.models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    path = tmp_path / "tokenizer.json"
    inner.save(str(path))
    tokenizer = cf.Tokenizer.from_file(path)
    path.unlink()
    (tmp_path / "pickle").write_bytes(pickle.dumps(tokenizer))
    code = f"import pickle; print(pickle.load(open({str(tmp_path / 'pickle')!r}, 'rb')).encode('abba'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[2, 1, 0]"


def test_what_cannot_be_sent_says_so() -> None:
    class Local(Letters):
        """A class inside a function: pickle cannot find it."""

    with pytest.raises(cf.TransferError, match=r"wrapped object of type Local cannot be pickled"):
        pickle.dumps(cf.Tokenizer.wrap(Local()))
    plain = toy.tokenizer()
    for stream in (cf.StreamDecoder(plain), cf.StreamEncoder(plain), cf.Segmenter(plain)):
        with pytest.raises(cf.TransferError, match=rf"a {type(stream).__name__} belongs to its process"):
            pickle.dumps(stream)
        with pytest.raises(TypeError):
            pickle.dumps(stream)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_stream_is_independent(copied: Any) -> None:
    plain = toy.tokenizer()
    decoder = cf.StreamDecoder(plain, prompt_ids=[195])
    assert (copied(decoder).push(169), decoder.push(168)) == ("é", "è")
    encoder = cf.StreamEncoder(plain)
    encoder.push("the c")
    copied(encoder).push("at")
    assert encoder.text == "the c"
    segmenter = cf.Segmenter(plain)
    segmenter.push(257)
    assert copied(segmenter).finish().text == "the"
    assert segmenter.push(264).text == "the"


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (cf._core._tokenizer, (b"", "x", (None, None, [], {}))),
        (cf._core._tokenizer, (b"\xff" * 20, "x", (None, None, [], {}))),
        (cf._core._segment, ("x", [], False, True, "abacus", True)),
        (cf._core._alignment, (b"x", [[0]], [0, 1], [[0]])),
        (cf._core._alignment, (b"x", [], [], [])),
    ],
)
def test_broken_pickles_are_refused(function: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(cf.CoolFusionError, match="expected"):
        function(*arguments)
