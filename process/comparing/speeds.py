"""How fast data sets were encoded, in both sides: a run has one figure of each kind, so that only several runs tell."""

from collections.abc import Iterator, Sequence
from statistics import median

from ..reading.joined import NANOSECONDS
from ..reading.row import Result
from ..workload import workload_of
from .runs import MEASURED, runs_of

SPEED_KEYS = ("model", "model_class", "dataset", "configuration", "speed")


def speeds_of(results: Sequence[Result]) -> Iterator[tuple[str, Result]]:
    """Yield the speeds of a data set by heading, those of all runs of one fingerprint as of so many processes.

    `itl` is the median in the unit of the heading, the medians are times. A speed is in doubt where a run's is.
    """
    runs = runs_of(results, lambda run: run.row["status"] in MEASURED)
    for column in workload_of(runs[-1].row).columns:
        findings = [found for run in runs if (found := column.read(run.row)) is not None and found.value > 0]
        if column.apart or not findings:
            continue
        doubt = next((found.doubt for found in findings if found.doubt), None)
        values = [found.value for found in findings]
        times = values if column.less_is_better else [1e3 / value for value in values]
        said = {"n": len(values), "stable": doubt is None, "reason": doubt}
        row = {**runs[-1].row, "itl": median(values), "statistics": said}
        yield column.heading, Result(row, runs[-1].source, (), [NANOSECONDS * time for time in times])
