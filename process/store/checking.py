"""Checking a store: is every file what it was when it was written, and can it still be read?"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from fmbench.errors import UsageError

from ..reading.results import read_source
from ..reading.saved import read_saved
from ..reading.sources import Source
from .entry import COMMIT, LOG, RESULTS, SHORT, Facts, checked, digest_of, parse, seal_of
from .store import Store


def ignore(_: str) -> None:
    """Take no notice of a warning: it was given when the log was added."""


def problems(store: Store, name: str, contents: bool = True) -> Iterator[str]:
    """Yield what is wrong with an entry, a line each; without `contents`, only that files are gone or were changed."""
    try:
        raw = parse(next(iter(store.place.read([f"{name}/{COMMIT}"]))), name)
        facts = checked(raw, name)
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
            if contents:
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
