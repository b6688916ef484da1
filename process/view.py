"""Results as people read them: one row a shape, units in the header, the interval beside the figure."""

from collections.abc import Iterable
from typing import Any

from fmbench.figures import plus_minus, significant
from fmbench.markdown import harmless

# As the driver's own table says it, behind what one log needs not say.
HEADER = ("model", "platform", "dtype", "input", "batch", "variant", "latency ms", "sequences/s", "n", "trust")
RIGHT = (3, 4, 6, 7, 8)
ALWAYS = (3, 4, 6, 7, 8, 9)

Lines = list[list[str]]


def cells(rows: Iterable[dict[str, Any]]) -> tuple[list[str], Lines, list[int]]:
    """Return a header, a line a result, and which columns are flush right. A column that is empty is left out."""
    lines = [line_of(row) for row in rows]
    shown = [column for column in range(len(HEADER)) if column in ALWAYS or any(line[column] for line in lines)]
    right = [place for place, column in enumerate(shown) if column in RIGHT]
    return [HEADER[column] for column in shown], [[line[column] for column in shown] for line in lines], right


def line_of(row: dict[str, Any]) -> list[str]:
    """Return a result's cells. A terminal obeys control characters, so there are none in them."""
    statistics, environment = row["statistics"] or {}, row["environment"] or {}
    sizes = [text(row[key]) for key in ("input", "batch", "variant")]
    names = [text(row["model"]), text(environment.get("platform")), text(row["precision"])]
    thp = row["thp"]
    throughput = "" if thp is None else significant(thp)
    cells = [*names, *sizes, latency(row), throughput, text(statistics.get("n")), trust(row)]
    return [harmless(cell) for cell in cells]


def latency(row: dict[str, Any]) -> str:
    """Return the median with half its interval."""
    value, interval = row["itl"], (row["statistics"] or {}).get("interval")
    if value is None:
        return ""
    return plus_minus(value, *interval) if interval else significant(value)


def trust(row: dict[str, Any]) -> str:
    """Return whether a result can be trusted, and why not."""
    status, statistics = row["status"], row["statistics"] or {}
    if status == "ERR":
        error = row["error"] or {}
        return ": ".join(["failed", *(part for part in (text(error.get("type")), text(error.get("message"))) if part)])
    doubts = []
    if status == "PARTIAL":
        doubts.append(
            f"partial: {statistics.get('repetitions', 0)} of {statistics.get('requested') or '?'} repetitions"
        )
    if status == "SIMULATED":
        doubts.append("simulated: no hardware computed it")
    if statistics.get("stable") is False:
        doubts.append(f"unstable: {statistics.get('reason')}")
    elif row.get("doubt"):
        doubts.append(row["doubt"])
    return "; ".join(doubts) or ("stable" if statistics.get("stable") else "")


def text(value: Any) -> str:
    """Return a value as text, null as nothing."""
    return "" if value is None else str(value)
