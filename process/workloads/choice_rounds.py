"""Of how many rounds a speed is, and whether that is enough for 95%: of few, its interval is all that they say."""

from collections.abc import Iterable, Mapping, Sequence

from fmbench.stats import dropped

from ..workload import Row

ENOUGH = 7  # the first does not count, and the range of 6 holds a median with 97%, that of 5 with 94%


def few(rounds: int | None) -> bool:
    """Whether so many rounds are too few for 95%; of what did not race, or does not say, there is nothing to tell."""
    return 0 < (rounds or 0) < ENOUGH


def is_few(row: Row) -> bool:
    """Whether a candidate ran too few rounds; the reference beside itself is exact."""
    return row["variant"] != row["choice"]["reference"] and few(row["choice"].get("rounds"))


def counted(rounds: int | None) -> str:
    """Return how many rounds count, of how many."""
    return f"{rounds - dropped(rounds)} of {rounds}" if rounds else "none"


def stayed(rows: Iterable[Row]) -> list[Row]:
    """Return who raced beside the reference to the end: of these the answer is."""
    beside = (row for row in rows if row["variant"] != row["choice"]["reference"])
    return [row for row in beside if row["choice"].get("rounds") and not row["choice"].get("left_because")]


def too_few(rows: Sequence[Row]) -> str | None:
    """Return of whom there are too few rounds for 95%, if of any; who left early is no part of the answer."""
    ran = stayed(rows)
    short = [row for row in ran if is_few(row) and row["choice"]["rounds"] > 1]
    if not short:
        return None
    said = " and ".join(counted(rounds) for rounds in sorted({row["choice"]["rounds"] for row in short}))
    told = [row["variant"] for row in short if row["choice"].get("interval")]
    whose = "" if len(short) == len(ran) else f" of {', '.join(told)}"
    ends = f": the interval{whose} is from the least to the greatest" if told else ""
    return f"{said} rounds, without the first, are too few for 95%{ends}"


def fewest(rows: Mapping[str, Row], names: Iterable[str | None]) -> int | None:
    """Return the fewest rounds of those named; where they are the reference alone, of all that it was held against."""
    named = [row for name in names if (row := rows.get(name or "")) and row["variant"] != row["choice"]["reference"]]
    return min((row["choice"].get("rounds") or 0 for row in named or stayed(rows.values())), default=None)
