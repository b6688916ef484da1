"""What the service itself counted of a run: its `/metrics` before and after, where it has them."""

import re
from collections.abc import Mapping

from fmbench.counters import Counter
from fmbench.errors import UsageError

from .endpoint import ask

# Sums of seconds, in text-embeddings-inference and in vLLM.
PARTS = {
    "tokenization": ("te_request_tokenization_duration",),
    "queue": ("te_request_queue_duration", "vllm:request_queue_time_seconds"),
    "inference": ("te_request_inference_duration", "vllm:request_inference_time_seconds"),
    "total": ("te_request_duration", "vllm:e2e_request_latency_seconds"),
}
ROW = re.compile(r"^([\w:]+)_(sum|count)(?:\{[^}]*\})? ([0-9.eE+-]+)$", re.MULTILINE)
TOTALS = re.compile(r"^fmbench_(joules|look_again_seconds)_total ([0-9.eE+-]+)$", re.MULTILINE)
GREATEST = 1e12  # anything counted
Counted = Mapping[tuple[str, str], float]


def number_in(text: str | None) -> float:
    """Return what was counted, 0 where a text holds no number or none that can be a count."""
    try:
        found = float(text or 0)
    except ValueError:
        return 0.0
    return found if 0 <= found <= GREATEST else 0.0


def counted(base: str) -> Counted:
    """Return the sums and counts of a service's parts, by part; none where it says nothing."""
    try:
        status, raw = ask(f"{base}/metrics")
    except UsageError:  # it is gone
        return {}
    names = {name: part for part, known in PARTS.items() for name in known}
    found: dict[tuple[str, str], float] = {}
    text = raw.decode("utf-8", "replace") if status == 200 else ""
    for name, kind, value in ROW.findall(text):
        if name in names:
            found[names[name], kind] = found.get((names[name], kind), 0.0) + number_in(value)
    return {**found, **{(name, "sum"): number_in(value) for name, value in TOTALS.findall(text)}}


def looked_again(before: Counted, after: Counted) -> float | None:
    """Return the seconds of a run in which `fmbench serve` computed texts once more; None where nobody says."""
    start, end = (counted.get(("look_again_seconds", "sum")) for counted in (before, after))
    return None if start is None or end is None or end < start else round(end - start, 6)


def joules(before: Counted, after: Counted, seconds: float) -> Counter:
    """Return what a run of so many seconds took, idle moments included, where `fmbench serve` counts it."""
    start, end = (Counter(counted.get(("joules", "sum")), "service", None) for counted in (before, after))
    return end.since(start).over(seconds)


def means(before: Counted, after: Counted, answered: int) -> dict[str, float] | None:
    """Return the mean milliseconds of each part of a run's requests; None where others asked meanwhile, or none says.

    `answered` is how many requests the run had answered.
    """
    found = {}
    for part in PARTS:
        total, count = (after.get((part, kind), 0.0) - before.get((part, kind), 0.0) for kind in ("sum", "count"))
        if count > 0:
            if round(count) != answered:
                return None
            found[part] = round(total / count * 1e3, 6)
    return found or None
