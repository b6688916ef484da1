"""Fields of JSON lines: read, or refused where the published schema would refuse them. What is absent is None."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from fmbench.lines import LineError

PLACE = ("input_size", "batch_size", "variant")
TIME = re.compile(r"-?[0-9]{1,18}\.[0-9]{9}")
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


def refuse(data: dict[str, Any], checks: Mapping[str, Check]) -> list[str]:
    """Take every field out of a line that is not what it should be, and return why, a text each.

    Raises LineError where the line says nothing without it.
    """
    refused = []
    for key, read in checks.items():
        try:
            read(data, key)
        except LineError as error:
            if read in NEEDED:
                raise
            del data[key]
            refused.append(str(error))
    return refused


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


def intervals_by_name(data: dict[str, Any], key: str) -> dict[str, list[float]] | None:
    """Return an object whose values are all pairs of numbers."""
    value = data.get(key)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise LineError(f"{key} is no object of pairs of numbers")
    for name in value:
        if interval(value, name) is None:
            raise LineError(f"{key}: {name} is no pair of numbers")
    return value


def time(data: dict[str, Any], key: str) -> str | None:
    """Return seconds since the epoch with nine decimals, as text."""
    value = text(data, key)
    if value is not None and not TIME.fullmatch(value):
        raise LineError(f"{key} is no time")
    return value


def part(checks: Mapping[str, Check]) -> Check:
    """Return what reads an object that has checks of its own."""

    def read(data: dict[str, Any], key: str) -> dict[str, Any] | None:
        value = data.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise LineError(f"{key} is no object")
        try:
            check(value, checks)
        except LineError as error:
            raise LineError(f"{key}: {error}") from None
        return value

    return read


def parts_by_name(checks: Mapping[str, Check]) -> Check:
    """Return what reads an object of objects that have checks of their own."""
    one = part(checks)

    def read(data: dict[str, Any], key: str) -> dict[str, Any] | None:
        value = data.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise LineError(f"{key} is no object")
        for name in value:
            try:
                found = one(value, name)
            except LineError as error:
                raise LineError(f"{key}: {error}") from None
            if found is None:
                raise LineError(f"{key}: {name} is no object")
        return value

    return read


def each(read: Check) -> Check:
    """Return what reads a list of values that are each read by `read`."""

    def read_all(data: dict[str, Any], key: str) -> list[Any] | None:
        value = data.get(key)
        if value is not None and not isinstance(value, list):
            raise LineError(f"{key} is no list")
        for item in value or ():
            read({key: item}, key)
        return value

    return read_all


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


# Without these, a line says nothing.
NEEDED = (known_count, known_number, known_text, seconds)
# What each kind of line must look like, as results.schema.json has it.
CASE: dict[str, Check] = {
    **dict.fromkeys(("input_size", "batch_size"), known_count),
    **dict.fromkeys(("reps", "tokens", "flops", "bytes"), whole_number),
    **dict.fromkeys(("precision", "max_seconds"), number),
    "overrides": text,
}
PHASE: dict[str, Check] = {
    "name": known_text,
    "seconds": seconds,
    **dict.fromkeys(("inside", "dataset", "role"), text),
    "tokens_per_batch": whole_number,
    "tokens_per_second": numbers_by_name,
}
FAILURE: dict[str, Check] = {**dict.fromkeys(("type", "message", "where", "signal"), text), "out_of_memory": truth}
FACTS: dict[str, Check] = dict.fromkeys(
    ("platform", "model", "model_class", "dtype", "precision", "weights", "device", "task", "timed", "fmbench"), text
)
STATISTICS: dict[str, Check] = {
    **dict.fromkeys(("n", "dropped"), known_count),
    **dict.fromkeys(("cold", "min", "p50", "p90", "p95", "p99", "mad"), known_number),
    **dict.fromkeys(
        ("mean", "drift", "drift_p", "preemptions", "throttled", "interval_limit", "waiting", "handover"), number
    ),
    **dict.fromkeys(("outliers", "recompiled"), whole_number),
    "interval": interval,
    "stable": truth,
    "recompiled_at": positions,
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
ENCODING: dict[str, Check] = {
    **dict.fromkeys(("dataset", "role"), known_text),
    "texts": known_count,
    **dict.fromkeys(("empty", "cached", "tokens", "tokens_per_batch", "dimensions"), whole_number),
    **dict.fromkeys(("padding_share", "texts_per_second", "tokens_per_second"), number),
    **dict.fromkeys(("seconds", "latency_ms"), numbers_by_name),
    "start": time,
}
SEARCHING: dict[str, Check] = {
    "dataset": known_text,
    **dict.fromkeys(("queries", "documents", "k"), known_count),
    **dict.fromkeys(("similarity", "engine"), text),
    **dict.fromkeys(("seconds", "queries_per_second"), number),
    "latency_ms": numbers_by_name,
    "ignore_identical_ids": truth,
}
CURVE: dict[str, Check] = {
    "k": positions,
    **dict.fromkeys(("precision", "ceiling", "success", "recall"), each(known_number)),
    **dict.fromkeys(("queries", "without_gold", "retrieved_depth", "shortest"), whole_number),
    "level": text,
}
MINED: dict[str, Check] = {
    **dict.fromkeys(("queries", "negatives", "unjudged", "short"), whole_number),
    "removed": numbers_by_name,
}
QUALITY: dict[str, Check] = {
    "dataset": known_text,
    **dict.fromkeys(("queries", "without_results", "without_relevant", "unjudged", "other_documents"), whole_number),
    "relevance_threshold": number,
    "metrics": numbers_by_name,
    "ignore_identical_ids": truth,
    "intervals": intervals_by_name,
    "precision_curve": part(CURVE),
    "mined": part(MINED),
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
KEPT: dict[str, Check] = {**dict.fromkeys(("share", "p"), number), "interval": interval}
STAGE: dict[str, Check] = {
    "stage": known_text,
    **dict.fromkeys(("texts", "dimensions", "tokens", "cached", "step", "steps", "best_step"), whole_number),
    **dict.fromkeys(("parameters", "bytes"), whole_number),
    **dict.fromkeys(("epoch", "loss", "held_out", "learning_rate", "seconds"), number),
    **dict.fromkeys(("kinds", "dropped"), numbers_by_name),
    "ended": text,
}
QUERY_ENCODER: dict[str, Check] = {
    **dict.fromkeys(("dataset", "query_model"), known_text),
    **dict.fromkeys(("queries", "parameters", "bytes", "tokens_at_most"), whole_number),
    **dict.fromkeys(("metrics", "latency_ms", "after_last_word_ms"), numbers_by_name),
    "ignore_identical_ids": truth,
    "queries_per_second": number,
    "nanoseconds": positions,
    "start": time,
    "intervals": intervals_by_name,
    "kept": parts_by_name(KEPT),
    "pair": part({"b": known_text, **PAIR}),
}
METRIC: dict[str, Check] = {
    **dict.fromkeys(("a", "b", "change", "p"), known_number),
    **dict.fromkeys(("increase", "equal", "decrease"), known_count),
    "interval": interval,
}
QUERY: dict[str, Check] = {
    **{"query": known_text, "different_ids": known_count, "metrics": intervals_by_name},
    **dict.fromkeys(("tau", "rbo"), known_number),
}
ARTIFACT: dict[str, Check] = {
    **dict.fromkeys(("artifact", "kind", "verdict"), known_text),
    **dict.fromkeys(("share_equal", "mean_abs", "max_abs", "min_cosine"), number),
    **dict.fromkeys(("different_ids", "replaced", "tau", "rbo", "max_score"), number),
    **dict.fromkeys(("probe", "missing_in", "reference", "variant", "failure", "part", "where", "module"), text),
    **dict.fromkeys(("first", "first_verdict", "first_module", "beyond", "beyond_verdict", "alone"), text),
    **dict.fromkeys(("depth", "queries", "changed", "max_ulp", "mismatched", "first_row", "calls"), whole_number),
    **dict.fromkeys(("artifacts", "unequal", "tensors", "same_shape", "equal", "close", "rankings"), whole_number),
    "rankings_changed": whole_number,
    **dict.fromkeys(("nan", "inf"), positions),
    **dict.fromkeys(("probes", "incomplete"), each(known_text)),
    "dtypes": each(text),
    "shapes": each(positions),
    "facts": part({}),
    "metrics": parts_by_name(METRIC),
    "changed_queries": each(part(QUERY)),
}
HELD = ("kind", "artifact", "reference", "variant")  # what tells one line from another
VARIANT: dict[str, Check] = {
    **dict.fromkeys(("mean_cosine", "overlap", "ndcg", "ndcg_change", "ndcg_p", "speed"), number),
    **dict.fromkeys(("latency_ms", "texts_per_second"), number),
    **dict.fromkeys(("ndcg_interval", "speed_interval"), interval),
    **dict.fromkeys(("failure", "speed_verdict", "speed_reason"), text),
    "start": time,
    **dict.fromkeys(("passages", "of_passages", "batch"), whole_number),
    "nanoseconds": positions,
}


def without(checks: Mapping[str, Check], *keys: str) -> dict[str, Check]:
    """Return checks but for those of some keys."""
    return {key: read for key, read in checks.items() if key not in keys}


# What a row has of the lines of a data set, and of a query encoder.
RETRIEVAL: dict[str, Check] = {
    "dataset": known_text,
    **dict.fromkeys(("passages", "queries"), part(without(ENCODING, "dataset", "role"))),
    "search": part(without(SEARCHING, "dataset")),
    "quality": part(without(QUALITY, "dataset")),
}
DISTILLATION: dict[str, Check] = without(QUERY_ENCODER, "dataset", "query_model", "queries", "metrics", "intervals")
