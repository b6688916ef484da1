"""Results from logs and from JSON files alike."""

import contextlib
import hashlib
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fmbench.errors import UsageError

from ..workload import installed, remembered, workload_of
from .copies import once
from .log_reader import read_runs
from .row import Result, disagrees
from .run import Run
from .saved import is_saved, read_saved
from .shared import counted_once
from .sources import ENTRY, LOG, Complaints, Source

SHOWN = 4
DAMAGED = "damaged:"  # these reasons were given when the line was read


def read_results(
    sources: Sequence[Source],
    warn: Callable[[str], None],
    metadata_id: str | None = None,
    bad: list[str] | None = None,
    repetitions: bool = True,
) -> Iterator[Result]:
    """Yield the results of every log and file of results, in order, each once, with a warning for one without any.

    Without `repetitions` the records have none, and a log of any size fits into memory; of several, all results are
    held. Raises UsageError for what cannot be read; where `bad` is given, the reason goes there instead and the others
    are read all the same.
    """
    kept = once(sources, warn)
    tell = warn if len(sources) > 1 else lambda text: None
    read: Iterable[Iterable[Result]] = (
        readable(read_source(source, warn, metadata_id, repetitions), source.name, warn, tell, bad) for source in kept
    )
    if len(kept) > 1:
        read = counted_once([list(results) for results in read], warn)
    for results in read:
        yield from doubted(results, warn)


def readable(
    results: Iterator[Result],
    name: str,
    warn: Callable[[str], None],
    tell: Callable[[str], None],
    bad: list[str] | None,
) -> Iterator[Result]:
    """Pass on the results of one file, with a warning where there are none.

    Why it cannot be read goes to `bad` where that is given, and `tell` hears it too.
    """
    found = False
    try:
        for result in results:
            found = True
            yield result
    except UsageError as error:
        if bad is None:
            raise
        tell(str(error))
        bad.append(str(error))
        return
    if not found:
        warn(
            f"{name}: no results; logs of `driver`, `retrieve`, `distill evaluate`, `fidelity`, `choose`, "
            "`quality` and `load` have some"
        )


def doubted(found: Iterable[Result], warn: Callable[[str], None]) -> Iterator[Result]:
    """Pass results on, with a warning for each that its own log does not bear out: of an answer, once."""
    told = set[str]()
    for result in found:
        row = result.row
        if row["doubt"] is not None and not row["doubt"].startswith(DAMAGED):
            answers = workload_of(row).answers
            text = f"{result.origin}: {'' if answers else f'{name_of(result)}: '}{row['doubt']}"
            if not answers or text not in told:
                warn(text)
            told.add(text)
        elif disagrees(row):
            warn(disagreement(result))
        yield result


def name_of(result: Result) -> str:
    """Return what a message calls a result."""
    return workload_of(result.row).label(result.row)


def disagreement(result: Result) -> str:
    """Return what a result line says, and what its repetitions do."""
    median = result.row["statistics"]["p50"]
    said = f"RES of {name_of(result)} says {result.row['itl']} ms"
    return f"{result.source}: {said}, its repetitions say {median:.3f} ms"


def borne_out(source: Source, blocks: Iterable[bytes], warn: Callable[[str], None]) -> Iterator[bytes]:
    """Pass a log on; of a store's, warn at its end where it is not what was kept, or its folder was renamed."""
    path, digest = source.path, hashlib.sha256()
    for block in blocks:
        digest.update(block)
        yield block
    if path is not None and path.name == LOG and path.with_name(ENTRY).exists():
        folder = path.absolute().parent.name
        name = run_name(path.with_name(ENTRY))
        if not digest.hexdigest().startswith((name or folder).rpartition("-")[2]):
            what = "was changed since it was kept" if name else "is not the log that its folder is named after"
            warn(f"{source.name}: {what}; `fmbench results check` says more")
        elif name not in (None, folder):
            warn(f"{source.name}: is the run {name}, whose folder was renamed")


def run_name(entry: Path) -> str | None:
    """Return what the description of a store's run calls it, which ends with its log's digest; None for no answer."""
    with contextlib.suppress(OSError, ValueError, RecursionError, LookupError, TypeError):
        return str(json.loads(entry.read_bytes())["run"]["name"])
    return None


def read_source(
    source: Source, warn: Callable[[str], None], metadata_id: str | None = None, repetitions: bool = True
) -> Iterator[Result]:
    """Yield the results of one file: of a log, or those that `process` wrote as JSON."""
    blocks = borne_out(source, source.whole_lines(warn), warn)
    first = next(blocks, b"")
    whole = itertools.chain([first], blocks)
    if is_saved(source.name, first.partition(b"\n")[0]):
        for row in read_saved(itertools.chain.from_iterable(map(io.BytesIO, whole)), source.name, warn):
            named = row if metadata_id is None else {**row, "metadata_id": metadata_id}
            yield Result(named, source.name, saved=True)
        return
    asked: set[tuple[int, int]] = set()
    found: set[tuple[int | None, int | None]] = set()

    def every_run() -> Iterator[tuple[Run, Iterator[Result]]]:
        for run in read_runs(whole, Complaints(source.name, warn), repetitions):
            asked.update(run.asked)
            found.update(shape.place[:2] for shape in run.shapes)
            yield run, results_of(run, source.name, metadata_id)

    yield from resumed(every_run())
    if missing := sorted(asked.difference(found)):
        some = ", ".join(f"{size} / {batch}" for size, batch in missing[:SHOWN])
        more = ", ..." if len(missing) > SHOWN else ""
        warn(f"{source.name}: {len(missing)} of {len(asked)} shapes that were asked for are missing: {some}{more}")


def results_of(run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
    """Yield everything that was measured in a run."""
    for workload in installed().values():
        known: dict[tuple[object, ...], str | None] = {}  # facts are those of a variant
        for result in workload.rows(run, source, metadata_id):
            row = result.row
            key = row["variant"], row["model"], row["overrides"]
            if (why := run.misread_of(row["variant"])) is not None:
                doubted = row["statistics"] and {**row["statistics"], "stable": False, "reason": why}
                row |= {"doubt": why, "precision": None, "statistics": doubted}
            row["configuration"] = remembered(known, key, row)
            yield result


def resumed(runs: Iterable[tuple[Run, Iterable[Result]]]) -> Iterator[Result]:
    """Pass on the results of a log's runs, in order, but for those that a run with --resume had to measure again."""
    waiting: list[Result] = []
    for run, found in runs:
        if "resume" not in run.arguments:
            yield from waiting
            waiting = []
        further = sum(option.startswith("--vs ") for option in run.options)
        held: list[Result] = []
        for shape in together(found, further):
            places = {place_of(result) for result in shape}
            waiting = [one for one in waiting if place_of(one) not in places]
            if held or any(to_measure_again(result.row) for result in shape) or not compared(shape, further):
                held += shape
            else:
                yield from shape
        waiting += held
    yield from waiting


def together(found: Iterable[Result], further: int) -> Iterator[list[Result]]:
    """Yield results one by one, those of the variants of a shape as one: --resume measures all of them or none."""
    if not further:
        yield from ([result] for result in found)
        return
    for _, shape in itertools.groupby(found, key=lambda result: (result.row["input"], result.row["batch"])):
        yield list(shape)


def compared(shape: Sequence[Result], further: int) -> bool:
    """Whether every variant of a shape is there, each further one with how it compares with the first."""
    variants = {result.row["variant"] for result in shape}
    paired = sum(result.row["pair"] is not None for result in shape)
    return not further or (len(variants) == 1 + further and paired >= further)


def to_measure_again(row: dict[str, Any]) -> bool:
    """Whether a run with --resume measures this again."""
    return row["status"] == "PARTIAL" or (row["doubt"] is not None and not row["doubt"].startswith(DAMAGED))


def place_of(result: Result) -> tuple[object, ...]:
    """Return what a run with --resume knows a result by."""
    row = result.row
    return row["input"], row["batch"], row["variant"], name_of(result)
