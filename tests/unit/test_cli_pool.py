"""`coolfusion pool`, and recipes on the command line."""

from __future__ import annotations

import json
import random

import pytest

pytest.importorskip("torch", reason="the command line's models need torch: pip install 'coolfusion[hf]'")

from cli_parts import Loaded, call
from coolfusion.embedded import folders
from coolfusion.fusion import Fusion
from coolfusion.fusion.recipe import Recipe, read_recipe
from coolfusion.fusion.selection import as_rule, spec_of
from fusion_parts import toy, writer

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.usefixtures("one_thread")]
MIXTURE = spec_of(as_rule("mixture"))
SPELLED = {"tac": "cat", "god": "dog", "nus": "sun", "yks": "sky"}
DICE = random.Random(1)
STORIES = [" ".join(DICE.choices(["ab", "bc", "cab", "abba"], k=20)) for _ in range(12)]


def knows(text):
    if text.endswith(" =") or " = " in text:
        key, _, written = text.rpartition(" =")
        wanted = f" {SPELLED[key[-3:]]}\n\n"
        return wanted[len(written) :] if wanted.startswith(written) else ""
    return next((each[len(text) :] for each in STORIES if each.startswith(text)), "")


@pytest.fixture
def loaded(monkeypatch):
    """Two scripted members, one of which knows the stories."""

    def make(options):
        recipe = options.get("recipe")
        rule = "paper" if recipe is None else recipe.rule
        return Fusion([writer(toy(), knows, name="knows"), writer(toy(), lambda text: "", name="ends")], rule=rule)

    return Loaded(monkeypatch, make)


@pytest.fixture
def stories(tmp_path):
    path = tmp_path / "stories.txt"
    path.write_text("\n".join(STORIES), encoding="utf-8")
    return path


def test_a_check_prints_tables_and_a_verdict_and_resumes(loaded, stories, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    records, out = tmp_path / "records.jsonl", tmp_path / "recipe.json"
    arguments = ["pool", "a", "b", "--data", stories, "--limit", 10, "--records", records, "--out", out]
    for _ in range(2):
        call(arguments)
        shown = capsys.readouterr().out
        for text in (
            "knows",
            "ends",
            "oracle",
            "equal answers",
            "all wrong",
            "paper",
            "confident",
            "Fusing is not shown",
        ):
            assert text in shown
        assert "The recipe is knows alone." in shown and "below the best member: ends" in shown
    assert len(records.read_text().splitlines()) == 11
    recipe = read_recipe(out)
    assert recipe.members == ("knows",) and recipe.measured["limit"] == 10 and len(recipe.measured["data"]) == 64
    call([*arguments, "--seed", 2], code=2)
    assert "another set-up: seed was 1 and is 2" in capsys.readouterr().err


def test_a_check_for_machines_is_one_json_value(loaded, stories, capsys):
    call(["pool", "a", "b", "--data", stories, "--limit", 6, "--json"])
    value = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))
    assert {"report", "verdict", "recipe"} == set(value)
    assert value["report"]["members"][0]["name"] == "knows" and value["verdict"]["fuse"] is False
    assert read_recipe(value["recipe"]).members == ("knows",)
    assert {line["name"] for line in value["report"]["rules"]} >= {"paper", "mixture", "confident"}


def test_a_task_with_written_answers_is_checked(loaded, tmp_path, capsys):
    data, records = tmp_path / "words.jsonl", tmp_path / "records.jsonl"
    lines = [{"context": f"{key} =", "completion": f" {word}"} for key, word in SPELLED.items()]
    data.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    arguments = ["pool", "a", "b", "--task", "unscramble", "--data", data, "--max-new-tokens", 6, "--records", records]
    for _ in range(2):
        call([*arguments, "--json"])
        value = json.loads(capsys.readouterr().out)
        shares = {each["name"]: (each["development"], each["report"]) for each in value["report"]["members"]}
        assert set(shares) == {"knows", "ends"} and all(each in (1.0, None) for each in shares["knows"])
    assert len(records.read_text().splitlines()) == 1 + 4 * 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a"], "1 models; expected two or more"),
        (["a", "b"], "no data; expected --data FILE"),
        (["a", "b", "--data", "absent"], "absent: cannot be read"),
        (["a", "b", "--data", "{data}", "--task", "sums"], "task 'sums' is unknown"),
        (["a", "b", "--data", "{data}", "--task", "bits_per_byte"], "task bits_per_byte has no written answers"),
        (["a", "b", "--data", "{data}", "--part", "1:0"], "part '1:0' is none"),
        (["a", "b", "--data", "{data}", "--granularity", "line"], "granularity 'line' is unknown; expected 'word' or"),
    ],
)
def test_a_wrong_check_is_refused_before_models_are_loaded(loaded, stories, capsys, arguments, message):
    call(["pool", *(each.format(data=stories) for each in arguments)], code=2)
    assert message in capsys.readouterr().err
    assert loaded.calls == []


def test_generate_takes_a_recipe(loaded, tmp_path, capsys):
    path = tmp_path / "r.json"
    Recipe(("knows", "ends"), MIXTURE, rerank=True).write(path)
    call(["generate", "a", "b", "--prompt", STORIES[0][:10], "--recipe", path, "--json", "--max-new-tokens", "4"])
    [(_, options)] = loaded.calls
    assert options["recipe"] == read_recipe(path) and options["rule"] is None
    value = json.loads(capsys.readouterr().out)
    assert len(value["continuations"]) == 3 and value["steps"][0]["weights"]
    path.write_text("{}", encoding="utf-8")
    call(["generate", "a", "b", "--prompt", "x", "--recipe", path], code=2)
    assert f"error: {path}: recipe.format is missing" in capsys.readouterr().err
    assert len(loaded.calls) == 1


def test_eval_gives_the_recipe_a_row(loaded, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    data, path, records = tmp_path / "w.jsonl", tmp_path / "r.json", tmp_path / "records.jsonl"
    data.write_text(json.dumps({"context": "tac =", "completion": " cat"}) + "\n", encoding="utf-8")
    Recipe(("knows", "ends"), MIXTURE).write(path)
    arguments = ["eval", "unscramble", "--models", "a", "b", "--data", data, "--out", records, "--recipe", path]
    call(arguments)
    shown = capsys.readouterr().out
    assert "fused: recipe" in shown and "rerank: recipe" in shown and "fused: confident" not in shown
    Recipe(("knows", "ends"), MIXTURE, rerank=True).write(path)
    call(arguments, code=2)
    assert "another set-up: recipe was" in capsys.readouterr().err


@pytest.mark.slow
def test_a_recipe_of_the_embedded_models_is_used(tmp_path, capsys, monkeypatch):
    pytest.importorskip("transformers", reason="runs the embedded models")
    monkeypatch.setenv("COLUMNS", "160")
    lines = [f"Once upon a time there was a little girl named {name} who loved to sing and dance." for name in NAMES]
    data, out = tmp_path / "t.txt", tmp_path / "recipe.json"
    data.write_text("\n".join(lines), encoding="utf-8")
    models = folders()[:2]
    call(["pool", *models, "--data", data, "--out", out, "--threads", 1, "--limit", 8])
    recipe = read_recipe(out)
    used = [folder for folder in models if folder.name in recipe.members]
    capsys.readouterr()
    call(["generate", *used, "--recipe", out, "--prompt", "Once upon a time", "--max-new-tokens", 4, "--threads", 1])
    assert capsys.readouterr().out.strip()


NAMES = ("Lily", "Anna", "Mia", "Zoe", "Rosa")
