from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="the command line's models need torch: pip install 'coolfusion[hf]'")

import coolfusion
from cli_parts import Loaded, call
from coolfusion.extras import install_command
from coolfusion.fusion import Fusion
from fusion_parts import toy, writer

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


@pytest.fixture
def loaded(monkeypatch) -> Loaded:
    def make(options):
        return Fusion([writer(toy(" cat"), lambda text: "" if text.endswith("cat") else " cat")], drafts=0)

    return Loaded(monkeypatch, make)


def stdin(monkeypatch, data, tty=False):
    file = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8")
    file.isatty = lambda: tty
    monkeypatch.setattr(sys, "stdin", file)


@pytest.mark.parametrize(
    "models",
    [
        ["a", "b", "c"],
        ["--models", "a", "b", "c"],
        ["--models", "a", "--models", "b", "--models", "c"],
        ["--models", "a", "--models", "b", "c"],
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_models_may_stand_alone_or_after_one_flag_or_several(loaded, capsys, models, last):
    others = ["--prompt", "a", "--stop", "x"]
    call(["generate", *([*others, *models] if last else [*models, *others])])
    assert loaded.calls[0][0] == ["a", "b", "c"]
    assert capsys.readouterr().out == " cat\n"


def test_small_models_take_one_thread_and_others_what_torch_takes(loaded, tmp_path, capsys):
    for name, size in (("small", 1000), ("large", (64 << 20) + 1)):
        (tmp_path / name).mkdir()
        with open(tmp_path / name / "model.safetensors", "wb") as file:
            file.truncate(size)
    small, large = str(tmp_path / "small"), str(tmp_path / "large")
    for names in ([small, small], [small, large], ["org/name"]):
        call(["generate", *names, "--prompt", "a"])
    assert [options["threads"] for _, options in loaded.calls] == [1, None, None]


def test_no_models_are_one_clear_line(loaded, capsys):
    call(["generate", "--prompt", "a"], code=2)
    assert capsys.readouterr().err.startswith("error: no models; expected directories or hub names")


@pytest.mark.parametrize("option", [[], ["--prompt", "-"]])
@pytest.mark.parametrize("data", [b"a big", b"a big\n", b"a big\r\n"])
def test_the_prompt_comes_from_standard_input(loaded, monkeypatch, capsys, option, data):
    stdin(monkeypatch, data)
    call(["generate", "m", "--json", *option])
    value = json.loads(capsys.readouterr().out)
    assert value["text"] == " cat"
    assert len(value["members"][0]["prompt_ids"]) == 1 + len("a big")


def test_one_line_break_is_left_out_and_no_more(loaded, monkeypatch, capsys):
    stdin(monkeypatch, b"a\n\n")
    call(["generate", "m", "--json"])
    assert len(json.loads(capsys.readouterr().out)["members"][0]["prompt_ids"]) == 1 + len("a\n")


def test_a_terminal_is_not_waited_for(loaded, monkeypatch, capsys):
    stdin(monkeypatch, b"", tty=True)
    call(["generate", "m"], code=2)
    assert "no prompt; expected --prompt TEXT" in capsys.readouterr().err
    assert loaded.calls == []


@pytest.mark.parametrize(
    ("arguments", "data", "message"),
    [
        (["--prompt", "a", "--prompts-file", "-"], b"", "exclude each other"),
        ([], b"a\xff", "standard input: byte 1 begins no character"),
        (["--prompts-file", "-"], b'"a"\n{"prompt": 3}', "-, line 2: {"),
        (["--prompts-file", "-"], b'"a"\n"b', "-, line 2: no JSON"),
        (["--prompts-file", "-"], b"\n", "-: no prompts"),
        (["--prompts-file", "./none"], b"", "./none: cannot be read"),
        (["--prompt", "a", "--max-new-tokens", "0"], b"", "max_new_tokens must be a whole number"),
        (["--prompt", "a", "--stop", ""], b"", "a stop string must be a text"),
    ],
)
def test_what_is_wrong_with_the_input_is_said_before_anything_is_loaded(
    loaded, monkeypatch, capsys, arguments, data, message
):
    stdin(monkeypatch, data)
    call(["generate", "m", *arguments], code=2)
    assert message in capsys.readouterr().err
    assert loaded.calls == []


def test_a_file_of_prompts_gives_a_line_for_each(loaded, monkeypatch, tmp_path, capsys):
    lines = '"a"\n\n{"prompt": "a big\\u2028", "id": 7}\n"a cat"'
    file = tmp_path / "prompts.jsonl"
    file.write_text(lines, encoding="utf-8")
    call(["generate", "m", "--prompts-file", str(file)])
    found = [json.loads(line) for line in capsys.readouterr().out.split("\n")[:-1]]
    assert [(each["prompt"], each["text"]) for each in found] == [("a", " cat"), ("a big\u2028", " cat"), ("a cat", "")]
    assert {each["finish_reason"] for each in found} == {"end"}
    stdin(monkeypatch, lines.encode())
    call(["generate", "m", "--prompts-file", "-", "--json"])
    whole = [json.loads(line) for line in capsys.readouterr().out.split("\n")[:-1]]
    assert [each["text"] for each in whole] == [each["text"] for each in found]
    assert all(each["steps"] for each in whole)


def test_an_error_of_one_prompt_keeps_the_other_texts(loaded, monkeypatch, capsys):
    stdin(monkeypatch, b'"a"\n"\\ud800"\n"a"')
    call(["generate", "m", "--prompts-file", "-"], code=3)
    out, err = capsys.readouterr()
    assert [json.loads(line)["text"] for line in out.splitlines()] == [" cat", "", " cat"]
    assert "error: prompt 1: " in err


def test_options_reach_the_library(loaded, monkeypatch, capsys):
    seen = []
    written = Fusion.stream
    monkeypatch.setattr(Fusion, "stream", lambda *args, **options: seen.append(options) or written(*args, **options))
    options = ["--executor", "processes", "--threads", "3", "--pass-timeout", "2.5", "--seed", "7", "--device", "cpu"]
    options += ["--rule", "mixture"]
    call(["generate", "m", "--prompt", "a", "--stop", "x", "--stop", "y", *options])
    expected = {
        "executor": "processes",
        "threads": 3,
        "pass_timeout": 2.5,
        "device": "cpu",
        "dtype": "auto",
        "rule": "mixture",
        "granularity": None,
        "prefix": None,
        "recipe": None,
    }
    assert loaded.calls == [(["m"], expected)]
    greedy = {"temperature": 0.0, "top_p": 1.0, "min_p": 0.0, "think": None}
    assert seen == [{"max_new_tokens": 64, "stop_strings": ["x", "y"], "seed": 7, **greedy}]


def test_version(capsys):
    call(["--version"])
    assert capsys.readouterr().out.strip() == coolfusion.__version__


@pytest.mark.slow
def test_generate_streams_text_to_stdout_and_all_else_to_stderr(models, capsys):
    call(["generate", "--models", *models, "--prompt", "Once upon a time", "--max-new-tokens", "8"])
    out, err = capsys.readouterr()
    assert out.startswith(" ")
    assert out.count("\n") == out.strip(" ").count("\n")
    assert "loading 3 models" in err
    assert "passes" in err


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_demo_shows_who_wrote_what(capsys):
    call(["demo", "--max-new-tokens", "6"])
    out = capsys.readouterr().out
    assert "Once upon a time" in out
    assert "all agree" in out and " | " in out
    assert "passes" in out


def blocking(packages, *arguments):
    """Runs the module in a Python that lacks packages."""
    code = (
        f"import sys\nfor name in {packages!r}: sys.modules[name] = None\n"
        f"import runpy; sys.argv = ['coolfusion', *{arguments!r}]; runpy.run_module('coolfusion', run_name='__main__')"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)


EXTRA = ("torch", "transformers", "safetensors", "numpy", "tokenizers", "huggingface_hub")


def test_help_version_and_describe_need_no_extra(models):
    for arguments in (["--help"], ["generate", "--help"], ["--version"], ["describe", models[0]]):
        done = blocking(EXTRA, *arguments)
        assert done.returncode == 0, done.stderr
        assert done.stdout
    assert json.loads(done.stdout)["vocab_size"] > 256


def test_loading_models_names_the_command_for_what_is_missing(models):
    done = blocking(EXTRA, "generate", models[0], "--prompt", "a")
    assert done.returncode == 2
    assert f"loading models needs torch and transformers: {install_command('hf')}" in done.stderr


def test_the_module_runs_and_says_what_is_missing():
    done = blocking(("typer",), "--version")
    assert done.returncode == 2
    assert "pip install typer" in done.stderr
    done = subprocess.run(
        [sys.executable, "-m", "coolfusion", "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, coolfusion.__version__)
