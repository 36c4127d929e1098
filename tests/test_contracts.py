"""What holds for the tree as a whole: names, imports, layers, stub, errors, sizes. Guards assert that they looked."""

from __future__ import annotations

import ast
import graphlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import coolfusion
from coolfusion import _core, errors

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "coolfusion"

# Floors of python/coolfusion, the lowest first. A module imports from its own floor and from those below; a name is a
# module or a folder.
FLOORS = (
    {"errors", "extras"},
    {"_core"},
    {"adapters", "chat", "records", "toy", "traces"},
    {"models"},
    {"members"},
    {"executors"},
    {"fusion"},
    {"evaluation"},
    {"embedded", "serve"},
    {"cli"},
    {"__init__", "__main__"},
)
HEAVY = {"torch", "transformers", "typer", "rich", "numpy", "tokenizers", "safetensors", "huggingface_hub"}
HEAVY |= {"fastapi", "uvicorn", "prometheus_client", "pydantic"}
# What coolfusion/__init__.py needs to be written; nobody is meant to use it from there.
MACHINERY = {"Any", "TYPE_CHECKING", "annotations", "import_module"}


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs this Python with `command`; its output is UTF-8."""
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        encoding="utf-8",
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONUTF8": "1", **environment},
    )


def modules() -> dict[str, ast.Module]:
    """Every module of python/coolfusion, by its name below the package."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = ast.parse(path.read_text(encoding="utf-8"))
    assert len(found) >= 15, sorted(found)
    return found


def imported(tree: ast.AST, known: set[str]) -> Iterator[str]:
    """The modules out of `known` that `tree` imports, at any depth; the package itself is `__init__`."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute here"
            inside = f"{node.module}.".removeprefix("coolfusion.")
            names = [
                f"{node.module}.{alias.name}" if f"{inside}{alias.name}" in known else str(node.module)
                for alias in node.names
            ]
        for name in names:
            package, _, inner = name.partition(".")
            if package == "coolfusion":
                assert not inner or inner in known, f"{name} is imported, but stands in no layer"
                yield inner or "__init__"


def test_modules_import_only_from_their_floor_and_below():
    """All imports count: those of type checkers, and late ones inside functions."""
    trees = modules()
    floors = {name: number for number, names in enumerate(FLOORS) for name in names}
    level = {name: floors[name.partition(".")[0]] for name in [*trees, "_core"]}
    pairs = {(name, other) for name, tree in trees.items() for other in imported(tree, set(level))}
    assert len(pairs) > 150
    assert sorted(pair for pair in pairs if level[pair[1]] > level[pair[0]]) == []


def test_no_import_is_part_of_a_circle():
    trees = modules()
    known = {*trees, "_core"}
    graph = {name: set(imported(tree, known)) - {name} for name, tree in trees.items()}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert set(order) >= set(trees) and order.index("errors") < order.index("fusion.engine") < order.index("cli")


def test_all_is_sorted_and_equals_the_visible_names():
    assert coolfusion.__all__ == sorted(set(coolfusion.__all__))
    assert len(coolfusion.__all__) >= 20
    # In a process of its own: here other tests have imported submodules and set names.
    code = (
        "import coolfusion as cf, json\n"
        "for name in cf.__all__: getattr(cf, name)\n"
        "print(json.dumps([n for n, v in vars(cf).items() if n[0] != '_' and type(v).__name__ != 'module']))"
    )
    done = run("-c", code)
    assert done.returncode == 0, done.stderr
    assert {*json.loads(done.stdout), "__version__"} - MACHINERY == set(coolfusion.__all__)
    assert set(coolfusion.__all__) <= set(dir(coolfusion))


def test_the_version_has_one_place():
    """Cargo.toml. The wheel's metadata come from there (test_wheel.py), and pages that name a version follow it."""
    version = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["package"]["version"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" not in project and project["dynamic"] == ["version"]
    assert coolfusion.__version__ == version
    assert re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.M) == [version]
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert headings[0] == "Unreleased" and headings[1].split()[0] == version


@pytest.mark.parametrize("use", ["pass", "import coolfusion.toy as t; t.tokenizer().word_boundaries('the cat sat')"])
def test_import_loads_nothing_heavy(use):
    done = run("-c", f"import coolfusion, json, sys\n{use}\nprint(json.dumps(sorted(sys.modules)))")
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    assert {"coolfusion", "coolfusion._core", "sys"} <= loaded
    assert HEAVY & {name.partition(".")[0] for name in loaded} == set()


def test_only_the_binding_names_pyo3():
    found = sorted((ROOT / "rust").rglob("*.rs"))
    naming = {path.relative_to(ROOT).as_posix() for path in found if "pyo3" in path.read_text("utf-8").lower()}
    assert len(found) > 20
    assert "rust/python/mod.rs" in naming
    assert sorted(name for name in naming if not name.startswith("rust/python/")) == []


def test_default_features_have_no_pyo3():
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))
    assert manifest["dependencies"]["pyo3"]["optional"] is True
    assert manifest["features"]["default"] == []
    assert manifest["features"]["python"] == ["dep:pyo3"]
    others = [table for key, table in manifest.items() if key.endswith("dependencies") and key != "dependencies"]
    assert not any("pyo3" in table for table in others)


def broad(node: ast.AST) -> bool:
    """Whether `node` catches everything: a bare `except`, `except Exception`, `suppress(BaseException)`."""
    if isinstance(node, ast.ExceptHandler):
        caught = [node.type] if node.type else []
        if not caught:
            return True
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
        caught = list(node.args)
    else:
        return False
    flat = [each for item in caught for each in (item.elts if isinstance(item, ast.Tuple) else [item])]
    return any(isinstance(each, ast.Name) and each.id in {"Exception", "BaseException"} for each in flat)


@pytest.mark.parametrize(
    "code", ["try: f()\nexcept: g()", "try: f()\nexcept (OSError, Exception): g()", "with suppress(BaseException): f()"]
)
def test_broad_handlers_are_recognised(code):
    assert any(broad(node) for node in ast.walk(ast.parse(code)))


def test_no_broad_exception_handlers():
    nodes = [(name, node) for name, tree in modules().items() for node in ast.walk(tree)]
    assert sum(isinstance(node, ast.ExceptHandler) for _, node in nodes) > 5
    found = [name for name, node in nodes if broad(node)]
    # A failing model ends its tasks and a failing task its text; both cross over to whoever waits for them. A process
    # or a thread must answer. What other libraries raise over the files of a model becomes an error of ours,
    # and so does what a selection rule of the user raises, or a chat template.
    assert Counter(found) == {
        "adapters.pretrained": 1,
        "chat.template": 1,
        "executors.processes": 3,
        "executors.threads": 1,
        "fusion.answers": 1,
        "fusion.engine": 2,
        "fusion.generation": 1,
        "fusion.request": 1,
        "fusion.rerank": 1,
        "fusion.selection.base": 1,
        "fusion.thinking": 1,
        "members.worker": 2,
        "models.transformers.rebuilt": 1,
        "models.transformers.weights": 1,
        "serve.runner": 1,
    }


def test_no_absolute_home_paths():
    kinds = {".py", ".pyi", ".rs", ".toml", ".md", ".json", ".jsonl", ".yml", ""}
    skipped = {"target", "dist", "node_modules", "__pycache__"}
    checked, found = 0, []
    for folder, inner, names in os.walk(ROOT):
        inner[:] = [name for name in inner if name not in skipped and (name == ".ci" or name[0] != ".")]
        for path in (Path(folder, name) for name in names):
            if path.suffix not in kinds or path.name.startswith(".git"):
                continue
            checked += 1
            text = path.read_text(encoding="utf-8", errors="replace")
            found += [
                f"{path.relative_to(ROOT)}: {hit}" for hit in re.findall(r"/(?:root|home|Users|work)/[\w.]+", text)
            ]
    assert checked > 60
    assert found == []


def test_embedded_models_are_small():
    files = [path for path in (PACKAGE / "embedded").rglob("*") if path.is_file()]
    assert sum(path.suffix == ".safetensors" for path in files) == 3
    assert sum(path.stat().st_size for path in files if "__pycache__" not in path.parts) < 6_000_000


def drawn_tree() -> dict[str, tuple[str | None, str | None]]:
    """Class -> (parent, further base) as drawn on top of errors.py."""
    path: list[str] = []
    tree = {}
    for line in str(errors.__doc__).splitlines():
        hit = re.match(r"    ((?:[│├└─ ]{4})*)(\w+(?:Error))\b(?:\s+\(also (\w+)\))?", line)
        if hit:
            depth = len(hit[1]) // 4
            del path[depth:]
            tree[hit[2]] = (path[-1] if path else None, hit[3])
            path.append(hit[2])
    return tree


def test_exception_tree_is_as_drawn():
    tree = drawn_tree()
    classes = {
        name: value for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)
    }
    assert classes.pop("CoolFusionWarning").__bases__ == (UserWarning,)
    assert len(tree) >= 10
    assert set(tree) == set(classes) == set(errors.__all__) - {"CoolFusionWarning"}
    for name, (parent, further) in tree.items():
        expected = [parent or "Exception", *([further] if further else [])]
        assert [base.__name__ for base in classes[name].__bases__] == expected, name
        assert classes[name].__module__ == "coolfusion.errors"


def test_every_error_is_public():
    assert errors.__all__ == sorted(errors.__all__)
    assert set(errors.__all__) <= set(coolfusion.__all__)


# The stub.


def documented() -> dict[str, ast.ClassDef | ast.FunctionDef]:
    """Public classes, methods and functions of the stub; special methods have the data model's own documentation."""
    found: dict[str, ast.ClassDef | ast.FunctionDef] = {}
    for node in ast.parse((PACKAGE / "_core.pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            found[node.name] = node
            found |= {
                f"{node.name}.{item.name}": item
                for item in node.body
                if isinstance(item, ast.FunctionDef) and not item.name.startswith("_")
            }
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            found[node.name] = node
    assert len(found) > 40
    return found


STUBBED = documented()


def at_run_time(name: str) -> object:
    """The object after `Class.method`, without calling properties."""
    first, _, rest = name.partition(".")
    return vars(getattr(_core, first))[rest] if rest else getattr(_core, first)


def test_the_stub_has_every_public_name_of_the_binary():
    names = {name for name in _core.__all__ if not name.startswith("_")}
    for name in list(names):
        if isinstance(getattr(_core, name), type):
            names |= {f"{name}.{inner}" for inner in vars(getattr(_core, name)) if not inner.startswith("_")}
    assert names == set(STUBBED)


def test_help_shows_the_first_lines_of_the_stub():
    """Each is a /// line over the pyclass, method or function in rust/python/."""
    shown = {name: (str(at_run_time(name).__doc__ or "").splitlines() or [None])[0] for name in STUBBED}
    assert shown == {name: str(ast.get_docstring(node)).splitlines()[0] for name, node in STUBBED.items()}


@pytest.mark.parametrize("name", sorted(STUBBED))
def test_stub_docstrings_are_complete(name):
    node = STUBBED[name]
    text = str(ast.get_docstring(node))
    sections = re.findall(r"^(Args|Returns|Raises|Complexity|Source|Example):$", text, re.MULTILINE)
    order = ["Args", "Returns", "Raises", "Complexity", "Source", "Example"]
    assert sections == [section for section in order if section in sections], "each once, in this order"
    assert "Example" in sections
    assert text.splitlines()[0].endswith("."), "one sentence on the first line"
    function = node if isinstance(node, ast.FunctionDef) else constructor(node)
    if function is None:
        return
    every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    given = [argument.arg for argument in every if argument.arg not in {"self", "cls"}]
    listed = re.search(r"^Args:\n((?:    .*\n|\n)+)", text + "\n", re.MULTILINE)
    assert re.findall(r"^    (\w+): ", listed[1] if listed else "", re.MULTILINE) == given
    if any(isinstance(each, ast.Name) and each.id == "property" for each in function.decorator_list):
        return
    assert "Complexity" in sections


def constructor(node: ast.ClassDef) -> ast.FunctionDef | None:
    return next((item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__new__"), None)


def test_the_benchmark_runs(tmp_path):
    for package in ("tokenizers", "numpy", "regex"):
        pytest.importorskip(package, reason="the benchmark needs the extra `bench`")
    out = tmp_path / "rows.jsonl"
    arguments = ("--quick", "--json", str(out), "--texts", "Python source", "Kana (made)")
    done = run("-m", "benches", *arguments, COOLFUSION_DATA="")
    assert done.returncode == 0, done.stdout + done.stderr
    head, *rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert {"cores", "python", "tokenizers", "coolfusion"} <= set(head["machine"])
    assert {"ash", "birch", "cedar"} <= {row["tokenizer"] for row in rows}
    assert len({row["operation"] for row in rows}) >= 8
    timed = [row for row in rows if row["first"]]
    assert {row["operation"] for row in timed} >= {"encode", "stream decode", "boundaries", "common boundaries"}
    assert all(row["checked"] > 0 for row in timed), "equality was asserted on some documents of every row"
