"""What strangers see: the README on the package index, and the documentation as a site."""

import contextlib
import re
from pathlib import Path

import pytest

from .browser import browser, why_not

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINKS = re.findall(r"""(?:\]\(|src=")([^)\s"]+)""", README)
pytestmark = pytest.mark.xdist_group("site")  # which is made once

WIDTHS = (400, 1280)

# What is wider than its place, the page itself or something on it that has a bar for that.
SCROLLING = """
return [document.documentElement, ...document.querySelectorAll(".md-content *")]
    .filter(one => one.clientWidth > 0 && one.scrollWidth > one.clientWidth + 1)
    .filter(one => one === document.documentElement || ["auto", "scroll"].includes(getComputedStyle(one).overflowX))
    .map(one => one.outerHTML.slice(0, 80));
"""


def test_the_readme_is_short():
    assert README.count("\n") < 120


@pytest.mark.parametrize("link", LINKS)
def test_the_readme_leads_somewhere(link):
    assert (ROOT / link.partition("#")[0]).is_file()


NAMED = re.compile(
    r"\b(?:fmbench|drivers|backends|process|docs|tests|examples)/[\w./-]+\.(?:py|md|json|ya?ml|toml|png)\b"
)


def test_files_that_pages_name_are_there():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / ".github").rglob("*.*")]
    named = {path for page in pages for path in NAMED.findall(page.read_text(encoding="utf-8"))}
    assert "docs/tutorials/your-own-accelerator.md" in named
    assert sorted(path for path in named if not (ROOT / path).is_file()) == []


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, made as `make docs` makes it: strict, so that no link leads nowhere and no page is left out."""
    pytest.importorskip("material")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("made") / "site"
    with contextlib.chdir(ROOT):
        build(load_config("mkdocs.yml", site_dir=str(folder)))
    return folder


@pytest.mark.slow
def test_the_site_needs_no_network_and_has_the_dashboard(site):
    pages = {str(path.relative_to(site)): path.read_text() for path in site.rglob("*.html")}
    assert 'src="page.html"' in pages["results/dashboard.html"]
    assert "Content-Security-Policy" in pages["results/page.html"]
    loads = r"""<(?:script|img|iframe|link rel="stylesheet")[^>]*(?:src|href)="http[^>]*"""
    assert re.findall(loads, "".join(pages.values())) == []


def be_as_wide(page, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


@pytest.mark.slow
@pytest.mark.skipif(bool(why_not()), reason=str(why_not()))
def test_nobody_scrolls_sideways(site):
    from selenium.webdriver.support.wait import WebDriverWait

    with browser() as page:
        for path in sorted(set(site.rglob("*.html")) - {site / "404.html", site / "results" / "page.html"}):
            page.get(f"file://{path}")
            for width in WIDTHS:
                be_as_wide(page, width)
                settled = WebDriverWait(page, 10, 0.05)  # what slides away takes a moment
                settled.until(lambda page: page.execute_script(SCROLLING) == [], f"{path.name}, {width} wide")
        # Tables of the dashboard scroll in frames of their own; the page does not.
        for width in WIDTHS:
            be_as_wide(page, width)
            page.get(f"file://{site}/results/page.html")
            WebDriverWait(page, 30).until(lambda page: page.find_elements("css selector", "html[data-ready=true]"))
            assert page.execute_script(SCROLLING) == []


@pytest.mark.slow
@pytest.mark.skipif(bool(why_not()), reason=str(why_not()))
def test_the_search_finds_without_a_network(site):
    from selenium.webdriver.support.wait import WebDriverWait

    with browser() as page:
        page.get(f"file://{site}/index.html?q=non-inferiority")
        found = WebDriverWait(page, 30).until(
            lambda page: page.find_elements("css selector", ".md-search-result__item a")
        )
        assert any("explanation/fidelity.html" in one.get_attribute("href") for one in found)
