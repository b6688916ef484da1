"""Of how many rounds a speed is, and whether that is enough for 95%: of few, its interval is all that they say."""

from collections.abc import Sequence

from fmbench.stats import dropped

from ..workload import Row

ENOUGH = 7  # the first does not count, and the range of 6 holds a median with 97%, that of 5 with 94%


def is_few(row: Row) -> bool:
    """Whether a candidate ran too few rounds for 95%; the reference beside itself is exact."""
    return row["variant"] != row["choice"]["reference"] and 0 < (row["choice"].get("rounds") or 0) < ENOUGH


def counted(rounds: int) -> str:
    """Return how many rounds count, of how many."""
    return f"{rounds - dropped(rounds)} of {rounds}"


def too_few(rows: Sequence[Row]) -> str | None:
    """Return of whom there are too few rounds for 95%, if of any; who left early is no part of the answer."""
    ran = [row for row in rows if row["choice"].get("rounds") and row["variant"] != row["choice"]["reference"]]
    ran = [row for row in ran if not row["choice"].get("left_because")]
    few = [row for row in ran if is_few(row) and row["choice"]["rounds"] > 1]
    if not few:
        return None
    said = " and ".join(counted(rounds) for rounds in sorted({row["choice"]["rounds"] for row in few}))
    told = [row["variant"] for row in few if row["choice"].get("interval")]
    whose = "" if len(few) == len(ran) else f" of {', '.join(told)}"
    ends = f": the interval{whose} is from the least to the greatest" if told else ""
    return f"{said} rounds, without the first, are too few for 95%{ends}"
