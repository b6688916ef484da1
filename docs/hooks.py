"""What `make docs` adds to docs/: published results with their dashboard, and what links lead to in the repository."""

import contextlib
import io
import os
import re
from pathlib import Path

from mkdocs.structure.files import File

from fmbench.process.cli import main as process

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = ("results/README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")  # pages outside of docs/
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")
HEAD = re.compile(r"<th[^>]*>(.*?)</th>", re.DOTALL)
TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
DASHBOARD = """\
---
hide: [navigation, toc]
---

# Dashboard of the results

[In a window of its own](page.html). It is what `process --path results --dashboard FILE` writes.

<iframe class="dashboard" src="page.html" title="Dashboard"></iframe>
"""


def on_files(files, config):
    """Add the pages outside of docs/, the plots of the results, and the dashboard."""
    for place in (*PAGES, *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "results").glob("plots/*")))):
        files.append(File.generated(config, place, abs_src_path=str(ROOT / place)))
    page = Path(config.site_dir).parent / "dashboard.html"
    page.parent.mkdir(exist_ok=True)
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(io.StringIO()):
        if process(["--path", "results", "--dashboard", str(page)]) != 0:
            raise SystemExit("the dashboard of results/ could not be made")
    files.append(File.generated(config, "results/page.html", abs_src_path=str(page)))
    files.append(File.generated(config, "results/dashboard.md", content=DASHBOARD))
    return files


def on_page_markdown(text, page, config, files):
    """Let links lead where their targets are on the site; what they lead to in the repository comes along."""
    own = page.file.src_uri
    source = ROOT / own if own in PAGES else DOCS / own

    def target(found):
        path = Path(os.path.normpath(source.parent / found[1]))
        place = path.relative_to(DOCS if path.is_relative_to(DOCS) else ROOT)
        if files.get_file_from_path(str(place)) is None:
            if not path.is_file():
                return found[1]
            files.append(File.generated(config, str(place), abs_src_path=str(path)))
        return os.path.relpath(place, Path(own).parent)

    return LINK.sub(target, text).replace("<details>", '<details markdown="1">')


def on_page_content(html, page, config, files):
    """Give every cell the head of its column: where a page is narrow, a row of a wide table is a list of them."""

    def labelled(found):
        heads = [re.sub("<[^>]*>", "", head) for head in HEAD.findall(found[0])]
        if len(heads) < 4:
            return found[0]
        columns = iter(heads * found[0].count("<tr>"))
        cells = re.sub("<td", lambda _: f'<td data-head="{next(columns)}"', found[0])
        return cells.replace("<table>", "<table data-wide>", 1)

    return TABLE.sub(labelled, html)
