"""What the requests of a run say: percentiles with intervals, rates, errors, lateness of our own, steadiness.

A request that failed never ended: percentiles are over all requests, with such ones above all others.
"""

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fmbench import lines
from fmbench.resampling import Z, effective_count, sides, widening
from fmbench.stats import quantile

from .records import COLUMNS, SPLIT, Records

if TYPE_CHECKING:
    import numpy as np

SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
BATCHES, FEWEST = 50, 200  # of the search for a steady state
CHUNK = 1000  # requests a line
NEVER = 1e15  # milliseconds of a request that failed


class Table:
    """The rows of a run by column, in the order of when they were due; times are in nanoseconds."""

    def __init__(self, records: Records) -> None:
        self.rows, self.start = records.table(), records.start

    def column(self, name: str) -> "np.ndarray":
        """Return a column."""
        return self.rows[:, COLUMNS.index(name)]

    @property
    def failed(self) -> "np.ndarray":
        """Which requests failed."""
        return self.column("failure") > 0

    @property
    def latencies(self) -> "np.ndarray":
        """Milliseconds from when a request was due to its last byte; NEVER where it failed."""
        import numpy as np

        return np.where(self.failed, NEVER, (self.column("done") - self.column("due")) / 1e6)

    @property
    def lag(self) -> "np.ndarray":
        """Milliseconds from when a request was due to when it was sent."""
        return (self.column("sent") - self.column("due")) / 1e6

    @property
    def seconds(self) -> float:
        """From the start to the last answer."""
        return float(self.column("done").max() - self.start) / 1e9


def share_interval(values: "np.ndarray", ordered: "np.ndarray", share: float) -> tuple[float, float]:
    """Return the 95% interval of a quantile: the values at ranks that the binomial distribution gives.

    It is as much wider as neighbours are correlated: requests of one queue wait together. `ordered` are the same
    values, sorted.
    """
    count = len(ordered)
    wider = widening(count, effective_count(sides(values, quantile(ordered, share))))
    half = wider * Z * math.sqrt(count * share * (1 - share))
    low, high = math.floor(count * share - half), math.ceil(count * share + half)
    return float(ordered[max(0, low)]), float(ordered[high]) if high < count else NEVER


def known(value: float) -> float | None:
    """Return milliseconds as JSON has them: null where it never ended."""
    return round(value, 6) if value < NEVER / 1e4 else None


def steady_from(values: "np.ndarray") -> float | None:
    """Return the share of the requests after which latencies are steady; None where they never are, or too few ran.

    The truncation that leaves the least standard error of the mean of batches (MSER-5: White, 1997, An effective
    truncation heuristic for bias reduction in simulation output). Beyond half of the run there is none.
    """
    import numpy as np

    if len(values) < FEWEST:
        return None
    size = len(values) // BATCHES
    means = np.median(values[: size * BATCHES].reshape(BATCHES, size), axis=1)
    errors = [float(means[place:].var()) / (BATCHES - place) for place in range(BATCHES - 5)]
    place = int(np.argmin(errors))
    return place / BATCHES if place <= BATCHES // 2 else None


def summary(records: Records, slo: float | None, inputs: int, tokens: int | None) -> dict[str, Any]:
    """Return what a LOAD line says of requests; `slo` in seconds, `tokens` of the whole run where they are known."""
    import numpy as np

    table = Table(records)
    if not len(table.rows):
        nothing = dict.fromkeys(("requests", "answered", "failed"), 0)
        return {**nothing, "unsent": records.unsent, "errors": [], "latency_ms": {}, "intervals": {}}
    latencies, failed, seconds = table.latencies, table.failed, table.seconds
    answered = latencies[~failed]
    ordered = np.sort(latencies)
    found = {name: known(quantile(ordered, share)) for name, share in SHARES.items()}
    intervals = {name: [*map(known, share_interval(latencies, ordered, share))] for name, share in SHARES.items()}
    good = np.count_nonzero(latencies <= slo * 1e3) if slo is not None else None
    said = {
        "start": lines.format_time(records.start + time.time_ns() - time.monotonic_ns()),
        "seconds": round(seconds, 6),
        "requests": len(latencies),
        "answered": len(answered),
        "failed": int(failed.sum()),
        "unsent": records.unsent,
        "errors": errors(table, records.failures),
        "latency_ms": {name: value for name, value in found.items() if value is not None},
        "intervals": {name: pair for name, pair in intervals.items() if None not in (found[name], *pair)},
        "max_ms": known(float(answered.max())) if len(answered) else None,
        "requests_per_second": round(len(answered) / seconds, 4),
        "texts_per_second": round(len(answered) * inputs / seconds, 4),
        "tokens": tokens,
        "tokens_per_second": round(tokens / seconds, 3) if tokens else None,
        "goodput": None if good is None else round(int(good) / seconds, 4),
        "lag_ms": {"p50": known(float(np.median(table.lag))), "p99": known(float(np.quantile(table.lag, 0.99)))},
        "parts_ms": parts(table),
        "server_ms": server(records),
        "client_cpu": round(records.cpu / seconds, 4),
    }  # fmt: skip
    return {**said, **steadiness(latencies, seconds)}


def errors(table: Table, failures: Sequence[tuple[int, str]]) -> list[dict[str, Any]]:
    """Return how often requests failed, by status and body, the most frequent first."""
    import numpy as np

    counts = np.bincount(table.column("failure"), minlength=len(failures) + 1)[1:]
    rows = [
        {"status": status or None, "said": said, "count": int(count)}
        for (status, said), count in zip(failures, counts, strict=True)
        if count
    ]
    return sorted(rows, key=lambda row: -row["count"])


def parts(table: Table) -> dict[str, float]:
    """Return the mean milliseconds of each part of an answered request; opening a connection, of those that did."""
    rows = ~table.failed
    sent, connected, written = (table.column(name)[rows] for name in ("sent", "connected", "written"))
    first, done = table.column("first")[rows], table.column("done")[rows]
    fresh = connected > 0
    begun = sent + (connected - sent) * fresh
    found = {"connect": (connected - sent)[fresh], "send": written - begun, "wait": first - written,
             "receive": done - first}  # fmt: skip
    return {name: round(float(spans.mean()) / 1e6, 6) for name, spans in found.items() if len(spans)}


def server(records: Records) -> dict[str, float] | None:
    """Return the service's own mean milliseconds of each part of a request, where it says them."""
    count = records.server_ms["count"]
    return {name: round(records.server_ms[name] / count, 6) for name in SPLIT} if count else None


def steadiness(latencies: "np.ndarray", seconds: float) -> dict[str, Any]:
    """Return when a run was steady, if ever; of few requests nothing is said."""
    if len(latencies) < FEWEST:
        return {}
    import numpy as np

    share = steady_from(np.where(latencies < NEVER, latencies, 0.0))
    return {"steady": share is not None, "steady_from": None if share is None else round(share * seconds, 6)}


def request_lines(records: Records, run: int) -> list[lines.JsonLine]:
    """Return every request of a run, many a line: when it was due and its latency in microseconds, and its status."""
    table = Table(records)
    due = (table.column("due") - table.start) // 1000
    taken = (table.column("done") - table.column("due")) // 1000
    status = table.column("status")
    failed = table.failed
    return [
        lines.JsonLine("REQ", {
            "run": run,
            "first": first,
            "due_us": due[first : first + CHUNK].tolist(),
            "latency_us": taken[first : first + CHUNK].tolist(),
            "failed": [
                [first + int(place), int(status[first + place])] for place in failed[first : first + CHUNK].nonzero()[0]
            ],
        })
        for first in range(0, len(due), CHUNK)
    ]  # fmt: skip
