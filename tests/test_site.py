"""The site: it builds without a broken link, loads nothing from elsewhere, and works in a browser."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from browser_parts import chromium, needs_browser
from test_docs import ROOT

pytest.importorskip("material", reason="the site is built with mkdocs-material: pip install mkdocs-material")

HOOKS = runpy.run_path(str(ROOT / "docs" / "hooks.py"))
SETTINGS = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
# Attributes of a page that a browser follows without being asked.
LOADED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("object", "data"), ("link", "href")}


def built(config: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Builds a site as `make site` does, into another folder."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(folder)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False, env=SETTINGS)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = built(ROOT / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serves a folder on this machine; yields its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Loads(HTMLParser):
    """Collects what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.loads += [given[name] for kind, name in LOADED if kind == tag and given.get(name)]


def read(page: Path) -> Loads:
    loads = Loads()
    loads.feed(page.read_text(encoding="utf-8"))
    return loads


def outside(address: str) -> bool:
    return re.match(r"(?:[a-z][a-z+.-]*:)?//", address, re.IGNORECASE) is not None


def test_every_page_of_docs_is_a_page_of_the_site(site):
    pages = {page.relative_to(site).with_suffix("").as_posix() for page in site.rglob("*.html")} - {"404"}
    sources = {page.relative_to(ROOT / "docs").with_suffix("").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    assert pages == {re.sub(r"README$", "index", name) for name in sources}
    assert len(pages) > 40 and not list(site.rglob("*.py"))


def test_the_order_of_the_site(site):
    text = (site / "index.html").read_text(encoding="utf-8")
    tabs = re.search(r'<nav class="md-tabs".*?</nav>', text, re.DOTALL)
    names = [name.strip() for name in re.findall(r'class="md-tabs__link">(.*?)</a>', tabs[0], re.DOTALL)]
    expected = ["Home", "Tutorial", "Guides", "API", "Concepts", "Design", "Performance", "Results", "FAQ"]
    assert [re.sub(r"<.*?>", "", name).strip() for name in names] == expected


def test_no_page_loads_anything_from_elsewhere(site):
    pages = [read(page) for page in site.rglob("*.html")]
    assert sum(len(page.loads) for page in pages) > 200
    assert [address for page in pages for address in page.loads if outside(address)] == []
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    pictures = [path.read_text(encoding="utf-8") for path in site.rglob("*.svg")]
    addresses = [address for text in styles + pictures for address in re.findall(r"url\(['\"]?([^'\")]+)", text)]
    assert len(styles) >= 2 and len(pictures) >= 3 and addresses
    assert [address for address in addresses if outside(address)] == []
    assert not any("@import" in text for text in styles)
    # The theme fetches a script for a drawing of this kind, and numbers of stars for a repository.
    assert not any('class="mermaid"' in page.read_text("utf-8") for page in site.rglob("*.html"))
    assert not any('data-md-component="source"' in page.read_text("utf-8") for page in site.rglob("*.html"))


def test_what_is_elsewhere_is_recognised(tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<script src="//a.example/x.js"></script><link href=b.css><a href="https://c.example">', "utf-8")
    assert [address for address in read(page).loads if outside(address)] == ["//a.example/x.js"]
    assert outside("https://a.example") and not outside("data:image/png;base64,x") and not outside("../a//b")


def test_a_broken_link_ends_the_build(tmp_path):
    (tmp_path / "docs").mkdir()
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    text = re.sub(r"^nav:\n(?: .*\n)+", "nav: [index.md]\n", text, flags=re.MULTILINE)
    text = text.replace("docs/hooks.py", str(ROOT / "docs" / "hooks.py"))
    (tmp_path / "mkdocs.yml").write_text(text, encoding="utf-8")
    (tmp_path / "docs" / "index.md").write_text("# A\n\n[x](no.md) [y](#no) [z](#a)\n", encoding="utf-8")
    done = built(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode == 1 and "Aborted with 2 warnings" in done.stdout + done.stderr, done.stdout + done.stderr
    assert "'no.md'" in done.stderr and "'#no'" in done.stderr


@pytest.mark.parametrize(
    ("address", "link", "expected"),
    [
        (None, "[examples](../examples/README.md)", "examples (`examples/README.md`)"),
        (None, "[`examples/`](../examples)", "`examples`"),
        (
            "https://a.example/x",
            "[e](../examples/README.md#a)",
            "[e](https://a.example/x/blob/HEAD/examples/README.md#a)",
        ),
        ("https://a.example/x", "[e](../examples)", "[e](https://a.example/x/tree/HEAD/examples)"),
        (None, "[p](proofs/)", "[p](proofs/README.md)"),
        (None, "[c](concepts.md#a)", "[c](concepts.md#a)"),
        (None, "[w](https://a.example/../b)", "[w](https://a.example/../b)"),
        (None, "![p](terminal.svg)", "![p](terminal.svg)"),
        (None, "```md\n[e](../examples)\n```", "```md\n[e](../examples)\n```"),
    ],
)
def test_links_that_leave_the_pages(address, link, expected):
    assert HOOKS["for_site"](f"x {link}" if link[0] != "`" else link, "a.md", address).removeprefix("x ") == expected


def test_a_link_from_a_folder_and_one_to_nothing():
    assert HOOKS["for_site"]("[x](../../Makefile)", "guides/a.md", None) == "x (`Makefile`)"
    with pytest.raises(FileNotFoundError, match=r"docs/guides/a\.md links to '\.\./\.\./no'"):
        HOOKS["for_site"]("[x](../../no)", "guides/a.md", None)


@pytest.mark.slow
@needs_browser
def test_a_browser_asks_for_nothing_else(site):
    pytest.importorskip("playwright.sync_api", reason="the site is tested with playwright: pip install playwright")
    asked, errors = [], []
    with served(site) as address, chromium() as browser:
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{address}/index.html")
        assert page.locator("h1").inner_text().startswith("coolfusion")
        page.get_by_role("link", name="Tutorial", exact=True).first.click()
        page.wait_for_url("**/tutorial.html")
        natural = "images => images.map(image => image.naturalWidth)"
        assert min(page.locator("article img").evaluate_all(natural)) > 0
        page.locator("input[name=query]").fill("boundary")
        page.locator(".md-search-result__item").first.wait_for()
    assert len(asked) > 5 and [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert errors == []
