"""The page of a trace in a real browser: clicks, keys, themes, hostile data, and no request to anywhere."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright: pip install playwright")


from browser_parts import chromium, needs_browser
from coolfusion.traces import parse_traces, write_page
from trace_parts import HOSTILE, hostile, written

pytestmark = [needs_browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def outputs():
    """A text with winners of two members, the same with a primary member that is overridden, and a hostile one."""
    output = written()
    steps = list(output.steps)
    by_bob = [each.members for each in steps[2].candidates].index((1,))
    steps[2] = replace(steps[2], winner=by_bob, margin=math.inf)
    mixed = replace(output, steps=tuple(steps))
    primary = replace(mixed, steps=tuple(replace(step, primary=2) for step in steps))
    return [mixed, primary, hostile()]


@pytest.fixture
def opened(browser, outputs, tmp_path):
    """Opens a page with all texts; it must ask for nothing and complain of nothing."""
    file = tmp_path / "run.html"
    write_page(file, [trace for output in outputs for trace in parse_traces(output.to_trace())])
    contexts, asked, said = [], [], []

    def make(width=1200, scheme="light", **options):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append("a dialog"), dialog.dismiss()))
        page.goto(file.as_uri())
        return page

    yield make
    for context in contexts:
        context.close()
    assert set(asked) == {file.as_uri()}
    assert [line for line in said if "Content Security Policy" not in line] == []


def chosen(page):
    return page.locator('.seg[aria-selected="true"]')


def step(page):
    return int(page.locator("#detail h2").inner_text().split()[1])


def contested(output):
    return [each.index for each in output.steps if len(each.candidates) > 1]


def test_the_text_stands_in_segments_with_the_style_of_their_authors(opened, outputs):
    page = opened()
    segments = page.locator("#text .seg")
    assert segments.count() == len(outputs[0].steps)
    shown = segments.all_text_contents()
    assert shown == [each.text or "END" for each in outputs[0].steps]
    lines = set()
    for each in outputs[0].steps:
        authors = each.candidates[each.winner].members
        css = segments.nth(each.index).evaluate(
            "node => { const css = getComputedStyle(node); return [css.textDecorationLine, css.textDecorationStyle, "
            "css.textDecorationColor] }"
        )
        if len(authors) == 1:
            lines.add((authors[0], *css))
            assert css[0] == "underline"
        elif len(authors) == 3:
            assert css[0] == "none"
    assert len({line[2] for line in lines}) == len({line[3] for line in lines}) == len({line[0] for line in lines}) > 1


def test_a_click_shows_candidates_by_members_with_scores_and_margins(opened, outputs):
    page, output = opened(), outputs[0]
    at = contested(output)[0]
    page.locator("#text .seg").nth(at).click()
    assert step(page) == at
    rows = page.locator("#detail tbody tr")
    expected = output.steps[at]
    assert rows.count() == len(expected.candidates)
    assert [cell.split("\n")[0] for cell in page.locator("#detail th").all_inner_texts()][-3:] == ["ann", "bob", "cid"]
    first = rows.nth(0).locator("td").all_inner_texts()
    winner = expected.candidates[expected.winner]
    assert first[0] == "★ " + winner.text.replace(" ", "·").replace("\n", "⏎")
    assert float(first[2]) == pytest.approx(expected.values[expected.winner], rel=0.01)
    for cell, score in zip(first[4:], expected.scores[expected.winner], strict=True):
        perplexity, logprob = cell.split("\n")
        assert logprob.endswith(f"/ {score.n_tokens}")
        assert float(logprob.split(" / ")[0].replace("−", "-")) == pytest.approx(score.logprob, rel=0.01)
        assert "e" in perplexity or float(perplexity) > 0.9
    second = rows.nth(1).locator("td").all_inner_texts()
    assert float(second[3]) == pytest.approx(expected.margin, rel=0.01)
    assert "Margin" in page.locator("#detail").inner_text() and "Time: propose" in page.locator("#detail").inner_text()


def test_arrow_keys_and_buttons_go_on(opened, outputs):
    page, last = opened(), len(outputs[0].steps) - 1
    assert step(page) == 0
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert step(page) == 2
    page.keyboard.press("ArrowLeft")
    assert step(page) == 1
    assert chosen(page).count() == 1 and chosen(page).get_attribute("data-step") == "1"
    assert page.evaluate("document.activeElement.dataset.step") == "1", "the focus goes along"
    page.keyboard.press("End")
    assert step(page) == last
    page.keyboard.press("ArrowRight")
    assert step(page) == last
    page.keyboard.press("Home")
    assert step(page) == 0
    page.keyboard.press("ArrowDown")
    assert step(page) == contested(outputs[0])[0]
    page.keyboard.press("ArrowUp")
    assert step(page) == contested(outputs[0])[0], "none is before it"
    page.get_by_label("Next step").click()
    assert step(page) == contested(outputs[0])[0] + 1
    page.get_by_label("Step before").click()
    page.get_by_label("Step before").click()
    assert step(page) == contested(outputs[0])[0] - 1


def test_the_keyboard_alone_reaches_everything(opened):
    page = opened()
    reached = []
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert reached[:3] == ["texts", "initials", "theme"]
    assert any(each.startswith("seg") for each in reached)
    assert page.locator('.seg[tabindex="0"]').count() == 1, "one stop of the tabulator for the whole text"


def test_the_chart_shows_shares_and_takes_clicks(opened, outputs):
    page, output = opened(), outputs[0]
    labels = page.locator("#chart .label").all_inner_texts()
    assert labels == ["ann (a)", "bob (b)", "cid (c)", "agreement", "time"]
    values = page.locator("#chart .value").all_inner_texts()
    assert sum(int(each.split()[1]) for each in values[:3]) in (99, 100, 101)
    authors = [each.candidates[each.winner].members for each in output.steps]
    assert values[3] == f"{round(100 * sum(map(len, authors)) / 3 / len(authors))} %"
    box = page.locator("#chart svg").first.bounding_box()
    page.mouse.click(box["x"] + box["width"] * (4.5 / len(output.steps)), box["y"] + 5)
    assert step(page) == 4
    assert {each.get_attribute("x") for each in page.locator(".cursor").all()} == {"4"}


def test_overrides_of_a_primary_member_are_marked(opened, outputs):
    page, output = opened(), outputs[1]
    page.locator("#texts").select_option("1")
    over = [each.index for each in output.steps if each.overridden]
    marked = [int(each.get_attribute("data-step")) for each in page.locator(".over").all()]
    assert marked == over != []
    assert f"{len(over)} overrides" in page.locator("#facts").inner_text()
    page.locator("#text .seg").nth(over[0]).click()
    assert "cid is primary and proposed something else" in page.locator("#detail").inner_text()


def test_initials_are_a_cue_without_colour(opened):
    page = opened()
    first = "getComputedStyle(document.querySelector('.seg[data-by]'), '::after').content"
    assert page.evaluate(first) == "none"
    page.locator("#initials").click()
    assert page.evaluate(first).strip('"') in {"a", "b", "c", "ab", "ac", "bc"}
    assert page.locator("#initials").get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_and_the_button(opened, scheme):
    page = opened(scheme=scheme)
    background = "getComputedStyle(document.documentElement).backgroundColor"
    colours = {"light": "rgb(251, 250, 248)", "dark": "rgb(22, 23, 26)"}
    assert page.evaluate(background) == colours[scheme]
    for expected in ("light", "dark", scheme):
        page.locator("#theme").click()
        assert page.evaluate(background) == colours[expected]
    assert page.locator("#theme").inner_text() == "Theme: auto"


@pytest.mark.parametrize("width", [320, 390, 800, 1600])
def test_the_page_fits_narrow_and_wide_screens(opened, width):
    page = opened(width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    box, panel = chosen(page).bounding_box(), page.locator("#detail").bounding_box()
    assert box["y"] + box["height"] <= 800 and panel["y"] + panel["height"] <= 801


def test_hostile_data_is_text(opened, outputs):
    page = opened()
    page.locator("#texts").select_option("2")
    assert page.locator("img").count() == 0
    shown = page.locator("#text .seg").first.text_content()
    assert shown.startswith("</script><img src=x onerror=alert(1)>␛[31m")
    assert page.locator("#detail tbody td").first.text_content().startswith("★ </script><img")
    assert "<img" in page.locator("#prompt").text_content() and "<img" in page.locator("#problem").text_content()
    assert "<img" in page.title()[:40] or "a" in page.title()
    assert HOSTILE.startswith("</script>") and page.locator("script").count() == 2


def test_nothing_that_the_page_did_not_bring_can_run(opened):
    page = opened()
    page.evaluate("window.ran = false")
    page.evaluate(
        "() => { const node = document.createElement('script'); node.textContent = 'window.ran = true'; "
        "document.body.append(node) }"
    )
    assert page.evaluate("window.ran") is False
    page.evaluate("fetch('https://example.org').catch(() => { window.ran = 'refused' })")
    page.wait_for_function("window.ran === 'refused'")
