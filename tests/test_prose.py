"""Habits of prose are counted, and each folder has a ceiling that may only fall.

Counted are sentences that begin with What, Who or That, words that cost readers time, and sentences of more than 25
words. They are counted in pages, docstrings and comments, those of Rust included. Code, tables, headings and
quotations are left out. ``python tests/test_prose.py`` shows the counts, lists the places in a folder that is named,
and lowers the ceilings to the counts.
"""

from __future__ import annotations

import ast
import itertools
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
CEILINGS = Path(__file__).with_name("prose_ceilings.json")
GENERATED = {"docs/api.md", "docs/performance.md"}
MOST_WORDS = 25
OPENERS = re.compile(r"^\W*(What|Who|That)\b")
WORDS = re.compile(
    r"(?<![-\w])(behind|of late|for ever|so many|by itself|all the same|nobody|somebody|anew)(?![-\w])", re.IGNORECASE
)


class Finding(NamedTuple):
    """A habit that was found."""

    file: str
    kind: str
    sentence: str


def of_markdown(text: str) -> Iterator[str]:
    """Yields the paragraphs and list items of a page."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = ["" if re.match(r"\s*(\||#)", line) else line for line in text.splitlines()]
    yield from re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", "\n".join(lines))


def of_docstring(text: str) -> Iterator[str]:
    """Yields the paragraphs of a docstring and the items of its sections; examples and drawings are left out."""
    text = re.sub(r"::\n\n(    .*\n|\n)+", "\n\n", text + "\n")
    text = re.sub(r"^Example:(?: .*)?\n(?:    .*\n|\n)*", "", text, flags=re.MULTILINE)
    for paragraph in re.split(r"\n\s*\n|\n(?=    \w+: )|\n(?=- )|^[A-Z][a-z]+:", text, flags=re.MULTILINE):
        if not paragraph.lstrip().startswith((">>>", "===")):
            yield re.sub(r"^\s+\w+: ", "", paragraph)


def of_module(text: str) -> Iterator[str]:
    """Yields the paragraphs of all docstrings of a module, and its comments."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from of_docstring(ast.get_docstring(node) or "")
    yield from re.findall(r"^\s*# (?!needs:)(.*)", text, flags=re.MULTILINE)


def of_rust(text: str) -> Iterator[str]:
    """Yields the paragraphs of the comments of a Rust file that have their lines to themselves."""
    for block in re.findall(r"(?:^[ \t]*//.*\n)+", text + "\n", flags=re.MULTILINE):
        # Comments of another kind or indent are another text: the docs of a module are not those of its first item.
        lines = re.findall(r"^([ \t]*//[/!]?) ?(.*)$", block, flags=re.MULTILINE)
        for _, same in itertools.groupby(lines, key=lambda line: line[0]):
            yield from of_markdown("\n".join(line for _, line in same))


def sentences(paragraph: str) -> Iterator[str]:
    """Yields the sentences of a paragraph; code and addresses count as one word each, quotations as none."""
    text = re.sub(r"`+[^`]*`+", "CODE", " ".join(paragraph.split()))
    text = re.sub(r"\]\([^)]*\)", "]", text)
    text = re.sub(r'"[^"]*"', "QUOTED", text)
    text = re.sub(r"^(?:[-*]|\d+\.) ", "", text)
    yield from (each for each in re.split(r"(?<=[.!?])[\])*_]*\s+", text) if each)


def findings(file: str, paragraphs: Iterator[str]) -> Iterator[Finding]:
    """Yields the habits of a file."""
    for paragraph in paragraphs:
        for sentence in sentences(paragraph):
            if OPENERS.match(sentence):
                yield Finding(file, "openers", sentence)
            yield from (Finding(file, "words", sentence) for _ in WORDS.finditer(sentence))
            if len(re.findall(r"\w[\w'-]*", sentence)) > MOST_WORDS:
                yield Finding(file, "long", sentence)


READERS: dict[str, Callable[[str], Iterator[str]]] = {
    ".md": of_markdown,
    ".py": of_module,
    ".pyi": of_module,
    ".rs": of_rust,
}


def everything() -> dict[str, list[Finding]]:
    """Returns the findings of each folder."""
    found: dict[str, list[Finding]] = {}
    examples, package = ROOT / "examples", ROOT / "python" / "coolfusion"
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *examples.glob("*.md"), *examples.glob("*.py")]
    for path in sorted([*pages, *package.rglob("*.py"), *package.rglob("*.pyi"), *(ROOT / "rust").rglob("*.rs")]):
        file = path.relative_to(ROOT).as_posix()
        if file not in GENERATED:
            text = path.read_text(encoding="utf-8")
            paragraphs = READERS[path.suffix](text)
            found.setdefault(path.parent.relative_to(ROOT).as_posix(), []).extend(findings(file, paragraphs))
    assert len(found) > 10
    assert sum(folder.startswith("rust") for folder in found) > 10
    return found


FOUND = everything()


@pytest.mark.parametrize("folder", sorted(FOUND))
def test_no_folder_exceeds_its_ceiling(folder):
    ceilings = json.loads(CEILINGS.read_text(encoding="utf-8"))
    counts = Counter(each.kind for each in FOUND[folder])
    ceiling = ceilings.get(folder, {})
    over = {kind for kind, count in counts.items() if count > ceiling.get(kind, 0)}
    listed = "\n".join(f"{each.file}: {each.kind}: {each.sentence}" for each in FOUND[folder] if each.kind in over)
    assert not over, f"{folder} has {dict(counts)}, its ceilings are {ceiling}:\n{listed}"


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("What a model said. A model says `what`.", ["openers"]),
        ('The word "behind" is quoted, look-behind is a term. A dog is behind it.', ["words"]),
        ("This waits for ever, all the same.", ["words", "words"]),
        ("word " * 26 + ".", ["long"]),
        ("word " * 25 + ".", []),
        ("```python\n# behind\n```\n| behind |\n\n- That one.\n- This one.", ["openers"]),
    ],
)
def test_habits_are_found(text, kinds):
    assert [each.kind for each in findings("page", of_markdown(text))] == kinds


def test_docstrings_are_read_without_examples():
    text = "Returns it.\n\nArgs:\n    one: what is behind it.\n    two: fine.\n\nExample:\n    >>> behind\n"
    assert [each.kind for each in findings("module", of_docstring(text))] == ["words"]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("//! What it is.\n\n/// Who it is.\n    // That is it.\n", ["openers"] * 3),
        ("/// It is\n/// behind.\nfn f() {} // behind\nlet behind = 1;\n", ["words"]),
        ("/// `behind` is code.\n///\n/// ```\n/// // behind\n/// ```\n///\n/// # Nobody\n", []),
        ("/// " + "word\n/// " * 26 + "end.\n", ["long"]),
        ("//! word\n" * 20 + "/// word\n" * 20, []),
    ],
)
def test_comments_of_rust_are_read_without_code(text, kinds):
    assert [each.kind for each in findings("file", of_rust(text))] == kinds


def main(folder: str = "") -> None:
    """Shows the counts, and lowers the ceilings to them; a ceiling is never raised."""
    old = json.loads(CEILINGS.read_text(encoding="utf-8")) if CEILINGS.is_file() else None
    new = {}
    for name, found in sorted(FOUND.items()):
        counts = Counter(each.kind for each in found)
        kinds = ("openers", "words", "long")
        ceiling = {kind: counts[kind] for kind in kinds}
        if old is not None:
            ceiling = {kind: min(counts[kind], old.get(name, {}).get(kind, 0)) for kind in kinds}
        new[name] = ceiling
        print(f"{name:48} {dict(counts)}")
        if folder and name == folder:
            print("\n".join(f"    {each.file}: {each.kind}: {each.sentence}" for each in found))
    CEILINGS.write_text(json.dumps(new, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
