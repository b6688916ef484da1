"""The tables of fields in docs/reference/lines.md, made from the descriptions that lines are checked by.

python -m fmbench.process.reading.reference docs/reference/lines.md
"""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from fmbench.whole_file import write_whole

from ..workload import installed
from .fields import CORE
from .schema import Field, Schema

PLACE = re.compile(r"(?<=<!-- fields of )([A-Z]+)(?:\.(\w+)|, ([a-z ]+))?( -->\n).*?(?=<!-- end -->)", re.DOTALL)
HEADER = "| key | value | meaning |\n|---|---|---|\n"


def kinds() -> Mapping[str, Schema]:
    """Return what is known of every kind of line that carries JSON."""
    return {**CORE, **{kind: one for workload in installed().values() for kind, one in workload.kinds.items()}}


def page(text: str) -> str:
    """Return a page with the tables that belong between its marks. Raises KeyError for a mark that names none."""
    return PLACE.sub(lambda found: f"{mark(found)}{HEADER}{''.join(rows(fields_of(found)))}", text)


def mark(found: re.Match[str]) -> str:
    """Return the rest of a mark."""
    return found[0][: found.end(4) - found.start()]


def fields_of(found: re.Match[str]) -> Mapping[str, Field]:
    """Return the fields that a mark asks for: those of a kind, of an object in it, or further ones of a form."""
    schema, key, form = kinds()[found[1]], found[2], found[3]
    below = schema.fields[key].below or schema.fields[key].each if key else None
    return below.fields if below is not None else schema.forms[form] if form else schema.fields


def rows(fields: Mapping[str, Field]) -> Iterator[str]:
    """Yield a row a field: its key, bold where it is needed, what it holds, and what it means.

    What a line speaks of, the page says once for all of them.
    """
    for key, one in fields.items():
        if one.binding and not one.needed:
            continue
        value = f"{one.form}, {one.unit}" if one.unit else one.form
        means = one.means.replace("|", "&#124;")
        yield f"| **`{key}`** | {value} | {means} |\n" if one.needed else f"| `{key}` | {value} | {means} |\n"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    write_whole(target, page(target.read_text(encoding="utf-8")).encode())
