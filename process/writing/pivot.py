"""Medians over groups of results. The only module that imports pandas."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from fmbench.figures import significant

from .columns import Cells, text_of
from .view import median, rate

FIGURES = ("itl", "thp")


def pivot(rows: Iterable[Cells], by: Sequence[str]) -> list[list[Any]]:
    """Return a line a group, in the order of its keys: the keys, median latency (ms) and throughput, counts.

    The counts are the shapes that have a latency, those of them in doubt, and those that failed.
    """
    wanted = dict.fromkeys([*by, *FIGURES, "status", "statistics.stable"])
    kept = [{name: hashable({**row, **exact(row)}.get(name)) for name in wanted} for row in rows]
    if not kept:
        return []
    frame = pd.DataFrame(kept)
    frame["failed"] = frame["status"] == "ERR"
    frame["measured"] = frame["itl"].notna()
    frame["doubt"] = frame["measured"] & ((frame["status"] != "OK") | (frame["statistics.stable"] != True))  # noqa: E712
    frame[list(FIGURES)] = frame[list(FIGURES)].astype(float)
    groups = frame.groupby(list(by), dropna=False)
    medians, counts = groups[list(FIGURES)].median(), groups[["measured", "doubt", "failed"]].sum()
    return [
        [*map(shown, index if isinstance(index, tuple) else (index,)), *map(figure, values), *map(int, numbers)]
        for index, values, numbers in zip(medians.index, medians.to_numpy(), counts.to_numpy(), strict=True)
    ]


def exact(row: Cells) -> dict[str, float | None]:
    """Return both figures in all digits that the repetitions give."""
    statistics = {"p50": row.get("statistics.p50")}
    whole = {"itl": row.get("itl"), "thp": row.get("thp"), "batch": row.get("batch"), "statistics": statistics}
    return {"itl": median(whole), "thp": rate(whole)}


def hashable(value: Any) -> Any:
    """Return a value that can be a key."""
    return text_of(value) if isinstance(value, list) else value


def shown(key: Any) -> Any:
    """Return a group's key: nothing where it is not known, whole numbers as such."""
    if pd.isna(key) or isinstance(key, bool):
        return None if pd.isna(key) else key
    return int(key) if isinstance(key, float) and key.is_integer() else str(key)


def figure(value: float) -> str:
    """Return a median as text, or nothing."""
    return "" if pd.isna(value) else significant(value)
