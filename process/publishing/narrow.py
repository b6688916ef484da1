"""Tables in Markdown that nobody has to scroll: a wide one becomes several, each with what names its lines."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

WIDEST = 8  # columns
NAMES = 5  # of them, at most, that name a line
SEPARATOR = " | "  # a bar within a cell has a backslash before it
FIGURES = "---:"
INTERVAL = "95% interval"  # of the column before it


def narrow(text: str) -> str:
    """Return a text in Markdown whose tables have WIDEST columns at most."""
    parts: list[str] = []
    for _, group in groupby(text.split("\n"), lambda line: line.startswith("| ")):
        lines = list(group)
        parts += tables([line[2:-2].split(SEPARATOR) for line in lines]) if is_wide(lines[0]) else lines
    return "\n".join(parts)


def is_wide(line: str) -> bool:
    """Whether a line is of a table with more columns."""
    return line.startswith("| ") and line.count(SEPARATOR) >= WIDEST


def tables(lines: Sequence[list[str]]) -> Iterator[str]:
    """Yield a table in as few as will do: what names a line is in each, but where the line has nothing else there."""
    names = naming(lines)
    for first, last in parts(lines[0], names):
        yield from [""] * (first > names)
        shown = (line for line in lines if any(line[first:last]) or not any(line[names:]))
        yield from (f"| {SEPARATOR.join(line[:names] + line[first:last])} |" for line in shown)


def parts(header: Sequence[str], names: int) -> Iterator[tuple[int, int]]:
    """Yield the first column of each table and the one after its last; an interval stays beside what it is of."""
    rest = len(header) - names
    each, first = math.ceil(rest / math.ceil(rest / (WIDEST - names))), names
    while first < len(header):
        last = first + each
        while last < len(header) and header[last] == INTERVAL:
            last -= 1
        yield first, last
        first = last


def naming(lines: Sequence[list[str]]) -> int:
    """Return how many columns name a line: those before the first figures, and more where lines are alike in these."""
    rule = lines[1]
    least = min(rule.index(FIGURES), NAMES) if FIGURES in rule else 1
    enough = (count for count in range(least, NAMES + 1) if len({tuple(line[:count]) for line in lines}) == len(lines))
    return next(enough, least)
