"""The command that installs an extra of this package, for messages about a package that is missing."""

from __future__ import annotations

from pathlib import Path

__all__ = ["install_command"]


def install_command(extra: str) -> str:
    """Returns the pip command for an extra.

    An installed package takes its extra by its own name, from whatever it was installed. A source tree may be used
    in place, by an editable install or PYTHONPATH. It may have no installed metadata, so its folder names it.

    Args:
        extra: the extra, as in `pyproject.toml`.

    Example:
        >>> install_command("hf")
        "pip install ..."
    """
    tree = source_tree(Path(__file__).resolve().parent)
    if tree is None:
        return f"pip install 'coolfusion[{extra}]'"
    return f"pip install -e '{'.' if tree == Path.cwd() else tree}[{extra}]'"


def source_tree(package: Path) -> Path | None:
    """Returns the source tree in which a package folder lies, or None for an installed one."""
    tree = package.parent.parent
    return tree if package.parent.name == "python" and (tree / "pyproject.toml").is_file() else None
