from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

typer = pytest.importorskip("typer", reason="the command line needs typer: pip install 'coolfusion[hf]'")
pytest.importorskip("torch", reason="the command line's models need torch: pip install 'coolfusion[hf]'")

import coolfusion  # noqa: E402 - behind the skip
from coolfusion.cli import run, spread_models  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("one_thread"),
]  # transformers warns of its own affairs
EMBEDDED = "embedded"


@pytest.fixture(scope="module")
def models() -> list[str]:
    from importlib.resources import files

    root = files("coolfusion") / EMBEDDED
    found = sorted(str(path) for path in root.iterdir() if (path / "config.json").is_file())
    assert len(found) == 3, "the package embeds three models"
    return found


def call(arguments, code=0):
    with pytest.raises(SystemExit) as caught:
        run(arguments)
    assert (caught.value.code or 0) == code


def test_models_may_stand_behind_one_flag_or_several():
    spread = ["generate", "--models", "a", "--models", "b", "--prompt", "c"]
    assert spread_models(["generate", "--models", "a", "b", "--prompt", "c"]) == spread
    assert spread_models(["generate", "--models", "a", "--models", "b", "--prompt", "c"]) == spread


def test_version(capsys):
    call(["--version"])
    assert capsys.readouterr().out.strip() == coolfusion.__version__


def test_generate_streams_text_to_stdout_and_all_else_to_stderr(models, capsys):
    call(["generate", "--models", *models, "--prompt", "Once upon a time", "--max-new-tokens", "8"])
    out, err = capsys.readouterr()
    assert out.startswith(" ")
    assert out.count("\n") == out.strip(" ").count("\n")
    assert "loading 3 models" in err
    assert "passes" in err


def test_generate_prints_all_that_is_known_as_json(models, capsys):
    call(
        ["generate", "--models", *models, "--prompt", "Once upon a time", "--max-new-tokens", "6", "--json", "--rerank"]
    )
    value = json.loads(capsys.readouterr().out)
    assert value["finish_reason"] in ("end", "length")
    assert len(value["continuations"]) == 4
    assert "".join(step["text"] for step in value["steps"]) == value["continuations"][0]["text"]


def test_stop_strings_stop(models, capsys):
    call(["generate", "--models", models[0], "--prompt", "Once upon a time", "--max-new-tokens", "20", "--stop", " "])
    assert capsys.readouterr().out == "\n"


def test_a_name_that_is_no_directory_and_not_on_the_hub_is_one_clear_line():
    done = subprocess.run(
        [sys.executable, "-m", "coolfusion", "generate", "--models", "no-such-model", "--prompt", "a"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("error: no-such-model: no local directory")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "--models", "./none", "--prompt", "a"], "./none: no such directory"),
        (["describe", "./none"], "none"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(arguments, message, capsys):
    call(arguments, code=2)
    err = capsys.readouterr().err
    assert err.splitlines()[-1].startswith("error: ")
    assert message in err
    assert "Traceback" not in err


def test_describe_prints_what_the_probe_found_as_json(models, capsys):
    call(["describe", models[0]])
    assert json.loads(capsys.readouterr().out)


def test_demo_shows_who_wrote_what(capsys):
    call(["demo", "--max-new-tokens", "6"])
    out = capsys.readouterr().out
    assert "Once upon a time" in out
    assert "all agree" in out and " | " in out
    assert "passes" in out


def test_the_module_runs_and_says_what_is_missing():
    blocked = (
        "import sys; sys.modules['typer'] = None\n"
        "import runpy; sys.argv = ['coolfusion', '--version']; runpy.run_module('coolfusion', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'coolfusion[hf]'" in done.stderr
    done = subprocess.run(
        [sys.executable, "-m", "coolfusion", "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, coolfusion.__version__)
