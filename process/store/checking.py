"""Checking a store: is every file what it was when it was written, and can it still be read?"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from fmbench.errors import UsageError

from ..reading.fields import SCHEMA_VERSION
from ..reading.results import read_source
from ..reading.saved import read_saved
from ..reading.sources import Source
from ..writing import formats
from .adding import digest_of
from .entry import COMMIT, FORMAT, LOG, RESULTS, SHORT, Facts, current, encode, parse, seal_of
from .store import Store


def ignore(_: str) -> None:
    """Take no notice of a warning: it was given when the log was added."""


def problems(store: Store, name: str) -> Iterator[str]:
    """Yield what is wrong with an entry, a line each."""
    try:
        raw = parse(next(iter(store.place.read([f"{name}/{COMMIT}"]))), name)
        facts = current(raw, name)
    except UsageError as error:
        yield str(error).removeprefix(f"{name}/")
        return
    if raw.get("digest") != seal_of(raw):
        yield f"{COMMIT}: was changed since it was written"
    named = f"{facts['machine'].get('name')}/{facts['run'].get('name')}"
    if named != name:
        yield f"{COMMIT}: is that of {named}"
    for file, check in ((LOG, log_problems), (RESULTS, results_problems)):
        if not store.place.has(f"{name}/{file}"):
            yield f"{file}: is missing; add the log of this run again, or remove the entry"
            continue
        with store.place.file(f"{name}/{file}") as path:
            if digest_of(path) != facts["files"].get(file):
                yield f"{file}: was changed since it was written"
            yield from (text if text.startswith(file) else f"{file}: {text}" for text in check(path, facts))


def log_problems(path: Path, facts: Facts) -> Iterator[str]:
    """Yield what is wrong with a log: that it cannot be read, or is another."""
    source, digest = Source(path, LOG), hashlib.sha256()
    warnings: list[str] = []
    try:
        for block in source.blocks(warnings.append):
            digest.update(block)
        for _ in read_source(source, ignore, repetitions=False):
            pass
    except UsageError as error:
        yield str(error)
        return
    yield from warnings
    if digest.hexdigest() != facts["log"].get("sha256"):
        yield "is not the log that was added"
    elif not str(facts["run"].get("name")).endswith(f"-{digest.hexdigest()[:SHORT]}"):
        yield "is not the log of this run"


def results_problems(path: Path, facts: Facts) -> Iterator[str]:
    """Yield what is wrong with results: that they cannot be read, or are more or fewer than there were."""
    try:
        count = sum(1 for _ in read_saved(Source(path, RESULTS).lines(ignore), RESULTS, ignore))
    except UsageError as error:
        yield str(error)
        return
    if count != facts["results"].get("count"):
        yield f"holds {count} results, and {facts['results'].get('count')} were written"


def is_old(store: Store, name: str) -> bool:
    """Whether an entry is of an older version. Raises UsageError where it cannot be read."""
    raw = parse(next(iter(store.place.read([f"{name}/{COMMIT}"]))), name)
    facts = current(raw, name)
    return raw["store"] < FORMAT or facts["results"].get("schema") != SCHEMA_VERSION


def upgrade(store: Store, name: str) -> None:
    """Rewrite an entry in today's version. Its log stays as it is, so that an interrupted upgrade can be made good."""
    place = store.place
    facts = current(parse(next(iter(place.read([f"{name}/{COMMIT}"]))), name), name)
    with place.workspace() as folder:
        with (folder / RESULTS).open("w", encoding="utf-8") as stream:
            formats.write_json((result.row for result in store.results([name], ignore)), stream)
        upgraded = {
            **facts,
            "results": {**facts["results"], "schema": SCHEMA_VERSION},
            "files": {**facts["files"], RESULTS: digest_of(folder / RESULTS)},
        }
        place.delete(f"{name}/{COMMIT}")
        place.put(folder / RESULTS, f"{name}/{RESULTS}")
        place.write(f"{name}/{COMMIT}", encode(upgraded))
