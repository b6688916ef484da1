"""The page: HTML, style, script, results and plotly's own script, all in one file."""

import base64
import hashlib
import importlib.resources
import json
import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from fmbench.console import warn
from fmbench.distribution import to_install
from fmbench.errors import UsageError

from ..reading.row import Result
from ..workload import by_workload
from ..writing.output import opened
from .data import data_of

# A panel calls panel(...), which is described in page.js. They stand in this order; those of workloads are between.
FIRST = ("elements.js", "shapes.js", "filters.js", "plots.js", "page.js", "panels/records.js", "panels/charts.js",
         "panels/table.js", "panels/workloads.js")  # fmt: skip
LAST = ("panels/compare.js", "panels/fingerprints.js")
START = "start().catch(giveUp);\n"
ENDS = re.compile("</|<!--")  # what would end a script early
PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
MANY = 50_000  # results; beyond, a browser needs seconds for every choice


def write_dashboard(results: Sequence[Result], target: Path) -> None:
    """Write the page, whole or not at all. The same results make the same bytes.

    Raises UsageError where plotly is missing or the target cannot be written.
    """
    plotly = plotly_script()
    data = data_of(results)
    if data["shapes"]["size"] > MANY:
        warn(f"{target}: {data['shapes']['size']} results are many for one page; name fewer logs if it is slow")
    text = page(json.dumps(data, allow_nan=False, separators=(",", ":")), plotly, panels_of(results))
    with opened(target) as stream:
        stream.write(text)


def plotly_script() -> str:
    """Return the script that plotly's wheel carries. Raises UsageError where plotly is missing."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise UsageError(f"--dashboard needs plotly: {to_install('dashboard')}") from None
    return str(get_plotlyjs())


def panels_of(results: Iterable[Result]) -> list[str]:
    """Return the scripts of the workloads whose results are there. One that cannot be part of a page is a warning."""
    found = []
    for workload, _ in by_workload(results):
        if workload.panel is None:
            continue
        if ENDS.search(workload.panel):
            warn(
                f"workload {workload.name!r}: its panel is left out: a script with </ or <!-- cannot be part of a page"
            )
        else:
            found.append(f"{{\n{workload.panel}\n}}")  # a block: its names are its own
    return found


def page(data: str, plotly: str, panels: Sequence[str] = ()) -> str:
    """Return the HTML. Nothing from a log is markup: results are packed, and the script makes text nodes of them.

    Each script of a workload is an element of its own: one that does not parse takes nothing else away.
    """
    scripts = [f'"use strict";\n{text}' for text in (joined(FIRST), *panels, joined(LAST) + START)]
    policy = " ".join(map(allowed, [*scripts, plotly]))
    parts = {
        "policy": f"default-src 'none'; script-src {policy}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'",
        "style": source("dashboard.css"),
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
        "data": pack(data),
        "plotly": pack(plotly),
    }
    return PLACEHOLDER.sub(lambda found: parts[found[1]], source("page.html"))


def joined(names: Iterable[str]) -> str:
    """Return some of the page's own files as one."""
    return "\n".join(map(source, names))


def source(name: str) -> str:
    """Return one of the page's own files."""
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def allowed(script: str) -> str:
    """Return how a Content-Security-Policy names a script: the browser runs it, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def pack(text: str) -> str:
    """Return a text deflated (zlib) and in base64: plotly's 4.8 MB become 2 MB."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()
