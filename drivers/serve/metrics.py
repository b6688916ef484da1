"""What the server counts, as Prometheus reads it: under the names of text-embeddings-inference, for its dashboards."""

import collections
from collections.abc import Callable

from fmbench.counters import Counter

from .engine import Answer, Engine

DURATIONS = ("te_request_duration", "te_request_tokenization_duration", "te_request_queue_duration",
             "te_request_inference_duration")  # fmt: skip


class Metrics:
    """Counts requests by route and status, and adds up the seconds of those that were answered."""

    def __init__(self, engine: Engine, energy: Callable[[], Counter]) -> None:
        """Take what answers, and what says what the device has spent."""
        self._engine, self._energy = engine, energy
        self._requests: collections.Counter[tuple[str, int]] = collections.Counter()
        self._seconds = dict.fromkeys(DURATIONS, 0.0)
        self._answered = self._texts = self._tokens = 0

    def count(self, route: str, status: int) -> None:
        """Take a request in that got this status."""
        self._requests[route, status] += 1

    def add(self, answer: Answer, total: float) -> None:
        """Take in what an answer took, in seconds."""
        parts = (total, answer.tokenise, answer.queue, answer.compute)
        for name, seconds in zip(DURATIONS, parts, strict=True):
            self._seconds[name] += seconds
        self._answered += 1
        self._texts += len(answer.vectors)
        self._tokens += answer.tokens

    def text(self) -> str:
        """Return all of it."""
        rows = ["# TYPE te_request_count counter"]
        rows += [
            f'te_request_count{{method="{route}",status="{status}"}} {count}'
            for (route, status), count in sorted(self._requests.items())
        ]
        for name, seconds in self._seconds.items():
            rows += [f"# TYPE {name} summary", f"{name}_sum {seconds:.6f}", f"{name}_count {self._answered}"]
        joules, looked = self._energy().joules, self._engine.looked
        for name, kind, value in (
            *([("fmbench_look_again_seconds_total", "counter", f"{looked:.6f}")] if looked is not None else []),
            *([("fmbench_joules_total", "counter", joules)] if joules is not None else []),
            ("te_embed_count", "counter", self._texts),
            ("fmbench_tokens_total", "counter", self._tokens),
            ("te_queue_size", "gauge", self._engine.waiting),
        ):
            rows += [f"# TYPE {name} {kind}", f"{name} {value}"]
        return "\n".join(rows) + "\n"
