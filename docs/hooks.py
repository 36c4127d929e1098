"""Hooks of `make site`: links that a forge understands and a site does not.

A page may link to a file outside of docs/, for example to examples/, and to a folder. On the site the first leads to
the repository of pyproject.toml. Without an address there the link becomes the name of the file in the sources. The
second leads to the README.md of the folder.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s#:]+)(#[^)\s]*)?\)")


def repository() -> str | None:
    """Returns the address that pyproject.toml gives as Repository, without a slash at its end."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = project.get("urls", {}).get("Repository")
    return address.rstrip("/") if address else None


def for_site(markdown: str, page: str, address: str | None) -> str:
    """Rewrites the links of a page.

    Args:
        markdown: the page; its blocks of code are left as they are.
        page: its path below docs/.
        address: of the repository, or None.

    Returns:
        the page for the site.

    Raises:
        FileNotFoundError: a link to a file outside of docs/ that does not exist.
    """

    def link(found: re.Match[str]) -> str:
        text, target, fragment = found[1], found[2], found[3] or ""
        path = Path(os.path.normpath(DOCS / Path(page).parent / target))
        if path.is_relative_to(DOCS):
            return f"[{text}]({target.rstrip('/')}/README.md{fragment})" if path.is_dir() else found[0]
        if not path.exists():
            raise FileNotFoundError(f"docs/{page} links to {target!r}: expected a file of the repository")
        source = path.relative_to(ROOT).as_posix()
        if address:
            return f"[{text}]({address}/{'tree' if path.is_dir() else 'blob'}/HEAD/{source}{fragment})"
        return f"{text} (`{source}`)" if text.strip("`/") != source else f"`{source}`"

    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if number % 2 else LINK.sub(link, part) for number, part in enumerate(parts))


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Rewrites the links of a page before it becomes HTML; MkDocs calls this."""
    return for_site(markdown, page.file.src_uri, repository())
