"""Headless Chromium, where there is one: for the tests of pages, and to measure them."""

import contextlib
import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# As root in a container, without a network: nothing may be looked up at the start.
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def why_not() -> str | None:
    """Return why no browser can be driven here and what would help, or None."""
    if importlib.util.find_spec("selenium") is None:
        return "selenium is not installed: pip install 'fmbench[test]'"
    if None in (shutil.which("chromium"), shutil.which("chromedriver")):
        return "there is no Chromium here: apt-get install chromium chromium-driver"
    return None


@contextlib.contextmanager
def browser(downloads: Path | None = None) -> Iterator[Any]:
    """Yield a driver of a browser that logs its console and its requests, and ends with the context."""
    from selenium import webdriver

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
        try:
            if downloads is not None:
                behaviour = {"behavior": "allow", "downloadPath": str(downloads)}
                driver.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
            yield driver
        finally:
            driver.quit()
