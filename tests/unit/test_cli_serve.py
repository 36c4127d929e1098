"""`coolfusion serve` hands its options on, and refuses wrong ones before anything is loaded."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

import coolfusion.serve
from cli_parts import Loaded, call
from coolfusion.fusion import Fusion
from serve_parts import pair


@pytest.fixture
def loaded(monkeypatch):
    return Loaded(monkeypatch, lambda options: Fusion(pair(), drafts=0))


@pytest.fixture
def ran(monkeypatch):
    """The settings with which the server was run; the last entry of `ends` says if Ctrl-C ended it."""
    calls, ends = [], [False]

    def serve(fusion, settings, tell):
        calls.append(settings)
        tell("http://127.0.0.1:8000")
        return ends[-1]

    monkeypatch.setattr(coolfusion.serve, "serve", serve)
    return calls, ends


def test_options_reach_the_server_and_the_fusion(loaded, ran, monkeypatch, capsys):
    monkeypatch.setenv("COOLFUSION_API_KEY", "from-variable")
    options = ["--port", "9000", "--host", "0.0.0.0", "--name", "pool", "--max-running", "3", "--max-waiting", "0"]
    limits = ["--max-body-bytes", "10", "--timeout", "5", "--shutdown-timeout", "2", "--max-cached-tokens", "99"]
    how = ["--rule", "paper", "--granularity", "line", "--dtype", "float32", "--device", "cpu", "--threads", "2"]
    call(["serve", "--models", "a", "b", *options, *limits, *how])
    [settings] = ran[0]
    assert (settings.host, settings.port, settings.name) == ("0.0.0.0", 9000, "pool")
    assert settings.api_key == "from-variable" and settings.max_waiting == 0 and settings.max_body_bytes == 10
    assert (settings.timeout, settings.shutdown_timeout) == (5.0, 2.0)
    [(names, given)] = loaded.calls
    assert names == ["a", "b"]
    wanted = {"max_concurrent_requests": 3, "max_cached_tokens": 99, "rule": "paper", "granularity": "line"}
    wanted |= {"dtype": "float32", "device": "cpu", "threads": 2, "executor": None}
    assert {name: given[name] for name in wanted} == wanted
    told = capsys.readouterr()
    assert "pool listens on http://127.0.0.1:8000/v1" in told.err
    assert told.out == "" and "from-variable" not in told.err


def test_ctrl_c_is_130(loaded, ran):
    call(["serve", "a"])
    ran[1].append(True)
    call(["serve", "a"], code=130)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", "0.0.0.0"], "is open to other machines and no API key is set"),
        (["--rule", "no"], "rule 'no' is unknown"),
        (["--granularity", "page"], "granularity 'page' is unknown"),
        (["--recipe", "missing.json"], "missing.json"),
        (["--timeout", "0"], "timeout must be"),
        (["--max-waiting", "-1"], "max_waiting must be"),
        (["--api-key", "two words"], "the API key must be"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_loaded(loaded, ran, monkeypatch, capsys, options, message):
    monkeypatch.delenv("COOLFUSION_API_KEY", raising=False)
    call(["serve", "a", *options], code=2)
    assert message in capsys.readouterr().err
    assert loaded.calls == [] and ran[0] == []


def test_a_port_that_is_taken_is_one_clear_line(loaded, capsys):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        call(["serve", "a", "--port", port], code=2)
    assert f"127.0.0.1:{port} cannot be listened on" in capsys.readouterr().err


def test_a_recipe_sets_how_texts_are_written(loaded, ran, tmp_path):
    from coolfusion.fusion.recipe import Recipe

    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(Recipe(("a",), {"kind": "power_mean"}).as_dict()))
    call(["serve", "a", "--recipe", file])
    assert loaded.calls[0][1]["recipe"].members == ("a",)
