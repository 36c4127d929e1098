"""Documentation runs: the python blocks of README and docs, and the examples of all docstrings, the stub's included."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import coolfusion
from coolfusion import toy

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "coolfusion"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = sorted(
    ".".join(("coolfusion", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if path.name != "__main__.py"
)


class Block(NamedTuple):
    """A python block: the line of the page on which its code begins, and the code."""

    line: int
    code: str

    def absent(self) -> list[str]:
        """The packages of a first line `# needs: a, b` that are not installed."""
        needs = re.match(r"# needs: (.+)\n", self.code)
        names = needs[1].replace(" ", "").split(",") if needs else []
        return [name for name in names if importlib.util.find_spec(name) is None]


def blocks(page: Path) -> list[Block]:
    """The blocks of a page that are marked ```python; a block that is not closed is an error."""
    found: list[Block] = []
    inside: list[str] | None = None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if inside is None and line.startswith("```"):
            inside, kind, start = [], line[3:].strip(), number + 1
        elif inside is not None and line.rstrip() == "```":
            if kind == "python":
                found.append(Block(start, "\n".join(inside) + "\n"))
            inside = None
        elif inside is not None:
            inside.append(line)
    assert inside is None, f"{page.name}: the block from line {start} is not closed"
    return found


# Blocks of the tutorial need the files and the server of the commands between them: test_tutorial.py runs both.
WITH_BLOCKS = [page for page in PAGES if blocks(page) and page.name != "tutorial.md"]


def test_links_lead_to_files():
    """Relative links of all pages, CONTRIBUTING included; fragments must be headings of the page."""
    links = []
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http", "#")):
                path, _, fragment = target.partition("#")
                links.append((page.name, target, page.parent / path, fragment))
    assert len(links) > 50
    assert [(page, target) for page, target, path, _ in links if not path.exists()] == []
    assert [
        (page, target)
        for page, target, path, fragment in links
        if fragment and f"# {fragment.replace('-', ' ')}" not in path.read_text(encoding="utf-8").lower()
    ] == []


def test_every_decision_is_in_their_list_with_its_title():
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"^\| \[(\d+)\]\((\S+)\) \| (.+) \|$", (folder / "README.md").read_text("utf-8"), re.M)
    titles = {page.name: page.read_text("utf-8").splitlines()[0] for page in folder.glob("[0-9]*.md")}
    assert {name: f"# {number}. {title}" for number, name, title in listed} == titles
    assert [int(number) for number, *_ in listed] == list(range(1, len(titles) + 1))


def test_every_invariant_names_code_and_tests_that_exist():
    rows = re.findall(r"^\| I(\d+) \|(.*)\|(.*)\|(.*)\|$", (ROOT / "docs" / "invariants.md").read_text("utf-8"), re.M)
    assert [int(number) for number, *_ in rows] == list(range(1, len(rows) + 1))
    for number, _, code, tests in rows:
        for column, bases in ((code, ("rust", "python/coolfusion", ".")), (tests, ("tests", "rust", "."))):
            names = re.findall(r"`([^`]+)`", column)
            assert names, f"I{number}"
            assert [name for name in names if not any((ROOT / base / name).exists() for base in bases)] == []


PARTS = ["Statement", "Idea", "Example", "Argument", "Tests that attack it", "Code", "Limits"]


def test_every_proof_has_all_parts_and_names_code_and_tests_that_exist():
    """A test is named as `path::function`; each claim is a row of the list, with its invariants."""
    folder = ROOT / "docs" / "proofs"
    rows = re.findall(
        r"^\| .+ \| \[(\S+)\]\((\S+)\) \| (I.+) \| (`.+`) \| (`.+`) \|$",
        (folder / "README.md").read_text("utf-8"),
        re.M,
    )
    pages = sorted(page for page in folder.glob("*.md") if page.name != "README.md")
    assert sorted(name for _, name, *_ in rows) == [page.name for page in pages] and len(pages) > 20
    assert [name for title, name, *_ in rows if f"{title}.md" != name] == []
    known = set(re.findall(r"^\| (I\d+) \|", (ROOT / "docs" / "invariants.md").read_text("utf-8"), re.M))
    assert {number for row in rows for number in row[2].split(", ")} <= known
    for page in pages:
        text = page.read_text("utf-8")
        assert re.findall(r"^## (.+)$", text, re.M) == PARTS, page.name
        assert len(text.split("## Idea\n")[1].split("## Example")[0].strip().splitlines()) == 2, page.name
        assert [line for line in text.splitlines() if len(line) > 120] == [], page.name
        named = re.findall(r"`((?:rust|python|tests)/[\w./]+)(?:::(\w+))?`", text)
        named += [
            (path, "") for row in rows if row[1] == page.name for path in re.findall(r"`([^`]+)`", "".join(row[3:]))
        ]
        assert [path for path, _ in named if not (ROOT / path).exists()] == [], page.name
        functions = [(path, name) for path, name in named if name]
        assert functions, page.name
        missed = [
            name for path, name in functions if not re.search(rf"(?:def|fn) {name}\(", (ROOT / path).read_text("utf-8"))
        ]
        assert missed == [], page.name


def test_the_api_reference_is_what_the_docstrings_say():
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "api.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    public = set(coolfusion.__all__) - {"__version__"}
    assert sorted(name for name in public if f"### `coolfusion.{name}`" not in page) == []


def test_blocks_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```sh\nls\n```\n\n```python\n# needs: no_such_package, ast\nx = 1\n```\n", encoding="utf-8")
    assert blocks(page) == [Block(6, "# needs: no_such_package, ast\nx = 1\n")]
    assert blocks(page)[0].absent() == ["no_such_package"]


def test_pages_hold_examples():
    assert PAGES[0].name == "README.md"
    assert {"concepts.md", "your-own-rule.md", "prefix-tokens.md"} <= {page.name for page in PAGES}
    assert len(blocks(PAGES[0])) >= 2
    assert any(not block.absent() for block in blocks(PAGES[0]))


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_python_blocks_run(page, tmp_path, monkeypatch):
    """All blocks of a page in order, in one namespace and an empty folder."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    skipped = []
    for block in blocks(page):
        if absent := block.absent():
            skipped.append(f"line {block.line} needs {', '.join(absent)}")
            continue
        # Blank lines before the code, so that a traceback names the line of the page.
        exec(compile("\n" * (block.line - 1) + block.code, str(page), "exec"), namespace)
    if skipped:
        pytest.skip(f"{page.name}: not all blocks were run: {'; '.join(skipped)}")


def run_examples(test: doctest.DocTest) -> doctest.TestResults:
    """Runs the examples; what they print is compared but for `...` and the class path of an exception's name."""
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    results = runner.run(test, out=report.append)
    assert results.failed == 0, "".join(report)
    return results


@pytest.mark.parametrize("name", MODULES)
def test_docstrings_of_modules_run(name):
    for package in missing(name):
        pytest.skip(f"{name} needs {package}")
    module = importlib.import_module(name)
    tests = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    ran = sum(run_examples(test).attempted for test in tests)
    assert ran == sum(len(test.examples) for test in tests)
    assert ran > 0 or name not in {"coolfusion", "coolfusion.toy"}, "the examples of this module were not found"


def missing(name: str) -> list[str]:
    """What the command line and the harness's model need beside this package."""
    needs = ("typer", "rich") if name.startswith("coolfusion.cli") else ()
    needs += ("lm_eval",) if name == "coolfusion.evaluation.harness" else ()
    return [package for package in needs if importlib.util.find_spec(package) is None]


def stub_docstrings() -> Iterator[tuple[str, str, int]]:
    """(name, docstring, line) of everything in the stub that has one."""
    source = (PACKAGE / "_core.pyi").read_text(encoding="utf-8")

    def walk(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, str, int]]:
        for item in node.body:
            if isinstance(item, ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(item)
                if text and ">>>" in text:
                    yield f"{prefix}{item.name}", text, item.lineno
                if isinstance(item, ast.ClassDef):
                    yield from walk(item, f"{item.name}.")

    yield from walk(ast.parse(source), "")


STUB = list(stub_docstrings())


def test_the_stub_has_examples():
    assert len(STUB) > 35


@pytest.mark.parametrize(("name", "text", "line"), STUB, ids=[name for name, _, _ in STUB])
def test_examples_of_the_stub_run(name, text, line):
    globs = {"cf": coolfusion, "toy": toy}
    test = doctest.DocTestParser().get_doctest(text, globs, name, "_core.pyi", line)
    assert run_examples(test).attempted == len(test.examples) > 0
