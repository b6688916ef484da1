"""Results from logs and from JSON files alike."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

from fmbench.errors import UsageError

from .distillation import distillation_records
from .fidelity import fidelity_records
from .reader import Complaints, Source
from .results import Record, disagrees, records
from .retrieval import retrieval_records
from .runs import read_runs
from .saved import is_saved, read_saved


def read_records(
    sources: Sequence[Source],
    warn: Callable[[str], None],
    metadata_id: str | None = None,
    bad: list[str] | None = None,
    repetitions: bool = True,
) -> Iterator[Record]:
    """Yield the results of every log and file of results, in order, with a warning for one without any.

    Without `repetitions` the records have none, and a log of any size fits into memory. Raises UsageError for what
    cannot be read; where `bad` is given, the reason goes there instead and the others are read all the same.
    """
    for source in sources:
        found = False
        try:
            for record in doubted(read_source(source, warn, metadata_id, repetitions), warn):
                found = True
                yield record
        except UsageError as error:
            if bad is None:
                raise
            if len(sources) > 1:
                warn(str(error))
            bad.append(str(error))
            continue
        if not found:
            warn(
                f"{source.name}: no results; logs of `driver`, `retrieve`, `distill evaluate` and `fidelity` have some"
            )


def doubted(found: Iterable[Record], warn: Callable[[str], None]) -> Iterator[Record]:
    """Pass results on, with a warning for each that its own repetitions do not bear out."""
    for record in found:
        if disagrees(record.row):
            warn(disagreement(record))
        yield record


def disagreement(record: Record) -> str:
    """Return what a result line says, and what its repetitions do."""
    row = record.row
    size = f"{row['input']} / {row['batch']}"
    median = row["statistics"]["p50"]
    return f"{record.source}: RES of {size} says {row['itl']} ms, its repetitions say {median:.3f} ms"


def read_source(
    source: Source, warn: Callable[[str], None], metadata_id: str | None = None, repetitions: bool = True
) -> Iterator[Record]:
    """Yield the results of one file: of a log, or those that `process` wrote as JSON."""
    lines = source.lines(warn)
    first = next(lines, b"")
    whole = itertools.chain([first], lines)
    if is_saved(source.name, first):
        for row in read_saved(whole, source.name):
            named = row if metadata_id is None else {**row, "metadata_id": metadata_id}
            yield Record(named, source.name)
        return
    for run in read_runs(whole, Complaints(source.name, warn), repetitions):
        yield from records(run, source.name, metadata_id)
        yield from retrieval_records(run, source.name, metadata_id)
        yield from distillation_records(run, source.name, metadata_id)
        yield from fidelity_records(run, source.name, metadata_id)
