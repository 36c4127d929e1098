"""Checks the licences of all crates and Python packages that the library is built and run with.

    python release/licences.py            checks, and writes THIRD-PARTY-LICENSES.txt, which is part of the wheel
    python release/licences.py --check    exits with 1 if that file is not what the crates say

A licence that is not allowed is an error that names the package. Crates are those of Cargo.lock, as cargo reads their
manifests. Python packages are those that the extras install, as their metadata say in this environment.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "THIRD-PARTY-LICENSES.txt"
EXTRAS = ("hf", "serve", "eval")

# Licences under which code may be part of the binary, or be called by the library.
ALLOWED = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0",
    "CNRI-Python", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "Unicode-3.0", "Unlicense", "Zlib",
}  # fmt: skip
# Not in the binary: a file of the package that is changed has to be published, which binds no one who imports it.
ONLY_PYTHON = {"MPL-2.0", "PSF-2.0", "CNRI-Python"}
# Older metadata say it in words.
WORDS = {
    "apache 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "psfl": "PSF-2.0",
    "python software foundation license": "PSF-2.0",
}
# Packages that are allowed for a reason of their own, by a pattern of their names.
REASONS = {
    r"chardet": "LGPL-2.1: lm-eval imports it through other packages; nothing of it is part of this library",
    r"nvidia-.*|cuda-toolkit": "proprietary: only the CUDA build of torch installs them; nothing here holds them",
    r"word2number": "MIT, with its whole text in the field of the licence",
}


def allowed(expression: str, *, linked: bool = False) -> bool:
    """Whether an SPDX expression can be met with allowed licences; `/` is an old way to write OR."""
    tokens = re.findall(r"[()]|[\w.+-]+(?: WITH [\w.-]+)?", re.sub(r"\s*/\s*", " OR ", expression))
    names = ALLOWED - ONLY_PYTHON if linked else ALLOWED

    def either() -> bool:
        value = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            value = both() or value
        return value

    def both() -> bool:
        value = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            value = one() and value
        return value

    def one() -> bool:
        if not tokens:
            return False
        token = tokens.pop(0)
        if token != "(":
            return token in names
        value = either()
        return bool(tokens) and tokens.pop(0) == ")" and value

    value = either()
    return value and not tokens


def crates() -> list[dict[str, Any]]:
    """Returns cargo's description of each crate of Cargo.lock but our own, with `linked` for those in the binary."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--features", "python"]
    found = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout)
    nodes = {node["id"]: node for node in found["resolve"]["nodes"]}
    macros = {each["id"] for each in found["packages"] if any("proc-macro" in one["kind"] for one in each["targets"])}
    linked, todo = set(), [found["resolve"]["root"]]
    while todo:
        here = todo.pop()
        if here not in linked and here not in macros:
            linked.add(here)
            normal = [dep for dep in nodes[here]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
            todo += [dep["pkg"] for dep in normal]
    others = [each for each in found["packages"] if each["id"] != found["resolve"]["root"]]
    return [
        each | {"linked": each["id"] in linked} for each in sorted(others, key=lambda it: (it["name"], it["version"]))
    ]


def crate_problems(found: list[dict[str, Any]]) -> list[str]:
    """Returns a line for each crate whose licence is not allowed."""
    return [
        f"crate {each['name']} {each['version']}: {each['license']!r} is not allowed"
        for each in found
        if not allowed(each["license"] or "", linked=each["linked"])
    ]


def page(found: list[dict[str, Any]]) -> str:
    """Returns the page: a table of all crates, then each text of a licence with the crates that hold it."""
    out = ["Crates of Cargo.lock. Those with a * are part of the binary, and their texts follow.", ""]
    out += [f"{'*' if each['linked'] else ' '} {each['name']} {each['version']}: {each['license']}" for each in found]
    holders: dict[str, list[str]] = {}
    for each in found:
        for text in sorted(texts(Path(each["manifest_path"]).parent)) if each["linked"] else ():
            holders.setdefault(text, []).append(f"{each['name']} {each['version']}")
    for text, names in sorted(holders.items(), key=lambda item: item[1]):
        out += ["", "=" * 100, ", ".join(names), "=" * 100, "", text]
    return "\n".join(out) + "\n"


def texts(folder: Path) -> set[str]:
    """Returns the texts of licences in a crate, and in a library that it carries in a folder."""
    name = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|UNLICENSE)([-_.].*)?", re.IGNORECASE)
    files = [path for path in (*folder.glob("*"), *folder.glob("*/*")) if path.is_file() and name.fullmatch(path.name)]
    read = [path.read_text(encoding="utf-8", errors="replace") for path in files if path.suffix != ".rs"]
    return {"\n".join(line.rstrip() for line in text.strip().splitlines()) for text in read}


def requirements() -> list[str]:
    """Returns what the plain package and its extras ask for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(each for extra in EXTRAS for each in project["optional-dependencies"][extra])]
    return [each for each in asked if Requirement(each).name != "coolfusion"]


def python_packages(asked: list[str]) -> dict[str, Distribution | None]:
    """Returns the packages that these requirements install, by name; None where one is not installed here."""
    found: dict[str, Distribution | None] = {}
    done: set[tuple[str, frozenset[str]]] = set()
    todo = [Requirement(each) for each in asked]
    while todo:
        wanted = todo.pop()
        name, extras = re.sub(r"[-_.]+", "-", wanted.name).lower(), frozenset(wanted.extras)
        if (name, extras) in done:
            continue
        done.add((name, extras))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            found[name] = None
            continue
        further = [Requirement(each) for each in distribution(name).requires or []]
        settings = [{"extra": extra} for extra in (extras or {""})]
        todo += [each for each in further if not each.marker or any(map(each.marker.evaluate, settings))]
    return found


def licences(package: Distribution) -> Iterator[str]:
    """Yields the ways in which a package says its licence, the most exact first."""
    metadata = package.metadata
    said = [metadata.get("License-Expression"), metadata.get("License")]
    said += [each.rpartition("::")[2] for each in metadata.get_all("Classifier") or [] if each.startswith("License ::")]
    yield from (
        WORDS.get(each.strip().lower(), each.strip()) for each in said if each and each.strip() != "Dual License"
    )


def python_problems(packages: dict[str, Distribution | None]) -> list[str]:
    """Returns a line for each package that is not installed, or whose licence is not allowed."""
    problems = []
    for name, package in sorted(packages.items()):
        if any(re.fullmatch(pattern, name) for pattern in REASONS):
            continue
        if package is None:
            problems.append(f"package {name}: is not installed here, so its licence is unknown")
        elif not any(map(allowed, licences(package))):
            problems.append(f"package {name} {package.version}: {list(licences(package))} is not allowed")
    return problems


def main() -> None:
    """Checks everything, and writes or compares the page."""
    found = crates()
    packages = python_packages(requirements())
    problems = crate_problems(found) + python_problems(packages)
    if problems:
        raise SystemExit("\n".join(problems))
    text = page(found)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        raise SystemExit(f"{PAGE.name} is not what the crates say: run `make licences`")
    print(f"{len(found)} crates and {len(packages)} Python packages have allowed licences")


if __name__ == "__main__":
    main()
