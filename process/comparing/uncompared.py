"""What two paths hold that nothing here compares: loads, scores of tasks, captures. What one lacks is counted."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType

from ..reading.row import Result
from ..workload import workload_of
from .sides import SHOWN, is_timed, reduced

Kinds = dict[str, set[tuple[str, str, str]]]  # by workload: model, label and configuration


def kinds_of(results: Sequence[Result], names: dict[str, str], timed: bool) -> Kinds:
    """Return what was measured by workload, shapes and rankings where they are `timed`; of choices, the profiles.

    What else is in a choice's log is what it was decided by, of whoever came so far.
    """
    found: Kinds = defaultdict(set)
    decided = {result.source for result in results if result.row.get("choice")}
    for result in results:
        row = result.row
        choice = row.get("choice")
        if result.source in decided and not choice:
            continue
        if row["status"] == "ERR" or (is_timed(result) and not timed) or (choice and choice["place"] != "winner"):
            continue
        label = choice["profile"] if choice else workload_of(row).label(row)
        configuration = "" if choice else names.get(row["configuration"] or "", "")
        found[row["workload"]].add((row["model"], label, configuration))
    return found


def uncompared(base: Sequence[Result], new: Sequence[Result], across: Collection[str], timed: bool) -> tuple[str, str]:
    """Return what only the base has, and what both have and nothing compares, as counts by workload; empty for none.

    Of each thing as many configurations count as there are: they may be of other versions. Shapes and rankings count
    where they are `timed`.
    """
    names = reduced([*base, *new], across)
    sides = [kinds_of(results, names, timed) for results in (base, new)]
    lacking: dict[str, Counter[tuple[str, str]]] = {}
    both: Counter[str] = Counter()
    for workload in sides[0]:
        there, here = (Counter(thing[:2] for thing in side[workload]) for side in sides)
        lacking[workload] = there - here
        both[workload] = (there & here).total() if workload != "choice" else 0
    named = {workload: f" ({few(things)})" for workload, things in lacking.items()}
    return said(Counter({workload: things.total() for workload, things in lacking.items()}), named), said(both)


def few(things: Iterable[tuple[str, str]]) -> str:
    """Return the labels of the first of some things."""
    labels = [label for _, label in things]
    return "; ".join([*labels[:SHOWN], *(["..."] if len(labels) > SHOWN else [])])


def said(counts: Counter[str], more: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return counts as text, with `more` of each workload."""
    return ", ".join(
        f"{count} of {workload}{more.get(workload, '')}" for workload, count in sorted(counts.items()) if count
    )
