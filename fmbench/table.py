"""Plain text tables for a terminal."""

import unicodedata
from collections.abc import Sequence

from fmbench.markdown import harmless


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Return aligned columns; those whose index is in `right` are flush right. A cell is one line, and harmless."""
    cells = [[harmless(str(cell)) for cell in row] for row in (header, *rows)]
    widths = [max(columns(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "  ".join(
            " " * (width - columns(cell)) + cell if column in right else cell + " " * (width - columns(cell))
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join(lines) + "\n"


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for a wide letter, none for a combining mark."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)
