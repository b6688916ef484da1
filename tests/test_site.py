"""What strangers see: the README on the package index, and the documentation as a site."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REPOSITORY = re.search(r"^repo_url: (.*)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)[1]
LINKS = re.findall(r"\]\(([^)\s]+)\)", README)


def test_the_readme_is_short():
    assert README.count("\n") < 120


@pytest.mark.parametrize("link", LINKS)
def test_the_readme_leads_somewhere_from_the_package_index_too(link):
    owner = REPOSITORY.removeprefix("https://github.com/")
    place = re.fullmatch(
        rf"https://(?:github\.com/{owner}/blob|raw\.githubusercontent\.com/{owner})/main/([^#]+)", link
    )
    assert place and (ROOT / place[1]).is_file()


def test_the_site_is_whole(tmp_path, monkeypatch):
    """Strict: no link or anchor leads nowhere, no page is left out. It needs no network."""
    pytest.importorskip("mkdocs.config")
    pytest.importorskip("material")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.chdir(ROOT)
    build(load_config("mkdocs.yml", site_dir=str(tmp_path / "site"), strict=True))
    pages = {str(path.relative_to(tmp_path / "site")): path.read_text() for path in tmp_path.rglob("*.html")}
    assert (
        'src="page.html"' in pages["results/dashboard.html"] and "Content-Security-Policy" in pages["results/page.html"]
    )
    loaded = [
        found for text in pages.values() for found in re.findall(r'<(?:script|img|iframe)[^>]*src="(http[^"]*)"', text)
    ]
    assert loaded == []
