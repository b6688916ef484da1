"""What the page holds: results as columns, those of the CSV format, and all else that is computed of them."""

import json
import os.path
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from fmbench import __version__
from fmbench.configuration import names
from fmbench.facts import CIRCUMSTANCES
from fmbench.history import FREE
from fmbench.markdown import harmless

from ..comparing.variant_names import VariantNames
from ..plots.points import TELLING, VARIANT, facts_of, shown
from ..reading.repairs import standing
from ..reading.row import Result
from ..record import records_of
from ..workload import by_workload
from ..writing.columns import Cells, Kind, Table, text_of
from ..writing.view import trust
from .comparisons import comparisons_of
from .records import as_json, groups_of

EXACT = 2**53 - 1  # JavaScript keeps whole numbers up to here
STANDARD_INPUT = "standard input"
SHAPES = "speed"  # the workload whose rows the page's own table is made for


def data_of(found: Sequence[Result]) -> dict[str, Any]:
    """Return what the page's script reads. It computes nothing: records, verdicts and trust are found here.

    What failed and was repaired is left out.
    """
    results = without_folders(standing(found))
    runs = Runs()
    with Table(runs.watched(results)) as table:
        columns = columns_of(table)
    beside: dict[str, list[Any]] = {"run": runs.of_rows, "trust": [trust(result.row) for result in results]}
    columns += [{"name": name, "kind": None, **packed(values)} for name, values in beside.items()]
    records = records_of(results)
    return {
        "program": f"fmbench {__version__}",
        "circumstances": sorted(CIRCUMSTANCES),
        "shapes": {"size": len(results), "columns": columns},
        "runs": [{"name": name, "log": log} for name, log in runs.names()],
        "configurations": names(record.configuration for record in records),
        "groups": groups_of(records, results),
        "workloads": [
            {"name": workload.name, "tables": [as_json(one) for one in workload.tables(members)]}
            for workload, members in by_workload(results)
            if workload.name != SHAPES
        ],
        "comparisons": comparisons_of(results),
    }


def columns_of(table: Table) -> list[dict[str, Any]]:
    """Return every column of a table with its values, in the order of the CSV format."""
    kinds: dict[str, Kind] = {name: table.kinds[name] or "text" for name in table.columns}
    values: dict[str, list[Any]] = {name: [] for name in kinds}
    for row in table:
        for name, kind in kinds.items():
            values[name].append(value_of(row.get(name), kind))
    return [{"name": name, "kind": kind, **packed(values[name])} for name, kind in kinds.items()]


def value_of(value: Any, kind: Kind) -> Any:
    """Return a cell as the script reads it: numbers and truths as they are, all else as the text of the CSV format."""
    if kind in ("integer", "number", "truth") and (not isinstance(value, int) or abs(value) <= EXACT):
        return value
    return None if value is None else text_of(value)


def packed(values: list[Any]) -> dict[str, Any]:
    """Return a column's values; where many are the same, as its distinct values and the place of each.

    A column of one value has no places.
    """
    places: dict[tuple[type, Any], int] = {}
    at = [places.setdefault((type(value), value), len(places)) for value in values]
    if 2 * len(places) > len(values) > 1:
        return {"values": values}
    distinct = [value for _, value in places]
    return {"distinct": distinct} if len(distinct) == 1 else {"distinct": distinct, "at": at}


class Runs:
    """Which run each result is of: those of one log, one variant and one fingerprint, circumstances apart.

    One that went on (`--resume`) is the run that it went on with.
    """

    def __init__(self) -> None:
        self.of_rows: list[int] = []
        self._places: dict[tuple[str, ...], int] = {}
        self._logs: list[str] = []
        self._first: list[Cells] = []
        self._variants = VariantNames()

    def watched(self, results: Iterable[Result]) -> Iterator[dict[str, Any]]:
        """Yield the rows of records, and remember which run each is of."""
        for result in results:
            key = key_of(result)
            if key not in self._places:
                self._places[key] = len(self._places)
                self._logs.append(result.source)
                self._first.append(facts_of(result, self._variants))
            self.of_rows.append(self._places[key])
            yield result.row

    def names(self) -> list[tuple[str, str]]:
        """Return a name for each run, no two alike, and the log that it is from.

        It is that of the log, with what tells the run from the others of the log.
        """
        logs = self._logs
        below: dict[str, list[Cells]] = {}
        for log, first in zip(logs, self._first, strict=True):
            below.setdefault(log, []).append(first)
        keys = {log: telling(runs) for log, runs in below.items()}
        names = [
            ", ".join([log, *(shown(key, first[key]) for key in keys[log] if first.get(key) is not None)])
            for log, first in zip(logs, self._first, strict=True)
        ]
        return list(zip(numbered(names), logs, strict=True))


def telling(runs: list[Cells]) -> list[str]:
    """Return the facts that tell runs apart: no more of them than that takes."""
    keys: list[str] = []
    apart = 1
    for key in (VARIANT, *TELLING):
        found = len({tuple(text_of(run.get(name)) for name in (*keys, key)) for run in runs})
        if found > apart:
            keys.append(key)
            apart = found
    return keys


def key_of(result: Result) -> tuple[str, ...]:
    """Return what the results of one run have in common."""
    row = result.row
    facts = {name: fact for name, fact in (row["environment"] or {}).items() if name not in CIRCUMSTANCES}
    model = row["model"] or facts.get("model")  # a shape that failed may not say it
    opts = [option for option in row["opts"] or () if option.split()[0].removeprefix("--") not in FREE]
    parts = (row["metadata_id"], row["variant"], model, row["precision"], opts, facts)
    return (result.source, *(json.dumps(part, sort_keys=True) for part in parts))


def without_folders(results: Sequence[Result]) -> list[Result]:
    """Return results with the paths of their logs below the folder of all: where that is, is nobody's business."""
    logs = dict.fromkeys(result.source for result in results)
    paths = {log: os.path.abspath(log) for log in logs if log != STANDARD_INPUT}  # noqa: PTH100 (no links followed)
    top = os.path.commonpath([os.path.dirname(path) for path in paths.values()]) if paths else ""  # noqa: PTH120
    short = {log: harmless(PurePath(path).relative_to(top).as_posix()) for log, path in paths.items()}
    return [replace(result, source=short.get(result.source, result.source)) for result in results]


def numbered(names: list[str]) -> list[str]:
    """Return names, with a number behind each that was there before."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found
