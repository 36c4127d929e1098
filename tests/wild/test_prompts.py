"""Prompts as ids in every usual container, and texts that spell control tokens."""

from __future__ import annotations

import array
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import coolfusion as cf
from fusion_parts import BOS, END, SPECIALS, toy, writer

TOKENIZER = toy(" cat", " sat")
IDS = [BOS, *TOKENIZER.encode("a cat")]


def fusion(count: int = 2) -> cf.Fusion:
    return cf.Fusion(writer(TOKENIZER, "a cat sat", name=f"m{number}") for number in range(count))


def numpy(dtype: str, *, row: bool = False) -> Callable[[], Any]:
    def make() -> Any:
        np = pytest.importorskip("numpy", reason="arrays")
        return np.array([IDS] if row else IDS, dtype=dtype)

    return make


def torch(dtype: str, *, row: bool = False) -> Callable[[], Any]:
    def make() -> Any:
        module = pytest.importorskip("torch", reason="tensors")
        return module.tensor([IDS] if row else IDS, dtype=getattr(module, dtype))

    return make


def batch_encoding() -> Any:
    transformers = pytest.importorskip("transformers", reason="BatchEncoding")
    return transformers.BatchEncoding({"input_ids": [IDS], "attention_mask": [[1] * len(IDS)]})


def encoding() -> Any:
    tokenizers = pytest.importorskip("tokenizers", reason="Encoding")
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel({str(each): each for each in range(400)}, "0"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    return inner.encode(" ".join(map(str, IDS)))


CONTAINERS: dict[str, Callable[[], Any]] = {
    "list": lambda: list(IDS),
    "tuple": lambda: tuple(IDS),
    "list of one row": lambda: [list(IDS)],
    "array": lambda: array.array("q", IDS),
    "unsigned array": lambda: array.array("I", IDS),
    "memoryview": lambda: memoryview(array.array("q", IDS)),
    "iterator": lambda: iter(IDS),
    "dict": lambda: {"input_ids": IDS},
    "dict of one row": lambda: {"input_ids": [IDS], "attention_mask": [[1] * len(IDS)]},
    "int64": numpy("int64"),
    "uint16": numpy("uint16"),
    "numpy row": numpy("int32", row=True),
    "list of numpy numbers": lambda: list(numpy("int64")()),
    "torch": torch("int64"),
    "torch row": torch("int32", row=True),
    "list of one tensor": lambda: [torch("int64")()],
    "dict of a tensor": lambda: {"input_ids": torch("int64", row=True)()},
    "BatchEncoding": batch_encoding,
    "Encoding": encoding,
}


@pytest.mark.parametrize("name", sorted(CONTAINERS))
def test_ids_are_taken_from_every_usual_container(name: str) -> None:
    right = fusion().generate((IDS, IDS), 4)
    made = [CONTAINERS[name]() for _ in range(2)]
    output = fusion().generate(tuple(made), 4)
    assert [member.prompt_ids for member in output.members] == [IDS, IDS]
    assert output.text == right.text == " sat"
    assert "".join(step.text for step in fusion().stream((CONTAINERS[name](), "a cat"), 4)) == " sat"
    assert [each.text for each in fusion().generate([(CONTAINERS[name](), IDS)], 4)] == [" sat"]


def test_a_range_is_ids() -> None:
    output = fusion().generate((range(60, 63), "a"), 1)
    assert output.members[0].prompt_ids == [60, 61, 62]


def test_ids_of_one_member_need_no_tuple() -> None:
    for name in ("torch row", "numpy row", "BatchEncoding", "dict", "array"):
        assert fusion(1).generate(CONTAINERS[name](), 4).text == " sat"


REFUSED: dict[str, tuple[Any, str]] = {
    "bool": ([BOS, True], r"prompt of member m0 has True at position 1: expected an id"),
    "negative": ([BOS, -1], r"has -1 at position 1: expected an id"),
    "fraction": ([1.0, 2], r"has 1\.0 at position 0: expected an id"),
    "text": ([BOS, "a"], r"has 'a' at position 1: expected an id"),
    "None": (None, r"prompt of member m0 is None of type NoneType: expected a text"),
    "set": ({BOS}, r"of type set: expected"),
    "bytes": (b"ab", r"of type bytes: expected"),
    "number": (7, r"of type int: expected"),
    "two rows": ([IDS, IDS], r"holds 2 rows of ids: expected those of one text"),
    "ragged": ([IDS, 3], r"has \[.*\] at position 0: expected an id"),
    "mapping": ({"ids": IDS}, r"a mapping without `input_ids`"),
    "float array": (array.array("d", [1.0]), r"has 1\.0 at position 0"),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_no_list_of_ids_is_refused(name: str) -> None:
    given, message = REFUSED[name]
    with pytest.raises(cf.ArgumentError, match=message):
        fusion().generate((given, IDS), 4)
    with pytest.raises(cf.ArgumentError, match=message):
        fusion().stream((given, IDS), 4)


@pytest.mark.parametrize("dtype", ["float32", "bool"])
def test_arrays_of_other_numbers_are_refused(dtype: str) -> None:
    for make in (numpy(dtype), torch(dtype)):
        with pytest.raises(cf.ArgumentError, match=r"at position 0: expected an id"):
            fusion().generate((make(), IDS), 4)


def test_a_list_of_tensor_truths_is_refused() -> None:
    module = pytest.importorskip("torch", reason="tensors")
    with pytest.raises(cf.ArgumentError, match="at position 0"):
        fusion().generate(([module.tensor(True)], IDS), 4)


def test_an_id_without_a_row_is_refused_with_its_position() -> None:
    with pytest.raises(cf.ModelError, match=r"member m0: prompt id 100000 at position 1 has no row, expected 0\.\."):
        fusion().generate(([BOS, 100_000], IDS), 4)


# Texts that spell control tokens.


def ours(run: Callable[[], Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run()
    return [str(each.message) for each in caught if issubclass(each.category, cf.CoolFusionWarning)]


@pytest.mark.parametrize("how", ["one", "list", "tuple", "stream"])
def test_a_text_that_spells_control_tokens_is_warned_of_once(how: str) -> None:
    text = f"{SPECIALS[BOS]}a cat{SPECIALS[END]}"
    runs: dict[str, Callable[[], Any]] = {
        "one": lambda: fusion().generate(text, 2),
        "list": lambda: fusion().generate(["a", text, (text, "a")], 2),
        "tuple": lambda: fusion().generate((text, text), 2),
        "stream": lambda: list(fusion().stream(text, 2)),
    }
    (message,) = ours(runs[how])
    for name in ("m0", "m1"):
        assert f"of member {name}" in message
    assert SPECIALS[BOS] in message
    assert SPECIALS[END] in message
    assert "pass ids for each member in a tuple" in message


def test_the_warning_names_only_members_that_read_the_text() -> None:
    (message,) = ours(lambda: fusion().generate((f"a{SPECIALS[END]}", IDS), 2))
    assert "member m0" in message
    assert "member m1" not in message


@pytest.mark.parametrize("prompt", ["a cat", "< s>", (IDS, "a cat"), (IDS, IDS), ["a", (IDS, "a")]])
def test_other_prompts_are_not_warned_of(prompt: Any) -> None:
    assert ours(lambda: fusion().generate(prompt, 2)) == []


def test_wrapped_objects_name_their_control_tokens() -> None:
    class Words:
        """Offers encode and decode, and names of special tokens."""

        vocab_size = 257
        all_special_ids = (256,)

        def encode(self, text: str) -> list[int]:
            return list(text.encode())

        def decode(self, ids: list[int]) -> str:
            return bytes(each for each in ids if each < 256).decode("utf-8", "replace")

        def id_to_token(self, token_id: int) -> str:
            return "<|end|>" if token_id == 256 else chr(token_id)

    assert cf.Tokenizer.wrap(Words()).control_tokens == {"<|end|>": 256}
