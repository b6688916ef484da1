"""`show --by`: medians over groups of results, by columns in full, as in the CSV format, or by their last part."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from fmbench.errors import UsageError, nearest
from fmbench.figures import significant
from fmbench.markdown import harmless

from ..comparing.variant_names import VariantNames
from ..reading.row import Result
from ..workload import Table
from .columns import Cells, text_of
from .columns import Table as Columns
from .view import median, rate

FACTS = "environment."
FIGURES = ("itl", "thp")
HEADER = ("latency ms", "sequences/s", "shapes", "in doubt", "failed")


def group_table(results: Iterable[Result], by: Sequence[str]) -> Table:
    """Return a line a group. Variants are grouped by what they override. Raises UsageError for a key that is none."""
    variants = VariantNames()
    with Columns({**result.row, "variant": variants.label(result)} for result in results) as rows:
        chosen = [resolve(key, sorted(rows.found)) for key in by] if rows.found else list(by)
        lines = [[harmless(text_of(cell)) for cell in line] for line in medians(rows, chosen)]
    numeric = [column for column in range(len(by)) if all(is_numeric(line[column]) for line in lines)]
    return Table([*by, *HEADER], lines, [*numeric, *range(len(by), len(by) + len(HEADER))])


def is_numeric(text: str) -> bool:
    """Whether a cell is a number or empty."""
    return not text or text.replace(".", "", 1).isdigit()


def medians(rows: Iterable[Cells], by: Sequence[str]) -> list[list[Any]]:
    """Return a line a group, in the order of its keys: the keys, median latency (ms) and throughput, counts.

    The counts are the shapes that have a latency, those of them in doubt, and those that failed.
    """
    import pandas as pd  # it takes a second, and only groups need it

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
    found, counts = groups[list(FIGURES)].median(), groups[["measured", "doubt", "failed"]].sum()
    return [
        [*map(key_of, index if isinstance(index, tuple) else (index,)), *map(figure, values), *map(int, numbers)]
        for index, values, numbers in zip(found.index, found.to_numpy(), counts.to_numpy(), strict=True)
    ]


def exact(row: Cells) -> dict[str, float | None]:
    """Return both figures in all digits that the repetitions give."""
    statistics = {"p50": row.get("statistics.p50")}
    whole = {"itl": row.get("itl"), "thp": row.get("thp"), "batch": row.get("batch"), "statistics": statistics}
    return {"itl": median(whole), "thp": rate(whole)}


def hashable(value: Any) -> Any:
    """Return a value that can be a key."""
    return text_of(value) if isinstance(value, list) else value


def key_of(value: Any) -> Any:
    """Return a group's key: nothing where it is not known (pandas' NaN), whole numbers as such."""
    if value is None or value != value:
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value


def figure(value: float) -> str:
    """Return a median as text, or nothing where it is not known (NaN)."""
    return significant(value) if value == value else ""


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Return the facts of runs by their short names, such as `platform`; a name that a column has already is none.

    SQL knows no capitals, so `cpu` is environment.cpu, and no fact further down may be called CPU.
    """
    names = list(names)
    taken = {name.lower() for name in names}
    found: dict[str, str] = {}
    facts = [name for name in names if name.startswith(FACTS)]
    for level in sorted({name.count(".") for name in facts}):
        here = [name for name in facts if name.count(".") == level]
        count = Counter(last_part(name).lower() for name in here)
        for name in here:
            word = last_part(name)
            if count[word.lower()] == 1 and word.lower() not in taken:
                found[word] = name
        taken |= set(count)
    return found


def last_part(name: str) -> str:
    """Return what is behind the last dot."""
    return name.rpartition(".")[2]


def resolve(key: str, names: Sequence[str]) -> str:
    """Return the column that a key names: all of it, or its last part where that is one column's only.

    Facts of runs come before other columns. Raises UsageError for a key that is nobody's, or several columns'.
    """
    if key in names:
        return key
    if key in (short := short_names(names)):
        return short[key]
    ending = [name for name in names if last_part(name) == key]
    preferred = [name for name in ending if name.startswith(FACTS)] or ending
    if len(preferred) == 1:
        return preferred[0]
    if preferred:
        raise UsageError(f"--by {key}: which one: {', '.join(preferred)}?")
    words = {*map(last_part, names), *names}
    raise UsageError(f"--by {key}: no result has such a key{nearest(key, sorted(words))}")
