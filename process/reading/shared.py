"""Which results are in several files: in a log and in what `process` wrote of it, in a log and in its end.

When a result began is known to the nanosecond, so that the same thing with the same time was measured once.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fmbench.digest import digest_of_json

from ..workload import workload_of
from .copies import in_words
from .row import Result

Key = tuple[str, str, str, str]
RAN = ("setup", "phases", "cell")  # what has seconds of its own, or a time
WITH = ("machine", "precision", "configuration", "opts", "error", "variant")


@dataclass(frozen=True, slots=True)
class Shared:
    """How many results of one file, of how many, another one has too."""

    source: str
    of: str
    count: int
    every: int

    def __str__(self) -> str:
        """Say so."""
        if self.every == 1:
            return f"the result of {self.source} is in {self.of}"
        return f"{'all' if self.count == self.every else f'{self.count} of the'} {self.every} results of " + (
            f"{self.source} are in {self.of}"
        )


def key_of(result: Result) -> Key | None:
    """Return what tells a result from every other that was ever measured; None where nothing does.

    Without a time of its own, that is how long its run took to set up, with all that it says; a run that says nothing
    of that either (a comparison of captures, what failed before) might be another that came to the same.
    """
    row = result.row
    name, label, model = row["workload"], workload_of(row).label(row), str(row["model"])
    if row["timestamp"] is not None:  # another program's clock may be coarser
        return name, label, model, str(row["timestamp"])
    if not any(row[part] for part in RAN):
        return None
    return name, label, model, digest_of_json([row.get(part) for part in (*RAN, *WITH, name)])


def counted_once(read: Sequence[Sequence[Result]], warn: Callable[[str], None]) -> list[list[Result]]:
    """Return the results of files, each once: of the file that says most. A warning says of which ones that is.

    What has no key goes where all others of its file are another's, if that has its like: a log's end lacks the lines
    that would tell.
    """
    keys = [[key_of(result) for result in results] for results in read]
    owner: dict[Key, int] = {}
    for place in sorted(range(len(read)), key=lambda place: worth(read[place]), reverse=True):
        for key in filter(None, keys[place]):
            owner.setdefault(key, place)
    kept, said = [], []
    for place, results in enumerate(read):
        owners = [owner[key] if key else None for key in keys[place]]
        others = {one for one in owners if one is not None}
        if others and place not in others:
            told = {label_of(result) for one in others for result in read[one]}
            first = min(others)
            owners = [first if one is None and label_of(result) in told else one
                      for one, result in zip(owners, results, strict=True)]  # fmt: skip
        kept.append([result for one, result in zip(owners, results, strict=True) if one in (None, place)])
        counts = Counter(one for one in owners if one not in (None, place))
        said += [Shared(results[0].source, read[one][0].source, count, len(results)) for one, count in counts.items()]
    if said:
        warn(f"results that several files hold are counted once: {in_words(said)}")
    return kept


def in_both(base: Iterable[Result], new: Iterable[Result]) -> list[Shared]:
    """Return which results of one side the other side has too."""
    held = {key: result.source for result in base if (key := key_of(result)) is not None}
    every: Counter[str] = Counter()
    both: Counter[tuple[str, str]] = Counter()
    for result in new:
        every[result.source] += 1
        if (key := key_of(result)) in held:
            both[result.source, held[key]] += 1
    return [Shared(source, of, count, every[source]) for (source, of), count in both.items()]


def label_of(result: Result) -> tuple[str, str]:
    """Return of what a result is, without its time."""
    return result.row["workload"], workload_of(result.row).label(result.row)


def worth(results: Sequence[Result]) -> tuple[int, ...]:
    """Return how much a file says: a log has what its results are from; one that has grown, or is whole, says more."""
    rows = [result.row for result in results]
    facts = sum(len(row["environment"] or ()) for row in rows)
    whole = sum(row["status"] != "PARTIAL" for row in rows)
    return sum(not result.saved for result in results), len(rows), whole, facts
