"""What a release is made of: the workflow of wheels, the container, and the commands that the pages show."""

from __future__ import annotations

import fnmatch
import re
import shlex
import tomllib

import pytest

from test_docs import PAGES, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTAINER = (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def jobs():
    yaml = pytest.importorskip("yaml", reason="the workflow is read with PyYAML")
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "wheels.yml").read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    return workflow["jobs"]


def test_wheels_are_built_and_tested_on_the_same_platforms(jobs):
    built = {each["platform"]: each["runner"] for each in jobs["wheel"]["strategy"]["matrix"]["include"]}
    assert set(built) == {"linux-x86_64", "linux-aarch64", "macos-arm64", "macos-x86_64", "windows-x64"}
    matrix = jobs["test"]["strategy"]["matrix"]
    assert {each["platform"]: each["runner"] for each in matrix["include"]} == built
    assert set(matrix["platform"]) == set(built)
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert PROJECT["project"]["requires-python"] == f">={matrix['python'][0]}"
    assert jobs["test"]["needs"] == "wheel" and set(jobs["publish"]["needs"]) == {"test", "sources"}


def test_actions_are_pinned_and_only_publishing_may_write(jobs):
    used = [step["uses"] for job in jobs.values() for step in job["steps"] if "uses" in step]
    assert len(used) > 8
    assert [each for each in used if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", each)] == []
    assert {name: job["permissions"] for name, job in jobs.items() if "permissions" in job} == {
        "publish": {"id-token": "write"}
    }
    assert jobs["publish"]["if"] == "startsWith(github.ref, 'refs/tags/v')"
    checkouts = [step for job in jobs.values() for step in job["steps"] if "checkout" in step.get("uses", "")]
    assert checkouts and all(step["with"] == {"persist-credentials": False} for step in checkouts)


def test_the_container_runs_as_no_root_and_says_if_it_is_well():
    last = CONTAINER[CONTAINER.rindex("\nFROM ") :]
    assert int(re.findall(r"^USER (\d+)$", last, re.M)[-1]) > 0
    assert "HEALTHCHECK" in last and "/health" in last
    assert '\nENTRYPOINT ["coolfusion", "serve", "--host", "0.0.0.0"]\n' in last
    assert "--without-key" not in CONTAINER and "API_KEY=" not in last
    rust = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["package"]["rust-version"]
    used = re.search(r"^FROM rust:(\d+)\.(\d+)", CONTAINER, re.M)
    assert used and (int(used[1]), int(used[2])) >= tuple(map(int, rust.split(".")))


def test_the_container_gets_what_a_build_reads_and_no_more():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = [line[1:] for line in lines if line.startswith("!")]
    assert "*" in lines
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))
    files = {manifest["package"]["readme"], PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]}
    files |= {manifest["lib"]["path"], PROJECT["tool"]["maturin"]["python-source"]}
    files |= {target["path"] for target in (*manifest.get("bench", ()), *manifest.get("test", ()))}
    files |= {"Cargo.toml", "Cargo.lock", "pyproject.toml"}
    assert [name for name in files if not any(name == each or name.startswith(f"{each}/") for each in kept)] == []
    assert not any(fnmatch.fnmatch(name, each) for name in (".git", "docs", "target", "site", ".venv") for each in kept)


def shown() -> list[tuple[str, str]]:
    """Commands of coolfusion in the blocks of all pages, with the page and the line."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.finditer(r"^```(?:sh|text|console)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            for command in re.finditer(r"(?:^|\$ |\| |&& )coolfusion ((?:[^\n\\]|\\\n)*)", block[1], re.MULTILINE):
                words = re.split(r"\s(?:#|\||&&|&|<|>)(?:\s|$)", command[1].replace("\\\n", " "))[0]
                number = text.count("\n", 0, block.start(1) + command.start()) + 1
                found.append((f"{page.relative_to(ROOT).as_posix()}:{number}", words))
    return found


def test_every_command_that_a_page_shows_is_one_of_the_program():
    typer = pytest.importorskip("typer", reason="the command line needs typer")
    from coolfusion.cli.app import app

    commands = typer.main.get_command(app).commands
    seen = shown()
    assert len(seen) > 30 and len({page.split(":")[0] for page, _ in seen}) > 6
    wrong = []
    for place, text in seen:
        name, *words = shlex.split(text) or [""]
        if name.startswith("-"):
            continue
        options = {option for each in commands[name].params for option in each.opts} if name in commands else set()
        used = [word.partition("=")[0] for word in words if word.startswith("--")]
        passed_on = name == "lm-eval"  # the harness's own options
        wrong += [f"{place}: {name} {used}"] * (
            name not in commands or not (passed_on or {*used, "--help"} - {"--help"} <= options)
        )
    assert wrong == []
