"""What the page says of two logs side by side: what `fmbench compare` says of them, for as many pairs as have room."""

import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from ..comparing.comparison import Comparison, compare_sides
from ..comparing.report import comparison_object, headline, rows_of
from ..comparing.sides import ALL, Side, check_comparable, side_of, tell_unsaid
from ..comparing.verdicts import THRESHOLD
from ..reading.row import Result

MOST = 5_000  # shapes that are compared; each takes half a millisecond here, and 100 bytes of the page


def comparisons_of(results: Iterable[Result]) -> dict[str, Any]:
    """Return the comparisons of pairs of logs, until there are MOST shapes, and how many more pairs there would be."""
    members: dict[str, list[Result]] = {}
    for result in results:
        members.setdefault(result.source, []).append(result)
    notes: dict[str, list[str]] = {name: [] for name in members}
    sides = [side_of(name, found, (), notes[name].append) for name, found in members.items()]
    made: list[dict[str, Any]] = []
    left, room = 0, MOST
    for base, new in pairs_of(sides):
        shapes = len(base.results.keys() & new.results.keys())
        if shapes > room:
            left += 1
        elif timed(comparison := compare(base, new)):
            room -= shapes
            made.append(as_json(comparison, [*notes[base.name], *notes[new.name]]))
    return {"made": made, "left": left, "logs": len(sides)}


def pairs_of(sides: Sequence[Side]) -> list[tuple[Side, Side]]:
    """Return pairs with a shape in both: each log and the first of its configurations; then each and the first."""
    of = [configurations(side) for side in sides]

    def first(new: int, alike: bool) -> int | None:
        """Return the place of the first log before another that has a shape of it."""
        keys = sides[new].results.keys()
        found = (base for base in range(new) if not alike or of[base] == of[new])
        return next((base for base in found if not keys.isdisjoint(sides[base].results)), None)

    pairs = dict.fromkeys((first(new, alike), new) for alike in (True, False) for new in range(len(sides)))
    return [(sides[base], sides[new]) for base, new in pairs if base is not None]


def configurations(side: Side) -> set[str | None]:
    """Return the ids of what a side is of."""
    return {result.row["configuration"] for result in side.results.values()}


def compare(base: Side, new: Side) -> Comparison:
    """Return what `fmbench compare` says, with --across for the facts that differ."""
    return compare_sides([base, new], [check_comparable(base, new, (ALL,))], THRESHOLD)[0]


def timed(comparison: Comparison) -> bool:
    """Whether a shape has a latency on both sides: of what was not timed there is nothing to say."""
    return any(change.base.itl is not None and change.new.itl is not None for change in comparison.changes)


def as_json(comparison: Comparison, notes: list[str]) -> dict[str, Any]:
    """Return what `fmbench compare --format json` has of a comparison, and beside it what the table there says."""
    tell_unsaid(comparison.base, comparison.new, notes.append)
    header, lines, right = rows_of(comparison)
    table = {"header": header, "lines": lines, "right": right, "notes": notes}
    across = ["--across", ",".join(comparison.differing)] if comparison.differing else []
    command = shlex.join(["fmbench", "compare", comparison.base.name, comparison.new.name, *across])
    return {**comparison_object(comparison), "headline": headline(comparison), "table": table, "command": command}
