"""Which entries are of one log: as it was when it was first added, and as it had grown by then.

They began at the same second with the same driver, so that their names begin alike; the others need not be read. What a
sweep has ended (it has a cell) does not grow.
"""

import contextlib
from collections.abc import Iterable, Sequence

from ..reading.copies import Copy, divided, order_of
from ..reading.sources import Source
from .entry import LOG, Entry
from .place import Place


def beginning(name: str) -> str:
    """Return how the names of runs begin that may be of one log, by the name of an entry or of a run."""
    return name.rpartition("/")[2].rpartition("-")[0]


def related(place: Place, names: Iterable[str], log: Source, name: str) -> tuple[str | None, list[str]]:
    """Return which of some entries holds a log, that would be called `name`, and which ones it holds."""
    held = []
    for other in names:
        if other == name or beginning(other) != beginning(name) or not place.has(f"{other}/{LOG}"):
            continue
        with place.file(f"{other}/{LOG}") as path:
            order = order_of(log, Source(path))
        if order is not None and order <= 0:
            return other, []
        held += [other] if order else []
    return None, held


def overtaken(place: Place, entries: Iterable[Entry]) -> list[Copy]:
    """Return which of some entries others hold, each a `Copy` with their names."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        if not entry.facts["run"].get("cell"):
            groups.setdefault(beginning(entry.own_name), []).append(entry)
    return [copy for group in groups.values() if len(group) > 1 for copy in copies_in(place, group)]


def copies_in(place: Place, entries: Sequence[Entry]) -> list[Copy]:
    """Return which entries' logs hold others'."""
    with contextlib.ExitStack() as files:
        logs = [(entry.name, files.enter_context(place.file(f"{entry.name}/{LOG}")))
                for entry in entries if place.has(f"{entry.name}/{LOG}")]  # fmt: skip
        return divided([Source(path, name) for name, path in logs])[1]
