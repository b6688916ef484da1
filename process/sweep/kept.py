"""What a store has of the cells of a sweep: which are done under today's fingerprint, and how long such ones took."""

import bisect
import contextlib
import io
import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from fmbench import facts
from fmbench.checks import Checked
from fmbench.configuration import OWN
from fmbench.errors import FmbenchError
from fmbench.host import host_facts
from fmbench.identity import digest_of_input
from fmbench.secrets import masked_values

from ..store.checking import problems
from ..store.entry import Entry
from ..store.store import Store, Warn
from .cell import Cell

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a cell that a store has: its entry, whether its command ended well, and the facts that it ran under.

    `start` is in seconds since the epoch; the oldest of all where nothing says it. `inputs` and `outputs` are the
    digests of what it read and wrote, by path; an earlier fmbench kept none of the latter.
    """

    entry: str
    start: float
    whole: bool
    seconds: float
    environment: Facts
    inputs: Facts = field(default_factory=dict)
    outputs: Facts = field(default_factory=dict)

    @property
    def read_others(self) -> list[str]:
        """The files and folders that it read, and that are others now."""
        return [path for path, digest in self.inputs.items() if digest_of_input(Path(path)) != digest]

    @classmethod
    def of(cls, entry: Entry) -> "Run":
        """Return the run of an entry that has a cell."""
        said = entry.facts["run"]["cell"]
        whole = said.get("exit_code") == 0  # a choice among set-ups, some of which cannot run, is whole
        environments = entry.facts["environments"]
        packages = {name: one for found in environments for name, one in (found.get("packages") or {}).items()}
        first = environments[0] if environments else {}
        every = {**first, "packages": packages} if packages else first  # of all variants: an upgrade of any is one
        read, wrote = (said.get(name) or {} for name in ("inputs", "outputs"))
        return cls(entry.name, start_of(entry), whole, said["seconds"], every, read, wrote)


@dataclass
class Kept:
    """The runs of cells in a store: by cell, the newest last, and the seconds of all by what they are of.

    `cut` is when cells were last seen that were writing when their sweep was killed, `refusals` when cells were last
    refused, in seconds since the epoch.
    """

    runs: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    cut: Mapping[str, float] = field(default_factory=dict)
    refusals: dict[str, float] = field(default_factory=dict)
    _seconds: dict[tuple[str, ...], list[float]] = field(default_factory=lambda: defaultdict(list))
    _medians: dict[tuple[str, ...], float] = field(default_factory=dict)

    @classmethod
    def read(cls, entries: Iterable[Entry], cut: Mapping[str, float]) -> "Kept":
        """Take in what a store has."""
        kept = cls(cut=cut)
        for entry in entries:
            cell = entry.facts["run"].get("cell")
            if cell and cell.get("refused"):
                kept.refusals[cell["id"]] = max(kept.refusals.get(cell["id"], 0.0), start_of(entry))
            elif cell:
                kept.add(entry)
        return kept

    def add(self, entry: Entry) -> Run:
        """Take in an entry, and return its run."""
        said, run = entry.facts["run"]["cell"], Run.of(entry)
        bisect.insort(self.runs[said["id"]], run, key=lambda one: one.start)
        if run.whole and not said.get("resumed"):  # of one that went on, nobody knows how long the first part took
            for key in ((said["id"],), (said["run"], *entry.facts["results"]["platforms"])):
                self._seconds[key].append(run.seconds)
                self._medians.pop(key, None)
        return run

    def seconds(self, cell: Cell, platform: str) -> float | None:
        """Return how long such a cell took, the median: the same one, else those of its command on its platform."""
        key = next((one for one in ((cell.id,), (cell.run, platform)) if one in self._seconds), None)
        if key is not None and key not in self._medians:
            self._medians[key] = median(self._seconds[key])
        return None if key is None else self._medians[key]

    def knows_refused(self, cell: Cell) -> bool:
        """Whether that a cell was refused is the last that is known of it."""
        runs = self.runs.get(cell.id)
        return self.refusals.get(cell.id, 0.0) > (runs[-1].start if runs else 0.0)

    def of_today(self, cell: Cell, checked: Checked) -> tuple[list[Run], list[str]]:
        """Return the runs of a cell under the fingerprint that it would have now, and what differs in the others."""
        found: list[Run] = []
        changed: dict[str, None] = {}
        for run in self.runs.get(cell.id, ()):
            names = changes(run.environment, checked) or run.read_others
            changed |= dict.fromkeys(names)
            found += [] if names else [run]
        return found, list(changed)


def whole_entries(store: Store, cells: Collection[str], warn: Warn) -> Iterator[Entry]:
    """Yield the entries of a store, but those of some cells that have lost a file, or hold another than was written."""
    for entry in store.entries(store.names(), warn):
        if (entry.facts["run"].get("cell") or {}).get("id") in cells:
            try:
                wrong = next(problems(store, entry.name, contents=False), None)
            except (FmbenchError, OSError):
                if not store.gone(entry.name):
                    raise
                continue
            if wrong:
                warn(f"{store.name}/{entry.name}: {wrong}; this run of a cell does not count")
                continue
        yield entry


def start_of(entry: Entry) -> float:
    """Return when a run of a cell started, in seconds since the epoch: its name says only when its first result did."""
    run = entry.facts["run"]
    if (start := run["cell"].get("start")) is not None:
        return float(start)
    started = run.get("started")
    return datetime.fromisoformat(started).timestamp() if started else 0.0


def lacking(runs: Sequence[Run], wanted: int) -> tuple[int, int]:
    """Return how many runs a cell lacks of so many that are wanted, and how many good ones.

    What failed is a run too, unless a later one is good; where the newest failed, at least one good one is lacking.
    """
    good = sum(run.whole for run in runs)
    failed = sum(1 for _ in itertools.takewhile(lambda run: not run.whole, reversed(runs)))
    return max(0, wanted - good - failed), max(int(failed > 0), wanted - good)


def changes(then: Facts, checked: Checked) -> list[str]:
    """Return the facts of a run that would be others now; what is not known before it runs is left out."""
    found = differing(then, known_facts((*checked.platform.distributions, *then.get("packages", ()))))
    if found or facts.DIGEST not in then:
        return found
    with contextlib.redirect_stderr(io.StringIO()):  # what it would say, the command will say when it runs
        return differing(then, masked_values(dict(checked.model())))


def differing(then: Facts, now: Facts) -> list[str]:
    """Return the facts that differ, of those that are known on both sides, but for what commands set themselves.

    Another commit is no difference where nothing that measures is another.
    """
    known = then.keys() & now.keys()
    found = facts.differences({key: then[key] for key in known}, {key: now[key] for key in known})
    if facts.measures_alike(*found.get("fmbench_commit", (None, None))):
        del found["fmbench_commit"]
    return [name for name, pair in found.items() if (name, pair[0]) != OWN]


@cache
def known_facts(distributions: Sequence[str] = ()) -> Facts:
    """Return what is known of a run on this machine before it starts."""
    software = facts.software_facts(tuple(distributions))
    found: Facts = masked_values({**software, "variables": facts.variables(), **host_facts()})
    return found
