"""The Rust tree: floors, circles, and module docs that say in, out and imports. Guards assert that they looked."""

from __future__ import annotations

import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

RUST = Path(__file__).parents[1] / "rust"

# Floors of rust/, the lowest first. A file imports from its own floor and from those below; a name is a module or a
# folder.
# Text goes up this list: files are read by `formats` into a `spec`, `load` builds backends from it.
FLOORS = (
    "error",
    "tokens",
    "util",
    "regex",
    "vocabulary",
    "spec",
    "normalizers",
    "formats",
    "pre_tokenizers",
    "models",
    "stability",
    "backends",
    "tokenizer",
    "boundaries",
    "alignment",
    "streams",
    "load",
    "python",
)
# Backends that use no other one: all but the tree of ways that two of them share.
BACKENDS = ("byte_exact", "normalizing", "sentencepiece", "longest_match", "hf_tokenizers")


# Unit tests stand at the end of a file, or in a file of their own that `mod` compiles for tests only.
TESTS = r"#\[cfg\(test\)\]\s+(?:#\[path = \"(\w+)\.rs\"\]\s+)?(?:pub(?:\(\w+\))? )?mod (\w+)"


def files() -> dict[str, Path]:
    """Every file of rust/ but unit tests, by its module path; `lib.rs` is left out because it names all modules."""
    found, tests = {}, set()
    for path in sorted(RUST.rglob("*.rs")):
        parts = path.relative_to(RUST).with_suffix("").parts
        module = "::".join(parts[:-1] if parts[-1] == "mod" else parts)
        found[module] = path
        for beside, inside in re.findall(TESTS + ";", path.read_text("utf-8")):
            tests.add("::".join([*parts[:-1], beside or inside]))
    found = {module: path for module, path in found.items() if module not in tests | {"lib"}}
    assert len(found) > 100, sorted(found)
    return found


def leaves(tree: str) -> Iterator[str]:
    """The paths of one use tree: `a::{b, c::{d, e}}` gives `a::b`, `a::c::d`, `a::c::e`."""
    grouped = re.match(r"([\w:]*?)(?:::)?\{(.*)\}$", tree.strip(), re.DOTALL)
    if not grouped:
        yield re.sub(r"\s+as\s+\w+|\s", "", tree)
        return
    depth, part = 0, ""
    for letter in f"{grouped[2]},":
        if letter == "," and depth == 0:
            if part.strip():
                yield from leaves(f"{grouped[1]}::{part.strip()}")
            part = ""
            continue
        depth += (letter == "{") - (letter == "}")
        part += letter


def imported(module: str, source: str, known: set[str]) -> set[str]:
    """The modules of `known` that `source`, the text of `module`, names outside of its unit tests."""
    source = re.split(TESTS + r" \{", re.sub(r"//[^\n]*", "", source), maxsplit=1)[0]
    uses = re.compile(r"\buse\s+([^;]+);")
    paths = [path for tree in uses.findall(source) for path in leaves(tree)]
    paths += re.findall(r"\b(?:crate|super)(?:::\w+)+", uses.sub("", source))
    found = set()
    for path in paths:
        first, *rest = path.split("::")
        if first == "crate":
            parts = rest
        elif first in ("super", "self"):
            above = module.split("::")
            while first == "super":
                above = above[:-1]
                first, *rest = rest if rest else ("",)
            parts = above + ([first] if first not in ("self", "") else []) + rest
        else:
            continue
        while parts and "::".join(parts) not in known:
            parts = parts[:-1]
        if parts:
            found.add("::".join(parts))
    return found - {module}


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """What each file of rust/ imports."""
    found = files()
    graph = {module: imported(module, path.read_text("utf-8"), set(found)) for module, path in found.items()}
    assert sum(map(len, graph.values())) > 300
    return graph


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("use crate::a::{b::One, c::{Two as Three, d}};", {"a::b", "a::c", "a::c::d"}),
        ("use super::b::One;", {"a::b"}),
        ("use super::super::e::{f, Six};", {"e", "e::f"}),
        ("fn f() { crate::e::f::call() }", {"e::f"}),
        ("// use crate::e;\nuse std::fmt;\n#[cfg(test)]\nmod tests { use crate::e; }", set()),
    ],
)
def test_imports_are_recognised(source, expected):
    known = {"a", "a::b", "a::c", "a::c::d", "a::here", "e", "e::f"}
    assert imported("a::here", source, known) == expected


def test_every_file_has_a_floor():
    assert {module.partition("::")[0] for module in files()} == set(FLOORS)


def test_files_import_from_their_floor_and_below(imports):
    floor = {name: number for number, name in enumerate(FLOORS)}
    above = [
        f"{module} imports {other}"
        for module, others in imports.items()
        for other in others
        if floor[other.partition("::")[0]] > floor[module.partition("::")[0]]
    ]
    assert above == []


def test_no_import_is_part_of_a_circle(imports):
    graphlib.TopologicalSorter(imports).prepare()


def test_a_circle_is_found(imports):
    lowest = next(module for module in imports["tokenizer"] if module.startswith("backends"))
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter({**imports, lowest: imports[lowest] | {"tokenizer"}}).prepare()


def test_no_backend_imports_another_one(imports):
    found = [
        f"{module} imports {other}"
        for module, others in imports.items()
        for mine in BACKENDS
        for theirs in BACKENDS
        for other in others
        if f"{module}::".startswith(f"backends::{mine}::")
        and f"{other}::".startswith(f"backends::{theirs}::")
        and mine != theirs
    ]
    assert found == []
    assert any(module.startswith("backends::byte_exact") for module in imports)


def test_folders_say_in_out_and_imports():
    folders = sorted(RUST.glob("*/mod.rs"))
    assert {path.parent.name for path in folders} == {name for name in FLOORS if (RUST / name).is_dir()}
    for path in folders:
        docs = " ".join(line[3:].strip() for line in path.read_text("utf-8").splitlines() if line.startswith("//!"))
        missing = [word for word in ("In: ", "Out: ", "May import: ", "Read ") if word not in docs]
        assert missing == [], f"{path.relative_to(RUST)} does not say {missing}"


def test_the_crate_docs_draw_the_floors():
    docs = [line for line in (RUST / "lib.rs").read_text("utf-8").splitlines() if line.startswith("//!")]
    picture = "\n".join(docs).partition("```text")[2].partition("```")[0].lower()
    assert set(re.findall(r"\b[a-z_]+\b", picture)) >= set(FLOORS) - {"error", "tokens", "util", "python"}


def functions(source: str) -> Iterator[tuple[str, int]]:
    """Every function of formatted `source` with its lines, from `fn` to the brace at the same depth."""
    lines = source.splitlines()
    for start, line in enumerate(lines):
        found = re.match(r"( *)(?:pub(?:\(\w+\))? )?(?:const )?fn (\w+)", line)
        if found and not line.endswith((";", "}")):
            end = next(at for at in range(start + 1, len(lines)) if lines[at] == f"{found[1]}}}")
            yield found[2], end - start + 1


def test_functions_are_short():
    found = [
        (length, f"{path.relative_to(RUST)}: {name}")
        for path in RUST.rglob("*.rs")
        for name, length in functions(path.read_text("utf-8"))
    ]
    assert len(found) > 1000
    assert sorted((length, name) for length, name in found if length > 60) == []


def test_long_lines_are_published_patterns():
    """A pattern is one line, so that it can be compared with the file that it was read from."""
    others = [RUST.parent / "tests", RUST.parent / "benches" / "core"]
    rust = [path for folder in (RUST, *others) for path in folder.rglob("*.rs") if "target" not in path.parts]
    lines = [(path.name, line) for path in rust for line in path.read_text("utf-8").splitlines() if len(line) > 120]
    assert len(lines) > 5
    assert [(name, line) for name, line in lines if not re.search(r'\br#*"', line)] == []
