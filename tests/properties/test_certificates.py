"""Certificates under attack: the fuzz driver of `make fuzz` with a fixed seed and a small budget for each tokenizer."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

import coolfusion as cf
from fixtures import FAMILIES, Family, every_family
from fuzz.certificates import Attack, attack, shrink, shrunk_parts, unordered
from fuzz.definitions import attacked, drawn
from fuzz.texts import Dice

CUTS = 600


@every_family
def test_no_random_text_breaks_the_certificate(family: Family) -> None:
    """Settled cuts, restarts, streams and boundaries are as docs/definitions.md says, on its hard texts."""
    report = attack(family, CUTS, seed=4, seconds=float("inf"))
    assert not report.failures, "\n".join(report.failures)
    if family.certified:
        assert report.cuts >= CUTS
        assert report.judged > 0
        assert report.restarts > 0 or not family.restarts
    else:
        assert report.cuts == 0
    assert report.pushes > 0


def test_random_definitions_keep_their_word(tmp_path: Path) -> None:
    """What `describe()` claims of definitions that nobody ships holds too; `make fuzz-definitions` draws more."""
    dice = random.Random(11)
    certified = opaque = 0
    for number in range(80):
        definition = drawn(dice)
        report = attacked(definition, tmp_path / f"{number}.json", cuts=100, seed=number, seconds=5.0)
        if report is None:
            continue
        stages = {key: definition[key] for key in ("normalizer", "pre_tokenizer")}
        assert not report.failures, f"{report.failures}: {stages}"
        certified += report.cuts > 0
        opaque += report.certificate.startswith("none")
    assert certified > 10
    assert opaque > 10


def test_common_boundaries_stay_in_any_order() -> None:
    """Three tokenizers in three orders have the same common boundaries, and a longer text has them too."""
    proved = [family for family in FAMILIES if family.made and family.certified]
    assert len(proved) > 30
    assert unordered(proved, rounds=40, seed=4) == []


def test_boundaries_are_settled_cuts_beside_an_added_token_with_a_space() -> None:
    """Guard: ``the cat`` is no token of ``bthe c``, but the proof of settled cuts takes it for a piece."""
    tok = next(family.tok for family in FAMILIES if family.name == "made_chatglm")
    assert tok.settled_cuts("bthe c") == [1]
    assert tok.word_boundaries("bthe c") == []
    assert tok.word_boundaries("bthe x") == [4]
    assert tok.settled_cuts("bthe x") == [1, 2, 4]


def test_the_same_seed_draws_the_same_from_any_folder(tmp_path: Path) -> None:
    """Guard: made tokenizers lie in another folder in each process, and a failure must come back."""
    family = next(family for family in FAMILIES if family.name == "made_gpt2")
    drawn_texts = []
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir()
        path = folder / "made_gpt2.json"
        path.write_text(json.dumps(family.definition), encoding="utf-8")
        dice = Dice(cf.Tokenizer.from_file(path), ["<s>"], seed=4)
        drawn_texts.append([dice.text() for _ in range(20)])
    assert drawn_texts[0] == drawn_texts[1]


class _Boastful(Attack):
    """Claims that every position is settled."""

    def cuts(self, text: str) -> list[int]:
        return list(range(1, len(text)))


def test_a_false_claim_is_found_and_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guard: the driver finds a certificate that is wrong and leaves a small counterexample."""
    monkeypatch.setattr("fuzz.certificates.Attack", _Boastful)
    gpt2 = next(family for family in FAMILIES if family.name == "made_gpt2")
    report = attack(gpt2, CUTS, seed=4, seconds=60)
    assert len(report.failures) == 1
    assert "settled cut" in report.failures[0]


def test_shrinking_leaves_what_is_needed() -> None:
    assert shrink("xxaxx", "yyby", lambda text, more: "bad" if "a" in text and "b" in more else None) == ("a", "b")
    strays = lambda parts: "bad" if "".join(parts).count("a") > 1 else None  # noqa: E731
    assert "".join(shrunk_parts(["xa", "", "bca", "d"], strays)) == "aa"
