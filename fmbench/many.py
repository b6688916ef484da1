"""The figures of a million repetitions and more: one array is in memory, sorted, and the rest is read in blocks."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fmbench import stats

if TYPE_CHECKING:
    import numpy as np

BLOCK = 2**18  # values


def figures_of(values: Sequence[float]) -> dict[str, Any]:
    """Return what the values themselves say, by field of a Summary. Besides slices of them, room for one array."""
    import numpy as np

    dropped = stats.dropped(len(values))
    kept = np.empty(len(values) - dropped)
    first, last = thirds(values, dropped, kept)
    fill(kept, values, dropped)
    kept.sort()
    middle = float(stats.quantile(kept, 0.5))
    low, high = stats.interval_ranks(len(kept))
    figures = {
        "n": len(kept),
        "dropped": dropped,
        "cold": values[0],
        "min": float(kept[0]),
        "p50": middle,
        **{f"p{percent}": float(stats.quantile(kept, percent / 100)) for percent in (90, 95, 99)},
        "mean": math.fsum(float(block.sum()) for block in blocks(kept)) / len(kept),
        "interval": (float(kept[low]), float(kept[high])),
        "drift": last / first - 1 if first else 0.0,
        "drift_p": stats.two_sided(correlation(values, dropped, kept) * math.sqrt(len(kept) - 1)),
    }
    mad = deviate(kept, middle)
    far = [int((block > 3.5 * mad / 0.6745).sum()) for block in blocks(kept)]  # as in stats.outliers
    return {**figures, "mad": mad, "outliers": sum(far)}


def blocks(values: "Sequence[float] | np.ndarray", start: int = 0) -> "Iterator[np.ndarray]":
    """Yield values from a position on, some at a time."""
    import numpy as np

    for begin in range(start, len(values), BLOCK):
        yield np.asarray(values[begin : begin + BLOCK], dtype=float)


def fill(room: "np.ndarray", values: Sequence[float], start: int) -> None:
    """Fill an array with the values from a position on, as many as it holds."""
    done = 0
    for block in blocks(values, start):
        part = block[: len(room) - done]
        room[done : done + len(part)] = part
        done += len(part)
        if done == len(room):
            return


def thirds(values: Sequence[float], dropped: int, room: "np.ndarray") -> tuple[float, float]:
    """Return the medians of the first and of the last third of the values that are kept. Writes over `room`."""
    third = room[: len(room) // 3]
    medians = []
    for start in (dropped, len(values) - len(third)):
        fill(third, values, start)
        medians.append(middle_of(third))
    return medians[0], medians[1]


def middle_of(values: "np.ndarray") -> float:
    """Return the median. Puts the values in another order."""
    below, above = (len(values) - 1) // 2, len(values) // 2
    values.partition((below, above))
    return float(values[below] + values[above]) / 2


def deviate(values: "np.ndarray", centre: float) -> float:
    """Replace values by their distances from a centre, and return the median of these."""
    import numpy as np

    np.subtract(values, centre, out=values)
    np.abs(values, out=values)
    return middle_of(values)


def correlation(values: Sequence[float], dropped: int, ordered: "np.ndarray") -> float:
    """Return Spearman's rank correlation of the values that are kept with their order (see stats.trend)."""
    count = len(ordered)
    ranked, shared, position = 0.0, 0.0, 0
    for block in blocks(values, dropped):
        places = block.argsort()  # searching in order is ten times as quick
        block = block[places]
        ranks = (ordered.searchsorted(block, "left") + ordered.searchsorted(block, "right") - count) / 2
        order = places + (position - (count - 1) / 2)
        ranked += float(ranks @ ranks)
        shared += float(ranks @ order)
        position += len(block)
    scale = math.sqrt(ranked * (count * (count * count - 1) / 12))
    return shared / scale if scale else 0.0
