"""Several runs of one shape under one fingerprint, as a store has them: they are processes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fmbench import stats
from fmbench.facts import differences

from ..reading.joined import NANOSECONDS, throughput
from ..reading.row import Result

MEASURED = ("OK", "SIMULATED")


def of_repetitions(result: Result) -> Sequence[float]:
    """Return the repetitions that count, in nanoseconds."""
    return stats.settled(result.durations)


def of_processes(result: Result) -> Sequence[float]:
    """Return the medians of a result's processes in nanoseconds; of one that is of one process, its median.

    Repetitions of one process do not say how far another would be from it.
    """
    kept = of_repetitions(result)
    return result.medians or ([float(np.median(kept))] if len(kept) else [])


def facts_of(result: Result) -> dict[str, Any]:
    """Return the fingerprint of a result."""
    return result.row["environment"] or {}


def is_whole(result: Result) -> bool:
    """Whether a result is a measurement whose repetitions are known."""
    return result.row["status"] in MEASURED and len(of_repetitions(result)) > 0


def runs_of(results: Sequence[Result], counts: Callable[[Result], bool] = is_whole) -> list[Result]:
    """Return the last result of a shape, behind those of other runs that it may stand together with.

    These count, and are of its fingerprint; of each log, the last one.
    """
    last = results[-1]
    earlier = {result.source: result for result in results if result.source != last.source}.values()
    return [*(run for run in earlier if counts(run) and counts(last)
              and not differences(facts_of(run), facts_of(last))), last]  # fmt: skip


def together(runs: Sequence[Result]) -> Result:
    """Return some runs of a shape as one result, of all their processes: the median of their medians.

    It is in doubt where one of them is; repetitions it has none.
    """
    if len(runs) == 1:
        return runs[0]
    last, medians = runs[-1], [median for run in runs for median in of_processes(run)]
    reason = next(filter(None, ((run.row["statistics"] or {}).get("reason") for run in runs)), None)
    doubt = next(filter(None, (run.row["doubt"] for run in runs)), None)
    milliseconds = float(np.median(medians)) / NANOSECONDS
    statistics = {"n": len(medians), "p50": milliseconds, "stable": reason is None, "reason": reason}
    row = {**last.row, "itl": milliseconds, "thp": throughput(last, milliseconds), "statistics": statistics,
           "doubt": doubt}  # fmt: skip
    return Result(row, last.source, (), medians)
