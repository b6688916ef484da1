"""Speed: what the driver measured, a row a shape."""

import math
from collections.abc import Iterator, Sequence
from typing import ClassVar

from ..reading.row import Result, results
from ..reading.run import Run
from ..workload import Column, Finding, Row, Table, Workload
from ..writing import view

MEBIBYTE = 2**20
USUAL = 128  # tokens of a passage


def usual(tokens: int) -> float:
    """Return how usual a length is, 0 at most: the nearer to USUAL, the more."""
    return -abs(math.log2(max(tokens, 1) / USUAL))


def latency(row: Row) -> Finding | None:
    """Return milliseconds of one sequence alone."""
    value = view.median(row)
    if value is None or row["batch"] != 1 or row["input"] is None:
        return None
    low, high = (row["statistics"] or {}).get("interval") or (None, None)
    return Finding(value, low, high, f"{row['input']} / 1", weight=usual(row["input"]))


def throughput(row: Row) -> Finding | None:
    """Return sequences a second; of the batch sizes of one input size, the best counts."""
    value, interval = view.rate(row), (row["statistics"] or {}).get("interval")
    if value is None or row["input"] is None:
        return None
    low, high = (
        (1000 * row["batch"] / end for end in reversed(interval)) if interval and min(interval) > 0 else (None,) * 2
    )
    return Finding(value, low, high, f"{row['input']} tokens", f"batch {row['batch']}", weight=usual(row["input"]))


def memory(row: Row) -> Finding | None:
    """Return the most MiB in use on the device, else in the process; of several shapes, the most."""
    said = row["memory"] or {}
    value = said.get("device_peak_bytes") or said.get("host_peak_bytes")
    return None if value is None else Finding(value / MEBIBYTE, way=f"{row['input']} / {row['batch']}")


def joules(row: Row) -> Finding | None:
    """Return joules a sequence; of the batch sizes of one input size, the least count."""
    value = (row["energy"] or {}).get("joules_per_sequence")
    if value is None or row["input"] is None:
        return None
    return Finding(value, of=f"{row['input']} tokens", way=f"batch {row['batch']}", weight=usual(row["input"]))


class Speed(Workload):
    """Latency and throughput of shapes."""

    name: ClassVar[str] = "speed"
    columns: ClassVar[Sequence[Column]] = (
        Column("latency_ms", "latency ms", latency, less_is_better=True),
        Column("throughput", "sequences/s", throughput),
        Column("memory_mib", "memory MiB", memory),
        Column("joules_per_sequence", "J/sequence", joules, less_is_better=True),
    )

    def rows(self, run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
        """Yield a row a shape."""
        return results(run, source, metadata_id)

    def tables(self, rows: Sequence[Row]) -> Sequence[Table]:
        """Return one table: a line a shape."""
        return [Table(*view.cells(rows))]
