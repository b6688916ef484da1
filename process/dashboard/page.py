"""The page: HTML, style, script, results and plotly's own script, all in one file."""

import base64
import hashlib
import importlib.resources
import json
import re
import zlib
from collections.abc import Iterable
from pathlib import Path

from fmbench.console import warn
from fmbench.errors import UsageError

from ..reading.row import Result
from ..writing.output import opened
from .data import data_of

# A panel is one file: it calls panel(...), which is described in panels.js. They stand in this order.
PANELS = ("charts.js", "table.js", "quality.js", "compare.js", "fingerprints.js")
SCRIPTS = (
    "elements.js", "shapes.js", "figures.js", "csv.js", "filters.js", "pages.js", "panels.js", "plots.js", "lines.js",
    "ratios.js", *(f"panels/{name}" for name in PANELS), "start.js",
)  # fmt: skip
PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
MANY = 50_000  # results; beyond, a browser needs seconds for every choice


def write_dashboard(results: Iterable[Result], target: Path) -> None:
    """Write the page, whole or not at all. The same results make the same bytes.

    Raises UsageError where plotly is missing or the target cannot be written.
    """
    plotly = plotly_script()
    data = data_of(results)
    if data["shapes"]["size"] > MANY:
        warn(f"{target}: {data['shapes']['size']} results are many for one page; name fewer logs if it is slow")
    text = page(json.dumps(data, allow_nan=False, separators=(",", ":")), plotly)
    with opened(target) as stream:
        stream.write(text)


def plotly_script() -> str:
    """Return the script that plotly's wheel carries. Raises UsageError where plotly is missing."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise UsageError("--dashboard needs plotly: pip install 'fmbench[dashboard]'") from None
    return str(get_plotlyjs())


def page(data: str, plotly: str) -> str:
    """Return the HTML. Nothing from a log is markup: results are packed, and the script makes text nodes of them."""
    script = "(() => {\n" + "\n".join(source(name) for name in SCRIPTS) + "})();\n"
    parts = {
        "policy": f"default-src 'none'; script-src {allowed(script)} {allowed(plotly)}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'",
        "style": source("dashboard.css"),
        "script": script,
        "data": pack(data),
        "plotly": pack(plotly),
    }
    return PLACEHOLDER.sub(lambda found: parts[found[1]], source("page.html"))


def source(name: str) -> str:
    """Return one of the page's own files."""
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def allowed(script: str) -> str:
    """Return how a Content-Security-Policy names a script: the browser runs it, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def pack(text: str) -> str:
    """Return a text deflated (zlib) and in base64: plotly's 4.8 MB become 2 MB."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()
