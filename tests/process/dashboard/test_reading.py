"""The dashboard in headless Chromium: small screens, no mouse, paper, the dark."""

import pytest

pytestmark = pytest.mark.xdist_group("browser")
# What can be worked with, what can be seen (plotly's own parts apart), and what juts out.
CONTROLS = "a[href], button:enabled, input:enabled, select:enabled, summary, [tabindex='0']"
VISIBLE = "[...document.body.querySelectorAll('*')].filter((one) => !one.closest('.plot') && one.checkVisibility())"
TOO_WIDE = "(one) => !one.closest('.frame table, .skip') && one.getBoundingClientRect().right > innerWidth + 1"

# Whether a plot is drawn as wide as its box, and all that is in it is inside.
FITS = """(plot) => !plot.checkVisibility() || [...plot.querySelectorAll('.main-svg')].every((one) =>
    Math.abs(one.getBoundingClientRect().right - plot.getBoundingClientRect().right) <= 1) &&
    [...plot.querySelectorAll('.xtick text, .ytick text, .xtitle, .ytitle, .modebar')].every((one) => {
        const [inner, outer] = [one.getBoundingClientRect(), plot.getBoundingClientRect()];
        return inner.left >= outer.left - 1 && inner.right <= outer.right + 1;
    })"""


# -- small screens, no mouse, print


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("first", [1280, 400])  # the page is turned, or its window is drawn smaller
def test_no_width_scrolls_the_page_sideways(chromium, made, width, first):
    page = chromium.open(made, first)
    page.resize(width)
    page.until(f"[...document.querySelectorAll('.plot')].every({FITS})")
    assert page.value("document.documentElement.scrollWidth <= innerWidth")
    assert page.value(f"{VISIBLE}.filter({TOO_WIDE}).map((one) => one.outerHTML)") == []
    assert page.value("document.querySelector('#filters details').open") is (first == 1280)
    if width == 400:
        frame = "document.querySelector('#table .frame')"
        assert page.value(f"{frame}.scrollWidth > {frame}.clientWidth")  # it scrolls by itself
        page.run(f"{frame}.scrollLeft = 200")
        left = "getBoundingClientRect().left"
        assert page.value(f"Math.abs({frame}.querySelector('td').{left} - {frame}.{left}) < 3")


def test_everything_can_be_reached_and_used_without_a_mouse(page):
    tab, enter = "\ue004", "\ue007"
    page.press(tab)
    assert page.value("document.activeElement.className") == "skip"
    page.run("window.seen = new Set()")
    while page.run("seen.add(document.activeElement); return document.activeElement !== document.body"):
        page.press(tab)
    assert page.value(f"{VISIBLE}.filter((one) => one.matches({CONTROLS!r}) && !seen.has(one))") == []
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    page.run("document.querySelector('#filters input[type=checkbox]').focus()")
    page.press(" ")
    assert page.value(outline) == "solid"
    assert "hidden by: model" in page.text("#shown")
    page.run("document.querySelector('#table thead button').focus()")
    page.press(enter)
    assert page.value("document.activeElement.closest('th').ariaSort") == "ascending"
    page.press(enter)
    assert page.value("document.activeElement.closest('th').ariaSort") == "descending"


def test_every_control_has_a_name(page):
    named = "(one) => one.ariaLabel || one.textContent.trim() || one.labels?.[0]?.textContent.trim()"
    controls = "[...document.querySelectorAll('input, select, button')]"
    assert page.value(f"{controls}.filter((one) => !({named})(one)).map((one) => one.outerHTML)") == []


def test_on_paper_there_are_results_and_no_controls(page):
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        shown = "(selector) => [...document.querySelectorAll(selector)].some((one) => one.checkVisibility())"
        assert page.run(f"return ({shown})('aside, nav, .controls, .buttons')") is False
        assert page.run(f"return ({shown})('#table tbody td')") and page.text("#shown") == "40 of 40 shapes shown."
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_dark_follows_the_reader(page):
    feature = [{"name": "prefers-color-scheme", "value": "dark"}]
    light = page.value("getComputedStyle(document.body).backgroundColor")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": feature})
    try:
        assert page.value("getComputedStyle(document.body).backgroundColor") != light
        page.until("document.getElementById('chart-latency').layout.font.color === '#e4e9f0'")
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
