"""Results as one HTML page: tables and pictures, no script, nothing from elsewhere, no markup but our own."""

import io
from collections.abc import Iterable
from html import escape
from typing import Any, TextIO

from fmbench.markdown import harmless, visible

from ..reading.row import Result
from ..workload import Table, by_workload

MOST = 1000  # lines of a table
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = """\
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 0 0 1rem; font-size: 13px }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .6rem; text-align: left; white-space: nowrap }
.right { text-align: right; font-variant-numeric: tabular-nums }
.equal { color: #777 } .close { background: #fff4d6 } .different, .shape, .missing { background: #fbdada }
svg { max-width: 100%; height: auto }
"""
VERDICTS = ("equal", "close", "different", "shape", "missing")


def write_html(rows: Iterable[dict[str, Any]], stream: TextIO) -> None:
    """Write the tables of each workload, then its pictures."""
    parts: list[str] = []
    for workload, results in by_workload(Result(row, "") for row in rows):
        parts += [as_html(table, workload.name) for table in workload.tables(results)]
        parts += pictures(workload.plots().items(), results)
    title = "fmbench results"
    stream.write(
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{STYLE}</style></head>\n'
        f"<body>\n<h1>{title}</h1>\n{''.join(parts)}</body></html>\n"
    )


def as_html(table: Table, name: str) -> str:
    """Return a table under its title, or the workload's name; a long one is cut, and says so."""
    lines = [
        "<tr>" + "".join(cell_of(text, column in table.right) for column, text in enumerate(line)) + "</tr>\n"
        for line in table.lines[:MOST]
    ]
    head = "".join(f"<th>{escape(heading)}</th>" for heading in table.header)
    rest = len(table.lines) - len(lines)
    notes = [*table.notes, *([f"And {rest:,} more lines, which other formats have."] if rest else [])]
    said = "".join(f"<p>{escape(harmless(note))}</p>\n" for note in notes)
    title = escape(harmless(table.title or name.capitalize()))
    lead = "".join(f"<p>{escape(harmless(text))}</p>\n" for text in table.lead)
    code = "".join(f"<pre>{escape(visible(text))}</pre>\n" for text in table.code)
    return f"<h2>{title}</h2>\n{lead}<table><tr>{head}</tr>\n{''.join(lines)}</table>\n{said}{code}"


def cell_of(text: str, right: bool) -> str:
    """Return one cell; a verdict has its colour."""
    kinds = [*(["right"] if right else []), *([text] if text in VERDICTS else [])]
    marked = f' class="{" ".join(kinds)}"' if kinds else ""
    return f"<td{marked}>{escape(harmless(text))}</td>"


def pictures(plots: Iterable[tuple[str, Any]], results: list[Result]) -> list[str]:
    """Return the pictures that results allow, as SVG."""
    from ..plots import canvas

    found = []
    with canvas.look():
        for _, plot in plots:
            figure = plot(results)
            if not isinstance(figure, str):
                picture = io.StringIO()
                figure.savefig(picture, format="svg", metadata={"Date": None})
                text = picture.getvalue()
                found.append(text[text.index("<svg") :])
    return found
