"""Speed: what the driver measured, a row a shape."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from ..reading.row import Result, results
from ..reading.run import Run
from ..workload import Table, Workload
from ..writing import view


class Speed(Workload):
    """Latency and throughput of shapes."""

    name: ClassVar[str] = "speed"

    def rows(self, run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
        """Yield a row a shape."""
        return results(run, source, metadata_id)

    def tables(self, results: Sequence[Result]) -> Sequence[Table]:
        """Return one table: a line a shape."""
        return [Table(*view.cells([result.row for result in results]))]
