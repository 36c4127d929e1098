"""Takes the pictures of the documentation from the real program: a trace of the embedded models in a browser.

python docs/pictures.py [CHROMIUM]    writes docs/trace-page.png; needs playwright and a Chromium
"""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from coolfusion import Fusion
from coolfusion.embedded import folders
from coolfusion.traces import parse_traces, write_page

PICTURE = Path(__file__).with_name("trace-page.png")
PROMPT, BUDGET, STEP = "Once upon a time", 100, 10


def main(browser: str | None) -> None:
    """Writes the text, opens its page at a step with several candidates, and takes the picture."""
    with Fusion.from_pretrained(folders(), device="cpu", dtype="float32", threads=1) as fusion:
        traces = parse_traces(fusion.generate(PROMPT, BUDGET).to_trace())
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        page_file = Path(folder, "run.html")
        write_page(page_file, traces)
        chromium = started.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1100, "height": 560})
        page.goto(page_file.as_uri())
        page.locator("#text .seg").nth(STEP).click()
        page.screenshot(path=PICTURE)
        chromium.close()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else shutil.which("chromium"))
