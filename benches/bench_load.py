"""What loading costs: seconds and resident memory beside the `tokenizers` library's `from_file`, and the import.

    python benches/bench_load.py [--runs 5] [--json FILE] [NAME ...]

Every figure is the median of several processes that do nothing else, ours and theirs in turns, so nothing is warm but
the disk. Memory is what the process has grown by after the load, as a multiple of the file's size, and at its peak.
"second" is a second load of the same file while the first is still there. The import is measured against a bare
interpreter. Before anything is timed, both sides' ids of a text are compared.

The tokenizers are those of COOLFUSION_DATA (NAME: its folders below `tokenizers`, or paths of files), without it the
small embedded ones; Linux only, as the memory comes from /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

NAMES = ("llama3", "gemma2", "o200k", "qwen2_5", "deepseek_v3", "llama2", "gpt2", "t5_small", "bert_base_cased")
EMBEDDED = Path(__file__).parents[1] / "python" / "coolfusion" / "embedded"
TEXT = "The quick brown fox, 12 boxes.\nGrüße, naïve café; 日本語のテスト ภาษาไทย हिन्दी <|x|> don't"

# What a process does; it prints one line of JSON. argv: path.
LOAD = """
import json, os, sys, time
os.environ["TOKENIZERS_PARALLELISM"] = "false"
{module}
def memory(key):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key)) * 1024
before, start = memory("VmRSS"), time.perf_counter()
first = load(sys.argv[1])
seconds = time.perf_counter() - start
after, peak = memory("VmRSS"), memory("VmHWM")
start = time.perf_counter()
second = load(sys.argv[1])
again = time.perf_counter() - start
print(json.dumps({{"seconds": seconds, "again": again, "memory": after - before, "peak": peak - before}}))
"""
OURS = LOAD.format(module="import coolfusion; load = coolfusion.Tokenizer.from_file")
THEIRS = LOAD.format(module="import tokenizers; load = tokenizers.Tokenizer.from_file")
# Start and end of a process are part of neither: the clock runs inside it.
IMPORT = "import time; start = time.perf_counter(); import coolfusion; print(time.perf_counter() - start)"


def run(program: str, *arguments: str) -> Any:
    """Runs a program in a process of its own and reads the JSON that it prints."""
    command = [sys.executable, "-c", program, *arguments]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def check(path: str) -> None:
    """Ends the run if the two sides do not give the same ids."""
    import tokenizers

    import coolfusion

    theirs = tokenizers.Tokenizer.from_file(path)
    theirs.encode_special_tokens = True
    ours = coolfusion.Tokenizer.from_file(path)
    if ours.encode(TEXT) != theirs.encode(TEXT, add_special_tokens=False).ids:
        raise SystemExit(f"{path}: the ids differ")


def measure(path: str, runs: int) -> dict[str, Any]:
    """The figures of one file."""
    check(path)
    ours, theirs = [], []
    for _ in range(runs):
        ours.append(run(OURS, path))
        theirs.append(run(THEIRS, path))
    return {"file": path, "bytes": Path(path).stat().st_size, "ours": medians(ours), "theirs": medians(theirs)}


def files(names: list[str]) -> list[str]:
    """The files that the names stand for; without names and data, the embedded tokenizers."""
    data = os.environ.get("COOLFUSION_DATA")
    if not names and not data:
        found = sorted(str(path) for path in EMBEDDED.rglob("tokenizer.json"))
        return found or sys.exit(f"no tokenizer.json below {EMBEDDED}")
    paths = [name if Path(name).is_file() else f"{data}/tokenizers/{name}/tokenizer.json" for name in names or NAMES]
    missing = [path for path in paths if not Path(path).is_file()]
    if missing:
        raise SystemExit(f"{missing[0]} is missing: expected a file or a folder of COOLFUSION_DATA")
    return paths


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="processes a figure (default 5)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("names", nargs="*", metavar="NAME", help="folders of the data, or files")
    arguments = parser.parse_args()

    def over_bare() -> float:
        return float(run(IMPORT))

    imported = statistics.median(over_bare() for _ in range(arguments.runs))
    rows = []
    print(f"import coolfusion: {imported * 1e3:.1f} ms over a bare interpreter")
    columns = ("tokenizer", "MB", "ours", "theirs", "ratio", "second", "memory/file (peak)", "theirs (peak)")
    layout = "{:16} {:>6} {:>8} {:>8} {:>6} {:>9} {:>20} {:>20}"
    print(layout.format(*columns))
    for path in files(arguments.names):
        row = measure(path, arguments.runs)
        rows.append(row)
        ours, theirs, size = row["ours"], row["theirs"], row["bytes"]
        print(
            layout.format(
                Path(path).parent.name,
                f"{size / 1e6:.1f}",
                f"{ours['seconds'] * 1e3:.0f} ms",
                f"{theirs['seconds'] * 1e3:.0f} ms",
                f"{theirs['seconds'] / ours['seconds']:.1f}",
                f"{ours['again'] * 1e3:.1f} ms",
                *(f"{side['memory'] / size:.2f} ({side['peak'] / size:.2f})" for side in (ours, theirs)),
            )
        )
    if arguments.json:
        arguments.json.write_text(json.dumps({"import": imported, "files": rows}, indent=1))


if __name__ == "__main__":
    main()
