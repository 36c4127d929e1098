"""Two tokenizers small enough to draw by hand, for documentation, tests and first steps.

Both represent every text byte for byte, except U+2581, which no vocabulary like that of :func:`spaced_tokenizer` can
tell from a space. They disagree about the ends of tokens, and about one word boundary:

>>> import coolfusion as cf
>>> from coolfusion import toy
>>> text = "the cat sat on the mat"
>>> plain, spaced = toy.tokenizer(), toy.spaced_tokenizer()
>>> [plain.token_bytes(token_id) for token_id in plain.encode(text)]
[b'the', b' cat', b' sat', b' on', b' the', b' mat']
>>> [spaced.token_bytes(token_id) for token_id in spaced.encode(text)]
[b' the', b' ca', b't', b' sa', b't', b' on the', b' ', b'm', b'a', b't']
>>> plain.word_boundaries(text), spaced.word_boundaries(text)
([3, 7, 11, 14, 18], [3, 7, 11, 18])
>>> cf.common_boundaries([plain, spaced], text)
[3, 7, 11, 18]
"""

from __future__ import annotations

import json
from typing import Any

from coolfusion._core import Tokenizer, _byte_alphabet

__all__ = ["definition", "spaced_definition", "spaced_tokenizer", "tokenizer"]

# SentencePiece's space.
_MARK = "\u2581"

# Pairs in the order in which they are joined.
_MERGES = (
    ("t", "h"), ("th", "e"), ("a", "t"), ("c", "at"), ("s", "at"), ("m", "at"), ("o", "n"),
    (" ", "the"), (" ", "cat"), (" ", "sat"), (" ", "mat"), (" ", "on"),
)  # fmt: skip
_SPACED_MERGES = (
    (" ", "t"), ("h", "e"), (" t", "he"), ("c", "a"), (" ", "ca"), ("s", "a"), (" ", "sa"),
    ("o", "n"), (" ", "on"), (" on", " the"),
)  # fmt: skip


def tokenizer() -> Tokenizer:
    """Returns a byte-level BPE of 269 ids with GPT-2's pre-token rule, by which a space belongs to the word after it.

    ======== ===========================================================
    id       stands for
    ======== ===========================================================
    0..255   the byte of that value
    256..262 ``th`` ``the`` ``at`` ``cat`` ``sat`` ``mat`` ``on``
    263..267 ``␣the`` ``␣cat`` ``␣sat`` ``␣mat`` ``␣on`` (``␣`` is a space)
    268      the control token ``<end>``
    ======== ===========================================================

    Returns:
        A new tokenizer that loses no text.

    Complexity: O(1); about a millisecond for the load probe.

    Example:
        >>> tok = tokenizer()
        >>> tok.encode("the cat!"), tok.decode([257, 264, 33])
        ([257, 264, 33], 'the cat!')
        >>> tok.encode("é"), tok.control_ids, tok.describe()["lossless"]
        ([195, 169], [268], True)
    """
    return Tokenizer._from_json(definition(), "toy")


def spaced_tokenizer() -> Tokenizer:
    """Returns a SentencePiece-like BPE of 280 ids with byte fallback, whose pieces may hold several words.

    It puts a space before every text (the dummy prefix) and writes spaces as U+2581, like the tokenizers of LLaMA-2.

    ======== =====================================================================
    id       stands for
    ======== =====================================================================
    0, 1, 2  the control tokens ``<unk>``, ``<s>`` and ``<end>``
    3..258   the byte of value ``id - 3``, for text without a piece
    259..269 ``␣ t h e c a s o n m .`` (``␣`` is a space)
    270..276 ``␣t`` ``he`` ``␣the`` ``ca`` ``␣ca`` ``sa`` ``␣sa``
    277..279 ``on`` ``␣on`` ``␣on␣the``
    ======== =====================================================================

    Returns:
        A new tokenizer that loses no text but U+2581, which comes back as a space.

    Complexity: O(1); about a millisecond for the load probe.

    Example:
        >>> tok = spaced_tokenizer()
        >>> tok.encode("the cat!")
        [272, 274, 260, 36]
        >>> tok.decode([272, 274, 260, 36]), tok.token_bytes(272)
        ('the cat!', b' the')
        >>> tok.describe()["lost"]
        ["U+2581, the vocabulary's own mark for a space"]
    """
    return Tokenizer._from_json(spaced_definition(), "spaced toy")


def definition() -> str:
    """Returns the tokenizer.json of :func:`tokenizer`, to be written to a file or given to another library.

    Returns:
        JSON text.

    Example:
        >>> json.loads(definition())["model"]["merges"][:2]
        [['t', 'h'], ['th', 'e']]
    """
    alphabet = list(_byte_alphabet())
    spelled = {chr(byte): letter for byte, letter in enumerate(alphabet)}
    merges = [[_spell(half, spelled) for half in pair] for pair in _MERGES]
    entries = [*alphabet, *("".join(pair) for pair in merges)]
    return json.dumps(
        {
            "version": "1.0",
            "added_tokens": [_control(len(entries), "<end>")],
            "normalizer": None,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True},
            "post_processor": None,
            "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True},
            "model": {"type": "BPE", "vocab": _numbered(entries), "merges": merges},
        }
    )


def spaced_definition() -> str:
    """Returns the tokenizer.json of :func:`spaced_tokenizer`, to be written to a file or given to another library.

    Returns:
        JSON text.

    Example:
        >>> json.loads(spaced_definition())["model"]["byte_fallback"]
        True
    """
    spelled = {" ": _MARK}
    merges = [[_spell(half, spelled) for half in pair] for pair in _SPACED_MERGES]
    controls = ["<unk>", "<s>", "<end>"]
    byte_pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    letters = [_MARK, *"thecasonm."]
    entries = [*controls, *byte_pieces, *letters, *("".join(pair) for pair in merges)]
    return json.dumps(
        {
            "version": "1.0",
            "added_tokens": [_control(token_id, name) for token_id, name in enumerate(controls)],
            "normalizer": {
                "type": "Sequence",
                "normalizers": [
                    {"type": "Prepend", "prepend": _MARK},
                    {"type": "Replace", "pattern": {"String": " "}, "content": _MARK},
                ],
            },
            "pre_tokenizer": None,
            "post_processor": None,
            "decoder": {
                "type": "Sequence",
                "decoders": [
                    {"type": "Replace", "pattern": {"String": _MARK}, "content": " "},
                    {"type": "ByteFallback"},
                    {"type": "Fuse"},
                    {"type": "Strip", "content": " ", "start": 1, "stop": 0},
                ],
            },
            "model": {
                "type": "BPE",
                "unk_token": "<unk>",
                "fuse_unk": True,
                "byte_fallback": True,
                "vocab": _numbered(entries),
                "merges": merges,
            },
        }
    )


def _spell(text: str, spelled: dict[str, str]) -> str:
    return "".join(spelled.get(character, character) for character in text)


def _numbered(entries: list[str]) -> dict[str, int]:
    return {entry: number for number, entry in enumerate(entries)}


def _control(token_id: int, content: str) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": token_id, "content": content, "special": True, **flags}
