"""A comparison as one HTML page: no script, nothing from elsewhere, and nothing in it is markup but our own."""

from html import escape

from fmbench.markdown import harmless

from .comparison import Comparison
from .plot import drift_svg
from .report import NOTES
from .tables import (
    Table,
    agreement_table,
    facts_text,
    headline,
    own_drifts,
    query_table,
    ranking_table,
    tensor_table,
)  # fmt: skip

MOST_QUERIES = 1000
STYLE = """\
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 0 0 2rem; font-size: 13px }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .6rem; text-align: left; white-space: nowrap }
.right { text-align: right; font-variant-numeric: tabular-nums }
.equal { color: #777 } .close { background: #fff4d6 } .different, .shape, .missing { background: #fbdada }
.first { font-size: 1.15rem; font-weight: 600 } svg { max-width: 100%; height: auto }
"""
VERDICTS = ("equal", "close", "different", "shape", "missing")


def as_html(found: Comparison, names: tuple[str, str]) -> str:
    """Return the page."""
    title = f"Fidelity: {harmless(names[1])} against {harmless(names[0])}"
    parts = [f"<h1>{escape(title)}</h1>", f'<p class="first">{escape(harmless(headline(found)))}</p>']
    if found.facts:
        parts.append(f"<p>Facts that differ: {escape(harmless(facts_text(found.facts)))}.</p>")
    picture = drift_svg(found)
    if picture is not None:
        parts += ["<h2>Drift by layer</h2>", picture]
    tables = (
        ("Tensors, by probe", agreement_table(names, found.rows)),
        ("Rankings", ranking_table(own_drifts(names, found))),
        ("Tensors, in execution order", tensor_table(found.rows)),
        ("Queries whose ranking changed", query_table(found)),
    )
    parts += [section(heading, table) for heading, table in tables if table.lines]
    parts.append(f"<p>{escape(NOTES)}</p>")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def section(heading: str, table: Table) -> str:
    """Return a table with its heading; a long one is cut, and says so."""
    lines = [
        "<tr>" + "".join(cell_of(text, column in table.right) for column, text in enumerate(line)) + "</tr>"
        for line in table.lines[:MOST_QUERIES]
    ]
    head = "".join(f"<th>{escape(name)}</th>" for name in table.header)
    rest = len(table.lines) - len(lines)
    more = f"<p>and {rest:,} more, which --format json has</p>" if rest else ""
    return f"<h2>{escape(heading)}</h2>\n<table><tr>{head}</tr>\n" + "\n".join(lines) + f"\n</table>{more}"


def cell_of(text: str, right: bool) -> str:
    """Return one cell; a verdict has its colour."""
    kinds = [*(["right"] if right else []), *([text] if text in VERDICTS else [])]
    marked = f' class="{" ".join(kinds)}"' if kinds else ""
    return f"<td{marked}>{escape(harmless(text))}</td>"
