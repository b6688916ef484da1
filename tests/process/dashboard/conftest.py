"""One browser for all tests of the dashboard, and pages to open in it."""

import pytest

from fmbench.process.cli import main
from tests.bench.dashboard import write_page
from tests.browser import browser, why_not

from .page import HOSTILE, Page, log_text


@pytest.fixture(scope="session")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def chromium(downloads):
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    with browser(downloads) as driver:
        yield Page(driver)


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Four runs: two of one fingerprint, one of another, and one of a model with a name that is markup."""
    folder = tmp_path_factory.mktemp("logs")
    texts = {
        "monday.log": log_text(),
        "tuesday.log": log_text(slower=1.1, batches=(1, 2, 4, 8, 16, 32, 64)),
        "half.log": log_text(dtype="bfloat16", slower=0.5, threads=2),
        "hostile.log": log_text(model=HOSTILE, inputs=(16,), batches=(1, 2), device=HOSTILE),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    assert main(["--path", str(folder), "--metadata_id", "=1+1", "--dashboard", str(folder / "page.html")]) == 0
    return folder / "page.html"


@pytest.fixture
def page(chromium, made):
    return chromium.open(made)


@pytest.fixture
def page_of(chromium, tmp_path):
    def open_page(*paths):
        words = [word for path in paths for word in ("--path", str(path))]
        assert main([*words, "--dashboard", str(tmp_path / "page.html")]) == 0
        return chromium.open(tmp_path / "page.html")

    return open_page


@pytest.fixture(scope="session")
def many_shapes(tmp_path_factory):
    """The dashboard of 10,000 shapes in 40 logs."""
    target = tmp_path_factory.mktemp("dashboard") / "many.html"
    write_page(target)
    return target
