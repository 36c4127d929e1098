"""Real texts of COOLFUSION_DATA, in 77 languages, with naughty strings, emoji and code, through every primitive."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path

import coolfusion as cf
from fixtures import DEFINED, Family, every_family, sayable


@cache
def _texts(folder: Path) -> list[str]:
    """A few hundred short texts, the same in every session."""
    text = folder / "text"
    found = []
    files = sorted((text / "udhr").glob("*.txt"))
    assert len(files) >= 70
    for file in files:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if len(line) > 20]
        found += [line[:160] for line in lines[5:7]]
    found += [line[:200] for line in json.loads((text / "blns" / "blns.json").read_text(encoding="utf-8"))[::3]]
    lines = (text / "unicode15" / "emoji-test.txt").read_text(encoding="utf-8").splitlines()
    emoji = [line.split("# ")[1].split()[0] for line in lines if "; fully-qualified" in line]
    assert len(emoji) > 3000
    found += ["".join(emoji[start : start + 400 : 40]) for start in range(0, 3000, 400)]
    found += [" ".join(emoji[start : start + 400 : 80]) for start in range(20, 3000, 400)]
    source = Path(__file__).read_text(encoding="utf-8").splitlines()
    found += ["\n".join(source[start : start + 8]) for start in range(0, len(source), 8)]
    found += ["\r\n".join(source[:8]), "\t".join(source[:8]), "   ".join(" ".join(source[:20]).split())]
    assert len(found) > 300
    return found


def _parts(text: str, seed: int) -> list[str]:
    """The text in parts of one to twelve characters."""
    dice = random.Random(seed)
    found = []
    at = 0
    while at < len(text):
        size = dice.randint(1, 12)
        found.append(text[at : at + size])
        at += size
    return found


@every_family
def test_ids_equal_those_of_the_library(family: Family, data: Path) -> None:
    """Encode equality on real texts."""
    wrong = [text for text in _texts(data) if family.tok.encode(text) != family.ids(text)]
    assert not wrong[:3], f"{len(wrong)} of {len(_texts(data))} texts"


@every_family
def test_streams_equal_the_whole(family: Family, data: Path) -> None:
    """Encoding in parts and decoding token by token give what the whole gives."""
    for seed, text in enumerate(_texts(data)):
        encoder = cf.StreamEncoder(family.tok, context_words=seed % 5)
        for part in _parts(text, seed):
            encoder.push(part)
        ids = family.tok.encode(text)
        assert encoder.ids == ids
        assert encoder.widened == 0
        decoder = cf.StreamDecoder(family.tok)
        shown = "".join(decoder.push(n) for n in ids) + decoder.flush()
        assert shown == family.tok.decode(ids)
        if family.lossless:
            assert shown == text or text != sayable(text)


@every_family
def test_settled_cuts_hold_for_the_text_that_follows(family: Family, data: Path) -> None:
    """What is settled in the first part of a real text stays in the whole."""
    for seed, text in enumerate(_texts(data)):
        at = random.Random(seed).randint(1, len(text) or 1)
        head, tail = text[:at], text[at:]
        if not family.restarts and not (family.tok.represents(head) and family.tok.represents(text)):
            continue
        cuts = family.tok.settled_cuts(head)
        for cut in {*cuts[-3:], *cuts[:1]}:
            assert family.reference.unsettling_suffix(head, cut, ["", tail]) is None, (head, cut, tail)


@every_family
def test_segments_of_real_texts_are_theirs(family: Family, data: Path) -> None:
    """Aligned with three other families, the segments are the text, short, and the same in any order."""
    group = [other.tok for other in DEFINED if other.name in ("llama3", "phi3_mini", "qwen2_5")]
    assert len(group) == 3
    for text in _texts(data)[::4]:
        ids = [n for n in family.tok.encode(text) if n not in family.controls]
        found = []
        for aligned in (group, group[::-1]):
            segmenter = cf.Segmenter(family.tok, aligned)
            segments = [segment for n in ids if (segment := segmenter.push(n)) is not None]
            while (segment := segmenter.finish()) is not None:
                segments.append(segment)
            found.append([(segment.text, tuple(segment.token_ids), segment.level) for segment in segments])
        assert found[0] == found[1]
        decoded = family.tok.decode(ids)
        assert "".join(part for part, _, _ in found[0]) == decoded
        longest = max((len(family.tok.token_bytes(n)) for n in ids), default=0)
        assert all(len(part.encode()) <= max(128, longest) for part, _, _ in found[0])
        # A text of unknown characters only leaves the dummy prefix, which says nothing, in a segment of its own.
        assert all(part for part, _, _ in found[0]) or not decoded
