"""The results of the processes that measured one shape, as the one result that they are of.

A log has a result a process, and so have the formats that list results. Whoever wants one figure a shape asks here.
"""

import json
from collections.abc import Iterable, Iterator, Sequence

from .row import Result

NANOSECONDS = 1_000_000  # in a millisecond
SHAPE = ("model", "model_class", "input", "batch", "variant")


def joined(results: Iterable[Result]) -> Iterator[Result]:
    """Yield results, those of the processes of one shape as one, in the place of the last of them."""
    waiting: dict[tuple[object, ...], list[Result]] = {}
    for result in results:
        said = result.row["processes"] or {}
        if said.get("p50") is None or result.medians:
            yield result
            continue
        key = (result.source, *(result.row[name] for name in SHAPE), json.dumps(said, sort_keys=True))
        waiting.setdefault(key, []).append(result)
        if len(waiting[key]) == said.get("n"):
            yield together(waiting.pop(key))
    for rest in waiting.values():  # a file of results from which some were taken out
        yield together(rest)


def together(found: Sequence[Result]) -> Result:
    """Return the results of some processes as one: the median of their medians, with the interval between them.

    It is in doubt where the processes disagree, and where one of them is. What is no figure of all of them
    (percentiles, the first repetition) it does not have; memory, energy and repetitions are those of the last process.
    """
    last = found[-1]
    said = last.row["processes"]
    reasons = (said.get("reason"), *((result.row["statistics"] or {}).get("reason") for result in found))
    reason = next(filter(None, reasons), None)
    statistics = {"n": said.get("n"), "p50": said["p50"], "interval": said.get("interval"), "stable": reason is None,
                  "reason": reason}  # fmt: skip
    row = {**last.row, "itl": said["p50"], "thp": throughput(last, said["p50"]), "statistics": statistics}
    medians = [result.row["itl"] * NANOSECONDS for result in found if result.row["itl"] is not None]
    return Result(row, last.source, last.durations, medians)


def throughput(result: Result, milliseconds: float) -> float | None:
    """Return sequences a second at such a latency."""
    batch = result.row["batch"]
    return 1000 * batch / milliseconds if batch and milliseconds > 0 else None
