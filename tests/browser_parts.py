"""The browser that pages are tested in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

BROWSER = os.environ.get("COOLFUSION_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium on the PATH; COOLFUSION_BROWSER may name one")


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium, which refuses to run as root in its sandbox."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        arguments = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
        browser = started.chromium.launch(executable_path=BROWSER, args=arguments)
        yield browser
        browser.close()
