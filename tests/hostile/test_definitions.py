"""Spoiled definitions: each loads and works, or is an error of our own tree; never a panic, a crash or a hang."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import tokenizers

import coolfusion as cf
from hostile.mutations import SMALL, spoiled, text_of
from hostile.use import use

SPLIT = {"type": "Split", "behavior": "Isolated", "invert": False}


def load(definition: Any) -> cf.Tokenizer:
    return cf.Tokenizer._from_json(text_of(definition), "hostile")


def with_rule(rule: str) -> dict[str, Any]:
    """The small byte-level definition after one rule."""
    definition = SMALL["byte_level"]()
    definition["pre_tokenizer"]["pretokenizers"][0] = SPLIT | {"pattern": {"Regex": rule}}
    return definition


@pytest.mark.parametrize("name", SMALL)
def test_a_definition_with_one_spoiled_node_is_refused_or_works(name: str) -> None:
    """Every node in turn becomes null, a number, a string, a list, an object, or goes away."""
    use(load(SMALL[name]()))
    outcomes: Counter[str] = Counter()
    for what, definition in spoiled(SMALL[name]()):
        try:
            tokenizer = load(definition)
            use(tokenizer)
            outcomes["works"] += 1
        except cf.CoolFusionError as error:
            assert str(error), what
            outcomes["refused"] += 1
        except BaseException as error:  # a panic is no Exception
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    assert outcomes["works"] > 100
    assert outcomes["refused"] > 100


@pytest.mark.parametrize("ids", [[2**31 - 1], [2**32 - 1], [2**32], [-1], [1.0], [0.5], ["1"], [True], [None], [2**64]])
def test_an_absurd_id_is_refused_before_it_costs_memory(ids: list[Any]) -> None:
    """A table up to the largest id would take gigabytes: holes of more than a million ids are an error."""
    for place in ("vocab", "added"):
        definition = SMALL["byte_level"]()
        if place == "vocab":
            definition["model"]["vocab"]["zq"] = ids[0]
        else:
            definition["added_tokens"][1]["id"] = ids[0]
        with pytest.raises(cf.UnsupportedTokenizerError, match=r"id|entries"):
            load(definition)


def test_holes_are_unused_ids() -> None:
    definition = SMALL["byte_level"]()
    definition["model"]["vocab"]["zq"] = 5000
    tokenizer = load(definition)
    use(tokenizer)
    assert tokenizer.vocab_size == 5001
    assert {300, 4999} <= set(tokenizer.unused_ids)
    with pytest.raises(cf.UnknownTokenError, match="300"):
        tokenizer.decode([300])


def test_added_tokens_of_one_content_have_the_id_of_its_piece() -> None:
    """As in the library, which asks the model before it counts on."""
    definition = SMALL["byte_level"]()
    definition["added_tokens"] += [
        {
            "id": n,
            "content": "the",
            "special": False,
            "normalized": False,
            "lstrip": False,
            "rstrip": False,
            "single_word": False,
        }
        for n in (262, 263)
    ]
    tokenizer = load(definition)
    use(tokenizer)
    assert tokenizer.vocab_size == 262
    assert tokenizer.encode("the") == [257]
    assert len([note for note in tokenizer.describe()["notes"] if 'added token "the"' in note]) == 1


def test_two_entries_with_one_id_leave_one() -> None:
    definition = SMALL["byte_level"]()
    definition["model"]["vocab"]["zq"] = 65
    use(load(definition))


@pytest.mark.parametrize(
    "merges",
    [
        [["t", "zzz"]],
        [["zzz", "t"]],
        [["t", "x"]],
        ["t"],
        ["t h e"],
        [["t", "h", "e"]],
        [["t"]],
        [[]],
        [""],
        [[1, 2]],
        {"t": "h"},
        None,
        [["t", "h"]] * 3,
        [["", "t"]],
        [["t", ""]],
    ],
)
def test_merges_of_pieces_that_do_not_exist_are_refused_or_harmless(merges: Any) -> None:
    definition = SMALL["byte_level"]()
    definition["model"]["merges"] = merges
    try:
        use(load(definition))
    except cf.CoolFusionError as error:
        assert "merge" in str(error) or "tokenizers crate" in str(error)


@pytest.mark.parametrize("name", SMALL)
def test_an_empty_vocabulary_is_refused_or_says_nothing(name: str) -> None:
    definition = SMALL[name]()
    definition["added_tokens"] = []
    definition["model"]["vocab"] = [] if name == "unigram" else {}
    definition["model"]["merges"] = []
    try:
        tokenizer = load(definition)
    except cf.CoolFusionError:
        return
    assert tokenizer.encode("the cat") == []
    assert not tokenizer.represents("the cat")


@pytest.mark.parametrize(
    "rule",
    [
        "(",
        ")",
        "[",
        "[a",
        "a**?+*(",
        "*",
        "\\",
        "(?<=a",
        "\\p{Nothing}",
        "\\p{",
        "[z-a]",
        "a{3",
        "(?P<a>b)\\k<c>",
        "[[:nothing:]]",
    ],
)
def test_an_invalid_rule_is_refused_or_the_librarys(rule: str) -> None:
    try:
        use(load(with_rule(rule)))
    except cf.UnsupportedTokenizerError as error:
        assert "Oniguruma" in str(error)


@pytest.mark.parametrize("depth", [100, 100_000])
def test_deep_json_is_refused_without_overflowing_the_stack(depth: int) -> None:
    text = '{"model": {"type": "BPE", "vocab": {}, "merges": []}, "normalizer": ' + "[" * depth + "]" * depth + "}"
    try:
        cf.Tokenizer._from_json(text, "deep")
    except cf.CoolFusionError as error:
        assert "recursion" in str(error) or "normalizer" in str(error)


def test_deeply_nested_stages_are_refused_or_work() -> None:
    definition = SMALL["byte_level"]()
    for _ in range(50):
        definition["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [definition["pre_tokenizer"]]}
    with contextlib.suppress(cf.CoolFusionError):
        use(load(definition))


def test_dropout_is_refused_because_its_ids_are_drawn_by_chance() -> None:
    definition = SMALL["byte_level"]()
    definition["model"]["dropout"] = 0.1
    with pytest.raises(cf.UnsupportedTokenizerError, match=r"model\.dropout: 0\.1: ids would be drawn by chance"):
        load(definition)
    definition["model"]["dropout"] = 0.0
    use(load(definition))


# Rules that ask for absurd time or memory run in a process of their own, with 1 GiB and 10 seconds.
CHILD = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
import coolfusion as cf
try:
    tokenizer = cf.Tokenizer._from_json(sys.stdin.read(), "child")
    ids = tokenizer.encode("a" * 40 + "x the cat")
    print("works", len(ids))
except cf.CoolFusionError as error:
    print("refused", type(error).__name__)
"""


def outcome(definition: Any) -> str:
    """What a child process says of a definition: works, refused, or how it died."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", CHILD],
            input=text_of(definition),
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "hangs"
    if done.returncode:
        return f"dies ({done.returncode}): {done.stderr[-200:]}"
    return done.stdout.split()[0]


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param("(" * 10_000 + "a" + ")" * 10_000, id="groups 10,000 deep"),
        pytest.param("[" * 10_000 + "a" + "]" * 10_000, id="classes 10,000 deep"),
        pytest.param("(?=" * 5_000 + "a" + ")" * 5_000 + "|.", id="look-ahead 5,000 deep"),
        pytest.param("a{1000000000}|.", id="a class 10^9 times"),
        pytest.param("a{99999999999999}|.", id="10^14 times"),
        pytest.param("(?:ab){0,1000}|.", id="a group 1,000 times"),
        pytest.param("a*a*a*a*a*a*b|.", id="a polynomial"),
        pytest.param("(?:a+)+$|.", id="the library gives up"),
        pytest.param(r"(a+)+\b|.", id="the library gives up with an anchor"),
    ],
)
def test_an_absurd_rule_is_refused_or_works_in_bounded_time(rule: str) -> None:
    assert outcome(with_rule(rule)) in ("works", "refused")


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param("(?:ab){1000000000}|.", id="a group 10^9 times"),
        pytest.param("(?:(?:ab){1000}){1000}{1000}|.", id="1,000 times 1,000 times 1,000 times"),
        pytest.param("(?:ab|c){3000000}|.", id="a group 3 * 10^6 times"),
        pytest.param("|".join(f"a{n}" for n in range(50_000)), id="50,000 words"),
        pytest.param("(" * 1_000_000 + "a" + ")" * 1_000_000, id="groups 10^6 deep"),
        pytest.param("(?:a+)+b|.", id="catastrophic backtracking"),
        pytest.param("(?:a|a)*b|.", id="catastrophic alternatives"),
        pytest.param("(?=(?:a+)+b)a|.", id="catastrophic look-ahead"),
        pytest.param("(?=(?:a?){40}b)a|.", id="catastrophic options"),
        pytest.param("(?=" + "(?:a|b?)" * 40 + "c)a|.", id="catastrophic alternatives in a row"),
        pytest.param("a" + "?" * 60_000, id="60,000 repetitions of repetitions"),
        pytest.param("(?:){100000}{100000}a", id="nothing 10^10 times"),
        pytest.param("".join(f"[{chr(n)}]" for n in range(0x4E00, 0x4E00 + 13_000)), id="13,000 classes"),
        pytest.param("".join(map(chr, range(0x4E00, 0x4E00 + 20_000))), id="20,000 characters"),
        pytest.param("(?:" + "[a-z]?[a-k]?" * 600 + "x)|.", id="states of many places"),
        pytest.param("(?:a|b)*a" + "(?:a|b)" * 900 + "|.", id="2^900 states"),
    ],
)
def test_an_absurd_rule_does_not_take_the_machine(rule: str) -> None:
    assert outcome(with_rule(rule)) in ("works", "refused")


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ("a" * 70_000, "70000 bytes: expected at most 65536"),
        ("(?<=" + "(" * 300 + "a" + ")" * 301 + "b", "in one another: expected at most 200"),
        ("a" + "+" * 300, "in one another: expected at most 200"),
        ("(?<=a)(?:b{1000}){1000}", "written out: expected at most 100000"),
    ],
)
@pytest.mark.parametrize("part", ["pre_tokenizer", "normalizer", "decoder"])
def test_an_absurd_rule_is_an_error_wherever_it_stands(part: str, rule: str, what: str) -> None:
    """The library would take it; neither it nor coolfusion's own engine gets it."""
    definition = with_rule(rule)
    if part != "pre_tokenizer":
        definition = SMALL["byte_level"]()
        definition[part] = {"type": "Replace", "pattern": {"Regex": rule}, "content": "x"}
    with pytest.raises(cf.UnsupportedTokenizerError, match=f"{part}: pattern beginning .*{what}"):
        load(definition)


@pytest.mark.parametrize("rule", [r"(?=(?:\d{3})+(?!\d))", "(?=a)", "a*", r"\s*", "", "a|", r"\b"])
def test_a_rule_that_may_match_nothing_is_the_librarys(rule: str) -> None:
    tokenizer, library = load(with_rule(rule)), tokenizers.Tokenizer.from_str(text_of(with_rule(rule)))
    assert tokenizer.describe()["engine"].startswith("tokenizers crate")
    for text in ("123456", "aaab", "the cat  sat", "  a1 aa", "b"):
        assert tokenizer.encode(text) == library.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize(
    "rule", [r"\w+", r"[^\w]+", "[[:alpha:]]+", r"\pL+", "(?i:ss)", r"(?i:\p{Lu})", "a(?i)b|c", "a{2}?|b"]
)
def test_a_rule_that_oniguruma_reads_otherwise_is_the_librarys(rule: str) -> None:
    tokenizer, library = load(with_rule(rule)), tokenizers.Tokenizer.from_str(text_of(with_rule(rule)))
    assert tokenizer.describe()["engine"].startswith("tokenizers crate")
    for text in ("a\u200db½c", "ßss ac aC", "e\u0301 AaBb"):
        assert tokenizer.encode(text) == library.encode(text, add_special_tokens=False).ids


def test_the_child_process_tells_good_from_bad(tmp_path: Path) -> None:
    """Guard: the two tests above see a definition that works and one that is refused."""
    assert outcome(SMALL["byte_level"]()) == "works"
    assert outcome({"model": None}) == "refused"
    assert json.loads(text_of(SMALL["byte_level"]()))["model"]["type"] == "BPE"
