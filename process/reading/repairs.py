"""What a sweep has repaired is no failure any more: a newer run of the same cell, which ended well, stands for it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .early_ends import recognised
from .row import Result

Cell = Mapping[str, Any]  # as the CELL line of a log says it


@dataclass(frozen=True)
class Repairs:
    """When the newest run of each cell began that ended well, by machine and cell; by cell alone too."""

    good: Mapping[tuple[str | None, str], float]

    @classmethod
    def of(cls, runs: Iterable[tuple[str | None, Cell | None]]) -> "Repairs":
        """Take in runs: the machine and the cell of each, None outside of a sweep."""
        good: dict[tuple[str | None, str], float] = {}
        for machine, cell in runs:
            if cell and cell.get("exit_code") == 0:
                for key in ((machine, cell["id"]), (None, cell["id"])):
                    good[key] = max(good.get(key, 0.0), start_of(cell))
        return cls(good)

    def stand_for(self, machine: str | None, cell: Cell | None) -> bool:
        """Whether a newer run stands for one that failed: on its machine; on any, where it was refused."""
        if not cell or cell.get("exit_code") == 0:
            return False
        return self.good.get((None if cell.get("refused") else machine, cell["id"]), -1.0) > start_of(cell)


def start_of(cell: Cell) -> float:
    """Return when a run of a cell began, in seconds since the epoch; an earlier fmbench did not say it."""
    return float(cell.get("start") or 0)


def standing(results: Iterable[Result]) -> list[Result]:
    """Return results without the failures that a newer run stands for; the others, as far as they are `recognised`."""
    found = recognised(results)
    repairs = Repairs.of((result.row["machine"], result.row["cell"]) for result in found)
    return [
        result
        for result in found
        if result.row["status"] != "ERR" or not repairs.stand_for(result.row["machine"], result.row["cell"])
    ]
