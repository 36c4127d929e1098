"""The python blocks of README, tutorial and guides pass mypy --strict, as code that a user copies from them does."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from test_docs import ROOT, blocks

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", DOCS / "index.md", DOCS / "tutorial.md", *sorted((DOCS / "guides").glob("*.md"))]
# Other packages are not read: that takes minutes. What comes from them is Any here, so it may decorate and be a base.
OPTIONS = """
[tool.mypy]
strict = true
python_version = "3.11"
disallow_untyped_decorators = false
disallow_subclassing_any = false
warn_return_any = false
[[tool.mypy.overrides]]
module = ["torch.*", "transformers.*", "numpy.*", "tokenizers.*", "huggingface_hub.*", "typer.*", "rich.*", "openai.*"]
follow_imports = "skip"
ignore_missing_imports = true
"""


def mypy(folder, *names):
    (folder / "mypy.toml").write_text(OPTIONS, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.toml", "--cache-dir", "cache", *names]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False, cwd=folder)


def test_the_code_of_readme_and_guides_is_typed(tmp_path):
    pytest.importorskip("mypy", reason="the types of the documentation are checked by mypy")
    names = []
    for page in PAGES:
        code = ""
        for block in blocks(page):  # on the lines of the page, so that an error names them
            code += "\n" * (block.line - 1 - code.count("\n")) + block.code
        names.append(re.sub(r"\W", "_", page.relative_to(ROOT).with_suffix("").as_posix()) + "_md.py")
        (tmp_path / names[-1]).write_text(code, encoding="utf-8")
    # In the same run: code that is wrong is found, although other packages are not read.
    wrong = "import coolfusion as cf\ntext: int = cf.Tokenizer.from_file('a').decode([1])\n"
    (tmp_path / "wrong.py").write_text(wrong, encoding="utf-8")
    done = mypy(tmp_path, *names, "wrong.py")
    found = [line for line in done.stdout.splitlines() if "error:" in line]
    assert [line for line in found if not line.startswith("wrong.py:2:")] == [], done.stdout + done.stderr
    assert len(found) == 1 and "Incompatible types in assignment" in found[0]
