"""docs/worked-example.md prints what it shows."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "worked-example.md"


def test_the_worked_example_prints_what_the_page_shows() -> None:
    """The page has one code block, and after it one text block."""
    blocks = re.findall(r"```(python|text)\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert [kind for kind, _ in blocks] == ["python", "text"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(blocks[0][1], str(PAGE), "exec"), {})
    print(printed.getvalue())
    assert printed.getvalue() == blocks[1][1]
