"""Fields of JSON lines: read, or refused where the published schema would refuse them. What is absent is None."""

from collections.abc import Callable, Mapping
from typing import Any

from fmbench.lines import LineError

PLACE = ("input_size", "batch_size", "variant")
# Beyond these, a line is damaged.
LONGEST = 1e10  # seconds: three centuries
LARGEST = 2**63 - 1  # anything counted
GREATEST = 1e300  # any number; the sums and ratios of such still are
NUMBERS = (int, float)

Place = tuple[int | None, int | None, str | None]  # input size, batch size, variant
Check = Callable[[dict[str, Any], str], Any]


def place_of(data: dict[str, Any]) -> Place:
    """Return the sizes and the variant that a line names. Raises LineError for what can be none."""
    return whole_number(data, "input_size"), whole_number(data, "batch_size"), text(data, "variant")


def without_place(data: dict[str, Any]) -> dict[str, Any]:
    """Return what a line says besides its sizes and its variant, which its shape has."""
    return {key: value for key, value in data.items() if key not in PLACE}


def check(data: dict[str, Any], checks: Mapping[str, Check]) -> None:
    """Raise LineError for the first field that is not what it should be."""
    for key, read in checks.items():
        read(data, key)


def whole_number(data: dict[str, Any], key: str) -> int | None:
    """Return a whole number, at least 0."""
    value = data.get(key)
    if value is not None and (type(value) is not int or not 0 <= value <= LARGEST):
        raise LineError(f"{key} is no whole number")
    return value


def known_count(data: dict[str, Any], key: str) -> int:
    """Return a whole number that must be there."""
    value = whole_number(data, key)
    if value is None:
        raise LineError(f"{key} is missing")
    return value


def number(data: dict[str, Any], key: str) -> float | None:
    """Return any number."""
    value = data.get(key)
    if value is not None and not is_number(value):
        raise LineError(f"{key} is no number")
    return value


def known_number(data: dict[str, Any], key: str) -> float:
    """Return a number that must be there."""
    value = number(data, key)
    if value is None:
        raise LineError(f"{key} is no number")
    return value


def seconds(data: dict[str, Any], key: str) -> float:
    """Return a number of seconds that must be there."""
    return checked_seconds(data.get(key))


def text(data: dict[str, Any], key: str) -> str | None:
    """Return a text."""
    value = data.get(key)
    if value is not None and not isinstance(value, str):
        raise LineError(f"{key} is no text")
    return value


def known_text(data: dict[str, Any], key: str) -> str:
    """Return a text that must be there."""
    value = text(data, key)
    if value is None:
        raise LineError(f"{key} is missing")
    return value


def truth(data: dict[str, Any], key: str) -> bool | None:
    """Return true or false."""
    value = data.get(key)
    if value is not None and not isinstance(value, bool):
        raise LineError(f"{key} is neither true nor false")
    return value


def interval(data: dict[str, Any], key: str) -> list[float] | None:
    """Return two numbers."""
    value = data.get(key)
    if value is not None and not (isinstance(value, list) and len(value) == 2 and all(map(is_number, value))):
        raise LineError(f"{key} is no pair of numbers")
    return value


def numbers_by_name(data: dict[str, Any], key: str) -> dict[str, float] | None:
    """Return an object whose values are all numbers."""
    value = data.get(key)
    if value is not None and not (isinstance(value, dict) and all(map(is_number, value.values()))):
        raise LineError(f"{key} is no object of numbers")
    return value


def positions(data: dict[str, Any], key: str) -> list[int]:
    """Return a list of whole numbers; an empty one where the key is absent."""
    value = data.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(type(item) is int and 0 <= item <= LARGEST for item in value):
        raise LineError(f"{key} is no list of whole numbers")
    return value


def is_number(value: object) -> bool:
    """Whether a JSON value is a number; true and false are none, and nothing is that is beyond all measures."""
    return isinstance(value, NUMBERS) and not isinstance(value, bool) and abs(value) <= GREATEST


def checked_seconds(value: Any) -> float:
    """Return a number of seconds. Raises LineError for what is none."""
    if is_number(value) and 0 <= value <= LONGEST:
        return float(value)
    raise LineError(f"{value!r} is no number of seconds")


# What each kind of line must look like, as results.schema.json has it.
STATISTICS: dict[str, Check] = {
    **dict.fromkeys(("n", "dropped"), known_count),
    **dict.fromkeys(("cold", "min", "p50", "p90", "p95", "p99", "mad"), known_number),
    **dict.fromkeys(
        ("mean", "drift", "drift_p", "preemptions", "throttled", "interval_limit", "waiting", "handover"), number
    ),
    **dict.fromkeys(("outliers", "recompiled"), whole_number),
    "interval": interval,
    "stable": truth,
    **dict.fromkeys(("reason", "ended", "graph"), text),
}
MEMORY: dict[str, Check] = {
    **dict.fromkeys(("device_peak_bytes", "host_peak_bytes", "model_bytes"), whole_number),
    "reason": text,
}
ENERGY: dict[str, Check] = {
    **dict.fromkeys(("joules", "joules_per_sequence", "seconds"), number),
    **dict.fromkeys(("source", "reason"), text),
}
CEILING: dict[str, Check] = {
    **dict.fromkeys(("flops_per_second", "bytes_per_second"), number),
    **dict.fromkeys(("dtype", "reason"), text),
}
STANDING: dict[str, Check] = {
    **dict.fromkeys(("flops", "bytes"), whole_number),
    **dict.fromkeys(("achieved_flops_per_second", "attainable_flops_per_second", "share"), number),
    **dict.fromkeys(("bound", "reason"), text),
}
PHASE: dict[str, Check] = {
    "name": known_text,
    "seconds": seconds,
    **dict.fromkeys(("dataset", "role"), text),
    "tokens_per_batch": whole_number,
    "tokens_per_second": numbers_by_name,
}
ENCODING: dict[str, Check] = {
    **dict.fromkeys(("dataset", "role"), known_text),
    "texts": known_count,
    **dict.fromkeys(("empty", "cached", "tokens", "tokens_per_batch", "dimensions"), whole_number),
    **dict.fromkeys(("padding_share", "texts_per_second", "tokens_per_second"), number),
    **dict.fromkeys(("seconds", "latency_ms"), numbers_by_name),
    "start": text,
}
SEARCHING: dict[str, Check] = {
    "dataset": known_text,
    **dict.fromkeys(("queries", "documents", "k"), known_count),
    **dict.fromkeys(("similarity", "engine"), text),
    **dict.fromkeys(("seconds", "queries_per_second"), number),
    "latency_ms": numbers_by_name,
    "ignore_identical_ids": truth,
}
QUALITY: dict[str, Check] = {
    "dataset": known_text,
    **dict.fromkeys(("queries", "without_results", "other_documents"), whole_number),
    "metrics": numbers_by_name,
    "ignore_identical_ids": truth,
}
STAGE: dict[str, Check] = {"stage": known_text}
QUERY_ENCODER: dict[str, Check] = {
    **dict.fromkeys(("dataset", "query_model"), known_text),
    **dict.fromkeys(("queries", "parameters", "bytes", "tokens_at_most"), whole_number),
    **dict.fromkeys(("metrics", "latency_ms", "after_last_word_ms"), numbers_by_name),
    "ignore_identical_ids": truth,
    "queries_per_second": number,
    "nanoseconds": positions,
}
PAIR: dict[str, Check] = {
    "n": whole_number,
    **dict.fromkeys(("ratio", "p"), number),
    "interval": interval,
    **dict.fromkeys(("a", "overrides", "verdict", "reason", "same_as"), text),
}
PROCESSES: dict[str, Check] = {
    **dict.fromkeys(("n", "requested"), known_count),
    "p50": known_number,
    "ratio": number,
    "interval": interval,
    "stable": truth,
    "reason": text,
}
