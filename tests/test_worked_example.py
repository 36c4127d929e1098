"""The worked example of docs/design.md prints what stands below it there."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

DESIGN = Path(__file__).parent.parent / "docs" / "design.md"


def test_the_worked_example_prints_what_the_design_shows() -> None:
    """Section 4: the code block and the text block behind it."""
    section = DESIGN.read_text(encoding="utf-8").split("## 4. Worked example")[1].split("\n## ")[0]
    blocks = re.findall(r"```(python|text)\n(.*?)```", section, flags=re.DOTALL)
    assert [kind for kind, _ in blocks] == ["python", "text"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(blocks[0][1], str(DESIGN), "exec"), {})
    print(printed.getvalue())
    assert printed.getvalue() == blocks[1][1]
