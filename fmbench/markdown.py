"""Tables in Markdown, in which nothing that a file says is markup."""

import re
from collections.abc import Iterable, Sequence

CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")  # all but the line feed
MARKUP = re.compile(r"([\\`*\[\]<>|&~])")


def sayable(text: str) -> str:
    """Return a text that UTF-8 can say: half of a surrogate pair becomes its escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def harmless(cell: str) -> str:
    """Return a text on one line, without control characters."""
    return CONTROLS.sub("\N{REPLACEMENT CHARACTER}", " ".join(sayable(cell).split()))


def plain(cell: str) -> str:
    """Return a text that Markdown shows as it is, on one line."""
    return MARKUP.sub(r"\\\1", harmless(cell))


def markdown(header: Sequence[str], lines: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Return a table in Markdown, as GitHub reads it. Nothing in a cell is markup."""
    rule = ["---:" if column in right else "---" for column in range(len(header))]
    rows = [[plain(cell) for cell in line] for line in (header, *lines)]
    rows.insert(1, rule)
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
