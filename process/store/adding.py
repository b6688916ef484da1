"""Adding a log: it is packed, its results are computed from what was packed, and both get their place at once."""

import gzip
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fmbench import __version__, lines
from fmbench.digest import CHUNK, digest_of_json
from fmbench.errors import UsageError
from fmbench.history import Past, ignore, read_runs
from fmbench.machine import hardware_of, name_of, slug

from ..reading.fields import CORE, SCHEMA_VERSION
from ..reading.results import doubted, read_source
from ..reading.row import Result
from ..reading.saved import is_saved
from ..reading.sources import Source
from ..writing import formats
from .entry import COMMIT, FILES, FORMAT, LOG, RESULTS, SHORT, Facts, digest_of, encode
from .stages import related
from .store import Store, Warn

NOBODY = "log"  # what a log is called that does not say which driver wrote it
UNDATED = "undated"


@dataclass(frozen=True, slots=True)
class Added:
    """What became of a log: the entry that has it, whether that is new, and of which ones it took the place."""

    name: str
    new: bool
    replaced: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Packed:
    """The log as it was read: its digest and size before packing, its first run, the cell that it is of."""

    sha256: str
    bytes: int
    first: Past | None
    cell: Mapping[str, Any] | None

    @property
    def driver(self) -> str:
        """Which driver wrote it."""
        return str(self.first.driver) if self.first and self.first.driver else NOBODY

    @property
    def environments(self) -> list[dict[str, Any]]:
        """The facts of its first run: of a log without results, such as one that trained, there are no others."""
        return list(self.first.facts.values()) if self.first else []


@dataclass(slots=True)
class Seen:
    """What the results of a log have in common, and what tells them apart."""

    tell: Warn
    statuses: Counter[str] = field(default_factory=Counter)
    models: set[str] = field(default_factory=set)
    platforms: set[str] = field(default_factory=set)
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)  # by digest, in order
    started: float | None = None

    def rows(self, results: Iterator[Result]) -> Iterator[dict[str, Any]]:
        """Pass rows on, and take note."""
        last: dict[str, Any] | None = None
        for result in results:
            row = result.row
            self.statuses[row["status"]] += 1
            self.tell(f"{self.statuses.total()} results")
            self.models.update([row["model"]] if row["model"] else [])
            if row["timestamp"] is not None and (self.started is None or float(row["timestamp"]) < self.started):
                self.started = float(row["timestamp"])
            if row["environment"] and row["environment"] != last:
                last = row["environment"]
                self.environments.setdefault(digest_of_json(last), last)
                self.platforms.update([str(last["platform"])] if last.get("platform") else [])
            yield row


def add(store: Store, source: Source, warn: Warn, tell: Warn) -> Added:
    """Add a log to a store; one that it has already is found by its content. `tell` hears how far it is.

    Raises UsageError for what is no log with results, FmbenchError where the store cannot be written.
    """
    with store.place.workspace() as folder:
        packed = pack(source, folder / LOG, warn, tell)
        known = store.holding(packed.sha256, warn)
        if known is not None and all(store.place.has(f"{known}/{file}") for file in FILES):
            return Added(known, new=False)
        seen = Seen(tell)
        results = read_source(Source(folder / LOG, source.name), warn, repetitions=False)
        with (folder / RESULTS).open("w", encoding="utf-8") as stream:
            formats.write_json(seen.rows(doubted(results, warn)), stream)
        if not seen.statuses and packed.cell is None:
            raise UsageError(f"{source.name}: holds no results; a driver's log has FMWORK RES lines")
        try:
            facts = describe(packed, seen, folder)
        except UsageError as error:
            raise UsageError(f"{source.name}: {error}") from None
        name = f"{facts['machine']['name']}/{facts['run']['name']}"
        (folder / COMMIT).write_bytes(encode(facts))
        log = Source(folder / LOG, source.name)
        holder, held = (None, []) if packed.cell else related(store.place, store.names(), log, name)
        if holder is not None:
            return Added(holder, new=False)
        check_removable(store, source, held)
        new = store.publish(folder, name)
        for earlier in held:
            store.remove(earlier)
        if known not in (None, name):
            store.remove(known)  # it has lost a file, and an earlier version named it otherwise
        return Added(name, new, held)


def check_removable(store: Store, source: Source, names: Sequence[str]) -> None:
    """Raise UsageError where the folder of an entry that is to go holds what somebody else put there."""
    for path in store.strangers():
        if (name := path.rpartition("/")[0]) in names:
            raise UsageError(
                f"{source.name}: has grown since it was kept as {name}, whose folder holds {path} too; move that out"
            )


def pack(source: Source, target: Path, warn: Warn, tell: Warn) -> Packed:
    """Write a log gzipped, the same bytes each time. Raises UsageError for results in JSON."""
    digest, size, head, tail = hashlib.sha256(), 0, b"", b""
    with target.open("wb") as stream, gzip.GzipFile("", "wb", compresslevel=6, fileobj=stream, mtime=0) as packer:
        for block in source.blocks(warn):
            if len(head) < CHUNK:
                head += block
            tail = (tail + block)[-CHUNK:]
            digest.update(block)
            packer.write(block)
            size += len(block)
            tell(f"{size / 1e6:.0f} MB packed")
    if is_saved(source.name, head.partition(b"\n")[0]):
        raise UsageError(f"{source.name}: holds results and is no log; add the log that they are from")
    return Packed(digest.hexdigest(), size, next(iter(read_runs(head)), None), cell_of(tail))


def cell_of(tail: bytes) -> dict[str, Any] | None:
    """Return which cell of a sweep a log is of, by its last line; None where no sweep has ended it."""
    last = (tail.rstrip(b"\n").rpartition(b"\n")[2]).decode("utf-8", "replace")
    line = lines.parse_whole(last, tail.endswith(b"\n"), True, ignore)
    if not lines.is_json(line, "CELL"):
        return None
    try:
        CORE["CELL"].refuse(line.data)
    except lines.LineError:
        return None
    return line.data


def describe(packed: Packed, seen: Seen, folder: Path) -> Facts:
    """Return what environment.json says. It follows from the log alone: the same log makes the same entry anywhere."""
    environments = list(seen.environments.values()) or packed.environments
    hardware = hardware_of(environments)
    began = (packed.cell or {}).get("start")  # of a cell that ended before its first repetition
    started = moment(float(began) if seen.started is None and began else seen.started)
    stamp = started.strftime("%Y%m%dT%H%M%SZ") if started else UNDATED
    return {
        "store": FORMAT,
        "fmbench": __version__,
        "machine": {"name": name_of(hardware), "hardware": hardware},
        "run": {
            "name": f"{stamp}-{slug(packed.driver)}-{packed.sha256[:SHORT]}",
            "driver": packed.driver,
            "started": started.strftime("%Y-%m-%dT%H:%M:%SZ") if started else None,
            **({} if packed.cell is None else {"cell": packed.cell}),
        },
        "log": {"sha256": packed.sha256, "bytes": packed.bytes},
        "results": {
            "schema": SCHEMA_VERSION,
            "count": seen.statuses.total(),
            "statuses": dict(sorted(seen.statuses.items())),
            "models": sorted(seen.models),
            "platforms": sorted(seen.platforms),
        },
        "files": {name: digest_of(folder / name) for name in (LOG, RESULTS)},
        "environments": environments,
    }


def moment(seconds: float | None) -> datetime | None:
    """Return a time of the epoch, where a calendar has it."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
