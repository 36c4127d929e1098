"""Licences: the table of crates is that of Cargo.lock, and everything in it and in the extras is allowed."""

from __future__ import annotations

import importlib.util
import re
import runpy
import tomllib
from email.message import Message
from types import SimpleNamespace

import pytest

from test_docs import ROOT

CHECK = runpy.run_path(str(ROOT / "release" / "licences.py"))
CRATE = re.compile(r"^([* ]) (\S+) (\S+): (.+)$", re.MULTILINE)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("GPL-3.0-only/MIT", True),
        ("MIT AND GPL-3.0-only", False),
        ("(MIT OR GPL-3.0-only) AND Zlib", True),
        ("MIT OR (GPL-3.0-only AND Zlib)", True),
        ("GPL-3.0-only AND (MIT OR Zlib)", False),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0-only WITH LLVM-exception", False),
        ("(MIT", False),
        ("MIT Zlib", False),
        ("", False),
    ],
)
def test_an_expression_is_read(expression, expected):
    assert CHECK["allowed"](expression) is expected


def test_the_binary_has_no_licence_that_asks_for_sources():
    assert CHECK["allowed"]("MPL-2.0") and not CHECK["allowed"]("MPL-2.0", linked=True)
    crate = {"name": "a", "version": "1", "license": "MPL-2.0", "linked": True}
    assert CHECK["crate_problems"]([crate]) == ["crate a 1: 'MPL-2.0' is not allowed"]
    assert CHECK["crate_problems"]([crate | {"linked": False}]) == []


def test_the_table_is_that_of_the_lock_file():
    crates = CRATE.findall(CHECK["PAGE"].read_text(encoding="utf-8").partition("=" * 100)[0])
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))["package"]
    locked = sorted((each["name"], each["version"]) for each in lock if "source" in each)
    assert sorted((name, version) for _, name, version, _ in crates) == locked, "run `make licences`"
    assert [name for star, name, _, said in crates if not CHECK["allowed"](said, linked=star == "*")] == []
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))
    assert set(manifest["dependencies"]) <= {name for star, name, *_ in crates if star == "*"}
    development = set(manifest["dev-dependencies"]) - {"onig"}  # which is part of `tokenizers` too
    assert not development & {name for star, name, *_ in crates if star == "*"}


def test_each_crate_of_the_binary_has_its_text():
    table, *rest = CHECK["PAGE"].read_text(encoding="utf-8").split("=" * 100)
    holders = set(", ".join(head.strip() for head in rest[::2]).split(", "))
    linked = {f"{name} {version}" for star, name, version, _ in CRATE.findall(table) if star == "*"}
    # r-efi is for UEFI alone, where the library does not run, and brings no text.
    assert {each for each in linked - holders if not each.startswith("r-efi ")} == set()


def test_python_packages_are_allowed():
    for package in ("torch", "transformers", "fastapi", "lm_eval"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed, so the licences of what it needs cannot be read")
    packages = CHECK["python_packages"](CHECK["requirements"]())
    assert {"torch", "typer", "starlette", "lm-eval", "chardet"} <= set(packages)
    assert CHECK["python_problems"](packages) == []


def test_a_package_that_is_not_allowed_or_not_there_is_named():
    metadata = Message()
    metadata["License"] = "GPLv3"
    metadata["Classifier"] = "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"
    package = SimpleNamespace(version="1.0", metadata=metadata)
    found = CHECK["python_problems"]({"a": package, "b": None, "chardet": package})
    assert [line.split(":")[0] for line in found] == ["package a 1.0", "package b"]
