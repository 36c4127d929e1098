"""Takes the pictures of the documentation from the real program: three terminals, and a trace in a browser.

python docs/pictures.py [CHROMIUM]    writes docs/*.svg and docs/trace-page.png; needs playwright and a Chromium
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.text import Text

from coolfusion import Fusion
from coolfusion.embedded import folders
from coolfusion.traces import parse_traces, write_page

DOCS = Path(__file__).parent
PROMPT, BUDGET, STEP = "Once upon a time", 100, 10
QUESTION = "Question: Tom has 3 apples. He buys 4 more. How many apples does Tom have?"
WIDTH = 110


def terminal(arguments: list[str], folder: str, typed: str = "") -> str:
    """Returns what a command shows in a terminal, with its colours; `typed` is what the user types."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(WIDTH), "LINES": "60"}
    command = [sys.executable, "-W", "ignore", "-m", "coolfusion", *arguments]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, cwd=folder, env=environment
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 1 << 16)
        except OSError:  # the program has closed its end
            break
        if typed and shown.endswith(b"> "):
            os.write(ours, typed.encode() + b"\n")
            typed = ""
        elif shown.endswith(b"> "):
            os.write(ours, b"\x04")
    os.close(ours)
    if process.wait():
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    return re.sub(r"\x1b\[\?\d+[hl]|\r", "", shown.decode("utf-8"))


def draw(name: str, command: str, shown: str) -> None:
    """Writes the picture of a terminal, with the command in its first line; no font is loaded from elsewhere."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, color_system="truecolor", force_terminal=True)
        console.print(Text(f"$ {command}", "bold"))
        console.print(Text.from_ansi(shown.rstrip().removesuffix(">").rstrip()))
        svg = console.export_svg(title="coolfusion", unique_id=name)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    lines = (line.rstrip() for line in svg.splitlines())
    (DOCS / f"{name}.svg").write_text("\n".join(line for line in lines if line) + "\n", encoding="utf-8")


def terminals(folder: str) -> None:
    """Draws the demo, a trace, and a chat."""
    models = [str(path) for path in folders()]
    names = " ".join(path.name for path in folders())
    draw("terminal", "coolfusion demo --max-new-tokens 24", terminal(["demo", "--max-new-tokens", "24"], folder))
    terminal(["generate", *models, "--prompt", PROMPT, "--max-new-tokens", "48", "--trace", "run.jsonl"], folder)
    draw("view", "coolfusion view run.jsonl --steps 12", terminal(["view", "run.jsonl", "--steps", "12"], folder))
    draw("chat", f"coolfusion chat {names}", terminal(["chat", *models, "--max-new-tokens", "24"], folder, QUESTION))


def browser(folder: str, chromium: str | None) -> None:
    """Opens the page of a trace at a step with several candidates, and takes its picture."""
    with Fusion.from_pretrained(folders(), device="cpu", dtype="float32", threads=1) as fusion:
        traces = parse_traces(fusion.generate(PROMPT, BUDGET).to_trace())
    with sync_playwright() as started:
        page_file = Path(folder, "run.html")
        write_page(page_file, traces)
        opened = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = opened.new_page(viewport={"width": 1100, "height": 560})
        page.goto(page_file.as_uri())
        page.locator("#text .seg").nth(STEP).click()
        page.screenshot(path=DOCS / "trace-page.png")
        opened.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        terminals(made)
        browser(made, sys.argv[1] if len(sys.argv) > 1 else shutil.which("chromium"))
