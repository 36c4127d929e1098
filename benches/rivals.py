"""Whole-text encode beside other libraries: MB/s of the first and the second pass, and how many documents differ.

    python -m benches.rivals [--quick] [--json FILE] [--python PATH]

Each library runs in a process of its own, so that a crash, a hang or a refusal is a row and not the end. The ids of
`tokenizers` 0.23 are the measure of exactness. `tokenizers` 1.0.0rc3 needs an interpreter with that release: `--python`
names one, else a virtual environment is made and thrown away again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benches.machine import machine
from benches.pairs import tokenizer_files
from benches.texts import documents, texts

CANDIDATE = "1.0.0rc3"
LIMIT_S = 180
RIVALS = ("tokenizers", "coolfusion", f"tokenizers {CANDIDATE}", "fastokens", "tokie", "tiktoken")


class Rivalry(NamedTuple):
    """One library on one tokenizer and text; MB/s of UTF-8."""

    rival: str
    tokenizer: str
    text: str
    first: float | None
    again: float | None
    # Documents, and those with other ids than `tokenizers` 0.23 gives.
    documents: int
    differing: int
    # Why there are no figures.
    refuses: str = ""


def run(python: str, rival: str, path: Path, given: str) -> dict[str, Any]:
    """What `rival.py` writes, or why it wrote nothing."""
    command = [python, str(Path(__file__).with_name("rival.py")), rival.split(" ")[0], str(path)]
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return {"refuses": f"no answer after {LIMIT_S} s"}
    if done.returncode or not done.stdout:
        return {"refuses": f"ends with status {done.returncode}: {done.stderr.strip()[-160:]}"}
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rivalries(pythons: dict[str, str], files: dict[str, Path], chosen: dict[str, list[str]]) -> Iterator[Rivalry]:
    given = json.dumps(chosen)
    for name, path in files.items():
        expected: dict[str, list[str]] = {}
        for rival, python in pythons.items():
            found = run(python, rival, path, given)
            for text, each in chosen.items():
                result = found if "refuses" in found else found[text]
                if "refuses" in result:
                    yield Rivalry(rival, name, text, None, None, len(each), 0, result["refuses"])
                    continue
                ids = result["ids"]
                differing = sum(a != b for a, b in zip(ids, expected.setdefault(text, ids), strict=True))
                first, again = (1e3 * result["bytes"] / result[key] for key in ("first_ns", "again_ns"))
                yield Rivalry(rival, name, text, first, again, len(each), differing)


def lines(found: Sequence[Rivalry]) -> Iterator[str]:
    """A row for each tokenizer: the median over its texts, and how many documents differ."""
    rivals = list(dict.fromkeys(each.rival for each in found))
    yield "MB/s: first pass (passes after it), median of the texts; ! documents with other ids; - refuses\n"
    yield f"{'tokenizer':<18}" + "".join(f"{rival:>24}" for rival in rivals)
    for name in dict.fromkeys(each.tokenizer for each in found):
        yield f"{name:<18}" + "".join(
            f"{cell([e for e in found if (e.tokenizer, e.rival) == (name, r)]):>24}" for r in rivals
        )


def refusals(found: Sequence[Rivalry]) -> Iterator[str]:
    reasons: dict[tuple[str, str], dict[str, None]] = {}
    for each in found:
        if each.refuses:
            reasons.setdefault((each.rival, each.refuses), {})[each.tokenizer] = None
    for (rival, why), names in reasons.items():
        yield f"{rival} refuses {', '.join(names)}: {why}"


def cell(block: Sequence[Rivalry]) -> str:
    ran = [each for each in block if each.first is not None and each.again is not None]
    if not ran:
        return "-"
    first, again = median(each.first or 0 for each in ran), median(each.again or 0 for each in ran)
    wrong, refused = sum(each.differing for each in ran), len(block) - len(ran)
    return f"{first:.1f} ({again:.1f})" + (f" !{wrong}" if wrong else "") + (f" -{refused}" if refused else "")


def candidate(folder: Path) -> str:
    """An interpreter with the release candidate, made below `folder`."""
    venv.create(folder, with_pip=True)
    python = str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", f"tokenizers=={CANDIDATE}"], check=True)
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two documents of each text")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the machine and the rows as JSON lines")
    parser.add_argument("--python", metavar="PATH", help=f"an interpreter that has tokenizers {CANDIDATE}")
    parser.add_argument("--tokenizers", nargs="+", metavar="NAME", help="these only")
    arguments = parser.parse_args()
    value = os.environ.get("COOLFUSION_DATA")
    data = Path(value) if value else None
    files = tokenizer_files(data, arguments.quick)
    files = {name: path for name, path in files.items() if name in (arguments.tokenizers or files)}
    chosen = {name: documents(text, 2 if arguments.quick else 60) for name, text in texts(data).items()}
    with tempfile.TemporaryDirectory() as folder:
        pythons = {rival: sys.executable for rival in RIVALS if find_spec(rival.split(" ")[0]) is not None}
        pythons[f"tokenizers {CANDIDATE}"] = arguments.python or candidate(Path(folder))
        where = machine()
        print(", ".join(f"{key} {value}" for key, value in where.items()))
        found = list(rivalries(pythons, files, chosen))
    print("\n".join([*lines(found), "", *refusals(found)]))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        rows = [each._replace(first=short(each.first), again=short(each.again))._asdict() for each in found]
        with arguments.json.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(each, ensure_ascii=False) + "\n" for each in [{"machine": where}, *rows])


def short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


if __name__ == "__main__":
    main()
