"""What holds for the tree as a whole: names, imports, layers, stub, errors, sizes. Every guard asserts that it looked."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import coolfusion
from coolfusion import _core, errors

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "coolfusion"
STUB = ast.parse((PACKAGE / "_core.pyi").read_text(encoding="utf-8"))

# Layers of python/coolfusion, the lowest first: a module imports only from lines above its own. `fusion` and `rerank`
# share a line because `Fusion.generate` imports `rerank` when it is asked for; an import inside a function counts too,
# unless LAZY names it.
LAYERS = (
    {"errors"},
    {"_core"},
    {"token_table", "toy", "records", "stops", "embedded"},
    {"adapters", "scoring"},
    {"__init__", "models.base", "selection"},
    {"models.scripted", "models.huggingface"},
    {"models.__init__", "models.loading", "models.probe", "member"},
    {"schedule"},
    {"generation"},
    {"fusion"},
    {"rerank"},
    {"cli"},
    {"__main__"},
)
# (importer, imported): imports upwards, inside a function or for type checkers only, with what each is for.
LAZY = {
    ("__init__", "fusion"): "names of the loop, loaded when they are first asked for",
    ("__init__", "records"): "names of the loop, loaded when they are first asked for",
    ("fusion", "rerank"): "generate(rerank=True) is a method of Fusion, and works on one",
    ("generation", "fusion"): "the type of an argument",
    ("models.huggingface", "models.probe"): "the probe runs the runner that asks for it",
    ("models.probe", "models.huggingface"): "the probe runs the runner that asks for it",
}
HEAVY = {"torch", "transformers", "typer", "rich", "numpy", "tokenizers", "safetensors", "huggingface_hub"}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def sources() -> dict[str, ast.Module]:
    """Every module of python/coolfusion by its name below the package."""
    found = {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}
    assert len(found) >= 15, f"found only {sorted(found)}"
    return found


def imports(tree: ast.AST, known: set[str]) -> Iterator[str]:
    """The modules of this package that `tree` imports, at any depth of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute here"
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            if name == "coolfusion":
                if isinstance(node, ast.Import) or any(
                    f"coolfusion.{alias.name}".partition(".")[2] not in known for alias in node.names
                ):
                    yield "__init__"
            elif name.startswith("coolfusion."):
                inner = name.removeprefix("coolfusion.")
                if inner in known:
                    yield inner
                elif f"{inner}.__init__" in known:
                    yield f"{inner}.__init__"


def run_python(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=False)


def test_all_is_sorted_and_equals_the_visible_names():
    assert coolfusion.__all__ == sorted(coolfusion.__all__)
    assert len(coolfusion.__all__) == len(set(coolfusion.__all__)) >= 20
    # In a process of its own: here other tests have already imported submodules, which are then attributes too.
    code = "import coolfusion, json; print(json.dumps([n for n in dir(coolfusion)]))"
    visible = json.loads(run_python(code).stdout)
    own = {name for name in visible if not name.startswith("_")} | {"__version__"}
    # What the module itself needs to be written: not names that anyone is meant to use from here.
    machinery = {"annotations", "import_module", "TYPE_CHECKING", "Any"}
    modules = {path.stem for path in PACKAGE.glob("*.py")} | {"_core", "models"}
    assert own - machinery - modules == set(coolfusion.__all__)
    for name in coolfusion.__all__:
        assert getattr(coolfusion, name) is not None


def test_every_error_of_the_tree_is_public():
    assert set(errors.__all__) <= set(coolfusion.__all__)
    assert errors.__all__ == sorted(errors.__all__)


@pytest.mark.parametrize("use", ["", "coolfusion.toy.tokenizer().word_boundaries('the cat sat')"])
def test_import_loads_nothing_heavy(use):
    code = f"import coolfusion, coolfusion.toy, json, sys\n{use}\nprint(json.dumps(sorted(sys.modules)))"
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    assert {"coolfusion", "coolfusion._core", "sys"} <= loaded
    assert not HEAVY & {name.partition(".")[0] for name in loaded}


def test_modules_import_only_from_below():
    trees = sources()
    placed = {name: level for level, names in enumerate(LAYERS) for name in names}
    # A package with an __init__ only to find its data (`embedded`) stands in the table under its own name.
    here = {name.removesuffix(".__init__") if name == "embedded.__init__" else name: tree for name, tree in trees.items()}
    assert set(here) | {"_core"} == set(placed), "the table of layers and the tree differ"
    count, wrong, used = 0, [], set()
    for name, tree in here.items():
        for imported in imports(tree, set(placed)):
            count += 1
            if (name, imported) in LAZY:
                used.add((name, imported))
            elif placed[imported] >= placed[name]:
                wrong.append(f"{name} imports {imported}")
    assert count > 30
    assert not wrong
    top = {(name, imported) for name, tree in here.items() for imported in imports(only_top(tree), set(placed))}
    assert not {pair for pair in top & set(LAZY) if placed[pair[1]] >= placed[pair[0]]} - TWO_WAY


# A pair that is one thing in two files: `probe` names `huggingface`, which imports `probe` inside a function only.
TWO_WAY = {("models.probe", "models.huggingface")}


def only_top(tree: ast.Module) -> ast.Module:
    """The statements that run at import: neither inside a function nor under TYPE_CHECKING."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node):
            return None

        def visit_AsyncFunctionDef(self, node):
            return None

        def visit_If(self, node):
            return None if ast.unparse(node.test) == "TYPE_CHECKING" else node

    return Strip().visit(ast.parse(ast.unparse(tree)))
