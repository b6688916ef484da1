"""The store: its entries, wherever it is."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fmbench.console import Progress, note, warn
from fmbench.errors import FmbenchError, UsageError, nearest
from fmbench.history import ignore

from ..reading.results import read_source
from ..reading.row import Result
from ..reading.saved import read_saved
from ..reading.sources import Source
from .entry import COMMIT, FILES, FORMAT, LOG, RESULTS, SHORT, Entry, decode, digest_of
from .local import LocalPlace
from .place import Place
from .remote import RemotePlace
from .stages import overtaken

DEFAULT = "results"
MARKER = "store.json"
SHOWN = 4
LOCAL = "file://"

Warn = Callable[[str], None]


def is_url(text: str) -> bool:
    """Whether a command line names a store by a URL."""
    return "://" in text


def place_of(text: str) -> Place:
    """Return the place that a command line names: a folder, or a URL."""
    if is_url(text) and not text.startswith(LOCAL):
        return RemotePlace(text)
    return LocalPlace(Path(text.removeprefix(LOCAL)))


class Store:
    """Entries in a place. They are found by listing it, so that no name leads out of it.

    A store has a file that says so, store.json: nothing is added to, or removed from, a folder of anything else.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self.place = place_of(text)
        self._paths = set(self.place.paths() or ())

    @classmethod
    def existing(cls, text: str) -> "Store":
        """Return the store at a place. Raises UsageError where there is none."""
        store = cls(text)
        if not store._paths:
            raise UsageError(f"{store.name}: no store is there; `fmbench results add LOG` makes one")
        store._check()
        for folder in store.nested():
            warn(f"{store.name}/{folder}: is a store of its own, and no part of this one; name it, or move it out")
        return store

    @classmethod
    def ready(cls, text: str) -> "Store":
        """Return the store at a place; where nothing is, the first entry makes one. Raises UsageError elsewhere."""
        store = cls(text)
        if store._paths:
            store._check()
        return store

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.place.name

    @property
    def format(self) -> int:
        """The version that its marker has. Raises UsageError where it has none."""
        try:
            version = json.loads(next(iter(self.place.read([MARKER]))) or b"")["store"]
        except (ValueError, TypeError, KeyError):
            version = None
        if type(version) is not int:
            raise UsageError(f"{self.name}/{MARKER}: is damaged; it should be {marker()}")
        return version

    def mark(self) -> None:
        """Write the marker."""
        self.place.write(MARKER, f"{marker()}\n".encode())

    def _check(self) -> None:
        if MARKER not in self._paths:
            raise UsageError(f"{self.name}: is no store of results, it has no {MARKER}; name another store")
        if (version := self.format) > FORMAT:
            raise UsageError(
                f"{self.name}: is a store of format {version}, and this fmbench reads {FORMAT}; upgrade it"
            )

    def names(self) -> list[str]:
        """Return the names of all entries, sorted."""
        return self._folders_with([COMMIT])

    def halves(self) -> list[str]:
        """Return the names of folders that have files of an entry and are none, sorted."""
        return sorted(set(self._folders_with([LOG, RESULTS])) - set(self.names()))

    def strangers(self) -> list[str]:
        """Return the paths of files that belong to no entry, nor to half of one; those in an entry's folder first."""
        entries = {*self.names(), *self.halves()}
        own = {MARKER, *(f"{name}/{file}" for name in entries for file in FILES)}
        return sorted(self._paths - own, key=lambda path: (path.rpartition("/")[0] not in entries, path))

    def nested(self) -> list[str]:
        """Return the folders in it that are stores of their own, sorted."""
        return sorted(path.rpartition("/")[0] for path in self._paths if path.endswith(f"/{MARKER}"))

    def has(self, path: str) -> bool:
        """Whether a file was there when the store was opened."""
        return path in self._paths

    def gone(self, name: str) -> bool:
        """Whether an entry was removed since the store was opened: it had files, and has none now."""
        return not any(self.place.has(f"{name}/{file}") for file in FILES)

    def _folders_with(self, files: Sequence[str]) -> list[str]:
        found = (path.rpartition("/") for path in self._paths)
        return sorted({folder for folder, _, file in found if file in files and folder.count("/") == 1})

    def choose(self, texts: Sequence[str]) -> list[str]:
        """Return the names that texts stand for, all where there are none. Raises UsageError for one that is nobody's.

        A text is a name, a machine, the beginning of a name or of a run, or the path of one of these.
        """
        names = self.names()
        if not texts:
            return names
        return list(dict.fromkeys(name for text in texts for name in self._meant(text, names)))

    def only(self, text: str) -> str:
        """Return the entry, or half of one, that a text stands for. Raises UsageError where it is none or several."""
        found = self._meant(text, [*self.names(), *self.halves()])
        if len(found) > 1:
            listed = ", ".join(found[:SHOWN]) + (", ..." if len(found) > SHOWN else "")
            raise UsageError(f"{text}: could be any of {len(found)} entries ({listed}); name one")
        return found[0]

    def _meant(self, text: str, names: Sequence[str]) -> list[str]:
        word = text.removeprefix(f"{self._text.rstrip('/')}/").rstrip("/")
        for fits in (
            lambda name: name == word,
            lambda name: name.startswith(f"{word}/"),
            lambda name: name.startswith(word) or name.partition("/")[2].startswith(word),
        ):
            if word and (found := [name for name in names if fits(name)]):
                return found
        known = [*names, *(part for name in names for part in name.split("/"))]
        raise UsageError(f"{text}: no entry of {self.name} is called so, or begins so{nearest(word, known)}")

    def entries(self, names: Iterable[str], warn: Warn) -> Iterator[Entry]:
        """Yield entries that count; one that cannot be read is left out, with a warning."""
        return filter(None, self.counted(names, warn).values())

    def counted(self, names: Iterable[str], warn: Warn) -> dict[str, Entry | None]:
        """Return the entries that count, by name, but those that were removed meanwhile; None for what cannot be read.

        A copy of another one, or its beginning, does not count. Where an entry lies says nothing: its log says which
        machine it is of.
        """
        names = list(names)
        contents = self.place.read(f"{name}/{COMMIT}" for name in names)
        found: dict[str, Entry | None] = {}
        for name, content in zip(names, contents, strict=True):
            try:
                if content is not None or not self.gone(name):
                    found[name] = decode(content, name)
            except UsageError as error:
                warn(f"{error}; `fmbench results check` says more")
                found[name] = None
        first: dict[str, str] = {}
        for entry in sorted(filter(None, found.values()), key=lambda one: one.name != one.own_name):
            kept = first.setdefault(entry.own_name, entry.name)
            if kept != entry.name:
                warn(f"{self.name}/{entry.name}: is a copy of {kept}, and does not count")
                del found[entry.name]
            elif entry.name != entry.own_name:
                warn(f"{self.name}/{entry.name}: is not where it belongs; its log is {entry.own_name}")
        for copy in overtaken(self.place, filter(None, found.values())):
            what = "a copy" if copy.whole else "the beginning"
            warn(f"{self.name}/{copy.source.name}: is {what} of {copy.of.name}, and does not count")
            del found[copy.source.name]
        return found

    def holding(self, sha256: str, warn: Warn) -> str | None:
        """Return the name of the entry that has the log of this digest, or None."""
        named = [name for name in self.names() if name.endswith(f"-{sha256[:SHORT]}")]
        return next(
            (entry.name for entry in self.entries(named, warn) if entry.facts["log"].get("sha256") == sha256), None
        )

    def publish(self, prepared: Path, name: str) -> bool:
        """Make what was prepared an entry; False where there is one of that name already."""
        if not self.place.has(MARKER):  # nor where the store was deleted since it was opened
            self.mark()
            self._paths.add(MARKER)
            note(f"{self.name}: is a store from now on")
        new = self.place.publish(prepared, name)
        self._paths |= {f"{name}/{file}" for file in FILES} if new else set()
        return new

    def remove(self, name: str) -> None:
        """Remove an entry."""
        self.place.remove(name)
        self._paths -= {f"{name}/{file}" for file in FILES}

    def results(self, names: Iterable[str], warn: Warn) -> Iterator[Result]:
        """Yield the results of entries, but those that were removed meanwhile.

        Results that are missing, or not what was written, are those of the log instead, with a warning. Raises
        UsageError where the log is missing or another one too, and for other trouble.
        """
        counted, progress = self.counted(names, warn), Progress()
        for number, (name, entry) in enumerate(counted.items(), start=1):
            progress.show(f"reading {number} of {len(counted)}")
            try:
                yield from self._results(name, entry, warn)
            except FmbenchError:
                if not self.gone(name):
                    raise
        progress.clear()

    def _results(self, name: str, entry: Entry | None, warn: Warn) -> Iterator[Result]:
        named, place = f"{self.name}/{name}/{RESULTS}", {"machine": entry.machine} if entry else {}
        written = entry.facts["files"].get(RESULTS) if entry else None
        why = "is missing"
        if self.has(f"{name}/{RESULTS}"):
            with self.place.file(f"{name}/{RESULTS}") as path:
                if is_sound_or_gone(path, written):
                    saved = read_saved(Source(path, named).lines(warn), named, warn)
                    yield from (Result({**row, **place}, name) for row in saved)
                    return
            why = "nothing says what was written" if written is None else "was changed since it was written"
        warn(f"{named}: {why}, so that its log is read instead; `fmbench results check` says more")
        with self.place.file(f"{name}/{LOG}") as path:
            log = Source(path, f"{self.name}/{name}/{LOG}")
            yield from (Result({**row, **place}, name) for row in logged(log, name))


def is_sound_or_gone(path: Path, written: object) -> bool:
    """Whether a file is what was written; one that is gone is nothing else, and reading it says that."""
    with contextlib.suppress(FileNotFoundError):
        return digest_of(path) == written
    return True


def logged(log: Source, name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of the log that an entry has its name from. Raises UsageError where it is another one."""
    digest = hashlib.sha256()
    for block in log.blocks(ignore):
        digest.update(block)
    if not name.endswith(f"-{digest.hexdigest()[:SHORT]}"):
        raise UsageError(f"{log.name}: is not the log of this run; add the right one again, or remove the entry")
    for result in read_source(log, ignore, repetitions=False):
        yield result.row


def marker() -> str:
    """Return what says that a folder is a store."""
    return json.dumps({"what": "a store of fmbench results", "store": FORMAT})
