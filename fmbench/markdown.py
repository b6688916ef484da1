"""Tables in Markdown, in which nothing that a file says is markup."""

import re
from collections.abc import Iterable, Sequence

# What no reader sees and a terminal or a browser obeys: controls but the line feed, what turns the direction of
# writing, what has no width, tags.
CONTROLS = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4"
    r"\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd"
    r"\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
MARKUP = re.compile(r"([\\`*\[\]<>|&~])")


def sayable(text: str) -> str:
    """Return a text that UTF-8 can say: half of a surrogate pair becomes its escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def visible(text: str) -> str:
    """Return a text of any number of lines in which what nobody sees is replaced: what reads it shall not obey it."""
    return CONTROLS.sub("\N{REPLACEMENT CHARACTER}", sayable(text))


def harmless(cell: str) -> str:
    """Return a text on one line, without what nobody sees."""
    return visible(" ".join(cell.split()))


def plain(cell: str) -> str:
    """Return a text that Markdown shows as it is, on one line."""
    return MARKUP.sub(r"\\\1", harmless(cell))


def fenced(text: str) -> str:
    """Return a text of any number of lines as a block of code, which nothing in it ends."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}\n{visible(text).rstrip()}\n{fence}\n"


def markdown(header: Sequence[str], lines: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Return a table in Markdown, as GitHub reads it. Nothing in a cell is markup."""
    rule = ["---:" if column in right else "---" for column in range(len(header))]
    rows = [[plain(cell) for cell in line] for line in (header, *lines)]
    rows.insert(1, rule)
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
