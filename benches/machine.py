"""Where and on what this runs."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

import coolfusion as cf

ROOT = Path(__file__).parents[1]


def machine() -> dict[str, object]:
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        model = next((hit[1] for hit in re.finditer(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.M)), "")
    return {
        "cores": os.cpu_count(),
        "cpu": model or platform.machine(),
        "python": platform.python_version(),
        "coolfusion": cf.__version__,
        "tokenizers": version("tokenizers"),
        "commit": commit(),
    }


def commit() -> str:
    """The commit that is checked out, read from .git; changes on top of it are not seen."""
    git = ROOT / ".git"
    if git.is_file():  # a worktree: "gitdir: ..."
        git = ROOT / git.read_text().split(": ", 1)[1].strip()
    if not (git / "HEAD").is_file():
        return "unknown"
    head = (git / "HEAD").read_text().strip()
    if not head.startswith("ref: "):
        return head[:12]
    common = git / (git / "commondir").read_text().strip() if (git / "commondir").is_file() else git
    reference = common / head.removeprefix("ref: ")
    if reference.is_file():
        return reference.read_text().strip()[:12]
    packed = common / "packed-refs"
    lines = packed.read_text().splitlines() if packed.is_file() else []
    return next((line[:12] for line in lines if line.endswith(" " + head.removeprefix("ref: "))), "unknown")
