"""What encoding took: seconds by stage, texts, tokens, and how much of the work was padding."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Timings:
    """Sums over what was encoded. Stages other than `tokenise` follow each other; tokenising runs beside them.

    `seconds` has: `tokenise` (in a thread of its own), `wait` (for it), `collate` (padding and placing), `forward`,
    `pool` (pooling, further modules, copying back), and `search` (of the token budget). On a device that returns early
    the wait for it lies in `pool`.
    """

    texts: int = 0
    empty_texts: int = 0
    tokens: int = 0
    padded_tokens: int = 0  # tokens and padding: what the device was given
    batches: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def padding_share(self) -> float:
        """The share of what the device was given that was padding."""
        return 1 - self.tokens / self.padded_tokens if self.padded_tokens else 0.0

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time inside the context to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def include(self, other: "Timings") -> None:
        """Add what another part of the work took. Safe to call from several threads."""
        with self._lock:
            self.texts += other.texts
            self.empty_texts += other.empty_texts
            self.tokens += other.tokens
            self.padded_tokens += other.padded_tokens
            self.batches += other.batches
            for name, seconds in other.seconds.items():
                self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "texts": self.texts,
            "empty_texts": self.empty_texts,
            "tokens": self.tokens,
            "padded_tokens": self.padded_tokens,
            "padding_share": round(self.padding_share, 6),
            "batches": self.batches,
            "seconds": {name: round(seconds, 6) for name, seconds in self.seconds.items()},
        }
