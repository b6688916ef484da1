"""What keeps the results of two sides apart that hold several configurations: how the nearest two of a shape differ."""

from collections.abc import Iterator, Mapping
from typing import Any

from fmbench.facts import differences, flat

from ..reading.row import Result
from ..workload import workload_of
from .runs import facts_of

Key = tuple[Any, ...]


def between_nearest(base: Mapping[Key, Result], new: Mapping[Key, Result], place: int) -> dict[str, tuple[Any, Any]]:
    """Return the facts that differ between the two results of one shape that are nearest to each other; {} for none.

    The configuration stands at a `place` of the keys.
    """
    found = [apart(result, other) for key, result in base.items() for other in of_shape(new, key, place)]
    return min(found, key=len, default={})


def of_shape(results: Mapping[Key, Result], wanted: Key, place: int) -> Iterator[Result]:
    """Yield the results of a shape under any configuration, but those that failed."""
    for key, result in results.items():
        if key[:place] + key[place + 1 :] == wanted[:place] + wanted[place + 1 :] and result.row["status"] != "ERR":
            yield result


def apart(one: Result, other: Result) -> dict[str, tuple[Any, Any]]:
    """Return the facts of two results that differ, those of their configurations that only one side says too."""
    sides = [flat(found.facts) if (found := workload_of(each.row).configuration(each.row)) else {}
             for each in (one, other)]  # fmt: skip
    configured = {
        name: (sides[0].get(name), sides[1].get(name))
        for name in sorted({*sides[0], *sides[1]})
        if sides[0].get(name) != sides[1].get(name)
    }
    return {**configured, **differences(facts_of(one), facts_of(other))}
