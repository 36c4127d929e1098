"""Recipes: files that say how a pool is fused, what they set, and what is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolfusion.errors import ArgumentError
from coolfusion.fusion import Fusion
from coolfusion.fusion.recipe import FORMAT, Recipe, read_recipe
from coolfusion.fusion.selection import as_rule, spec_of
from rule_specs import specs

MIXTURE = spec_of(as_rule("mixture"))
GOOD = {"format": FORMAT, "version": 1, "members": [{"name": "ash"}, {"name": "birch"}], "rule": MIXTURE}


@given(
    st.lists(st.text(min_size=1), min_size=1, max_size=3),
    specs(),
    st.sampled_from(["aligned", "shortest"]),
    st.sampled_from(["word", "pre_token", "line"]),
    st.sampled_from(["always", "likelier"]),
    st.booleans(),
)
def test_a_recipe_comes_back_as_it_was(members, rule, alignment, granularity, prefix, rerank):
    recipe = Recipe(tuple(members), rule, alignment, granularity, prefix, rerank, {"items": 3})
    assert read_recipe(json.loads(json.dumps(recipe.as_dict(), allow_nan=False))) == recipe


def test_a_file_is_written_and_read(tmp_path):
    recipe = Recipe(("a", "é"), MIXTURE, "shortest", "phrase", "likelier", True, {"data": "0f"})
    recipe.write(tmp_path / "r.json")
    assert read_recipe(tmp_path / "r.json") == read_recipe(str(tmp_path / "r.json")) == recipe
    assert read_recipe(recipe) is recipe
    with pytest.raises(ArgumentError, match="cannot be written"):
        recipe.write(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, "recipe.format is 'x'"),
        ({"version": 2}, "recipe.version is 2; expected 1"),
        ({"version": True}, "recipe.version is True; expected 1"),
        ({"members": "ash"}, "recipe.members is 'ash'; expected a list"),
        ({"members": []}, "recipe.members is empty"),
        ({"members": ["ash"]}, r"recipe.members\[0\] is 'ash'; expected an object"),
        ({"members": [{"name": "a"}, {"name": 3}]}, r"recipe.members\[1\].name is 3; expected a text"),
        ({"members": [{"name": "a", "path": "b"}]}, r"recipe.members\[0\].path is unknown"),
        ({"rule": "mixture"}, "recipe.rule is 'mixture'; expected an object"),
        ({"rule": {"kind": "power_mean", "exponent": "x"}}, "recipe.rule.exponent is 'x'"),
        ({"alignment": "word"}, "recipe.alignment is 'word'"),
        ({"granularity": "letter"}, "recipe.granularity is 'letter'"),
        ({"prefix": "never"}, "recipe.prefix is 'never'"),
        ({"rerank": "no"}, "recipe.rerank is 'no'"),
        ({"measured": 1}, "recipe.measured is 1"),
        ({"margin": 1.0}, "recipe.margin is unknown"),
    ],
)
def test_a_wrong_recipe_names_the_file_and_the_field(tmp_path, change, message):
    with pytest.raises(ArgumentError, match=f"^{message}"):
        read_recipe({**GOOD, **change})
    path = tmp_path / "r.json"
    path.write_text(json.dumps({**GOOD, **change}), encoding="utf-8")
    with pytest.raises(ArgumentError, match=f"^.*r.json: {message}"):
        read_recipe(path)


@pytest.mark.parametrize("name", ["format", "version", "members", "rule"])
def test_a_field_that_is_missing_is_named(name):
    with pytest.raises(ArgumentError, match=f"recipe.{name} is missing"):
        read_recipe({key: value for key, value in GOOD.items() if key != name})


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000], ids=["empty", "open", "bytes", "deep"])
def test_a_file_without_json_is_refused(tmp_path, data):
    (tmp_path / "r.json").write_bytes(data)
    with pytest.raises(ArgumentError, match=r"r\.json: no JSON"):
        read_recipe(tmp_path / "r.json")


def test_other_sources_are_refused(tmp_path):
    with pytest.raises(ArgumentError, match="absent: cannot be read"):
        read_recipe(tmp_path / "absent")
    with pytest.raises(ArgumentError, match="recipe must be a file"):
        read_recipe(3)


def test_a_recipe_is_checked_before_anything_is_loaded(tmp_path):
    folder = tmp_path / "elsewhere"
    for names, options, message in (
        ([folder / "ash"], {}, r"recipe.members are \['ash', 'birch'\], and the models are \['ash'\]"),
        ([folder / "ash", folder / "cedar"], {}, r"the models are \['ash', 'cedar'\]"),
        ([folder / "ash", folder / "birch"], {"rule": "paper"}, "rule is given, and the recipe sets it"),
        ([folder / "ash", folder / "birch"], {"alignment": "aligned"}, "alignment is given, and the recipe sets it"),
        ([folder / "ash", folder / "birch"], {"granularity": "word"}, "granularity is given, and the recipe sets it"),
        ([folder / "ash", folder / "birch"], {"prefix": "always"}, "prefix is given, and the recipe sets it"),
    ):
        with pytest.raises(ArgumentError, match=message):
            Fusion.from_pretrained(names, recipe=GOOD, **options)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_fusion_is_made_by_a_recipe():
    pytest.importorskip("torch", reason="runs the embedded models")
    pytest.importorskip("transformers", reason="runs the embedded models")
    from coolfusion.embedded import folders

    names, options = folders()[1::-1], {"device": "cpu", "dtype": "float64", "threads": 1}
    recipe = {**GOOD, "alignment": "shortest", "granularity": "pre_token", "prefix": "likelier", "rerank": True}
    with Fusion.from_pretrained(names, recipe=recipe, **options) as made:
        assert (made.alignment, made.granularity, spec_of(made.rule)) == ("shortest", "pre_token", MIXTURE)
        assert made.engine.prefix == "likelier"
        found = made.generate("Once upon a time", 4)
        plain = made.generate("Once upon a time", 4, rerank=False)
        assert len(found.continuations) == 3 and plain.continuations == ()
    with Fusion.from_pretrained(
        names, rule="mixture", alignment="shortest", granularity="pre_token", prefix="likelier", **options
    ) as given:
        assert given.generate("Once upon a time", 4).text == plain.text
        assert given.generate("Once upon a time", 4).continuations == ()
