"""What encoding took: seconds by stage, texts, tokens, how much was padding; and apart from it, what is no encoding."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from fmbench import lines

# They follow each other; `tokenise` runs beside them, but for one chunk alone.
STAGES = ("wait", "collate", "forward", "pool")


@dataclass
class Timings:
    """Sums over what was encoded. Stages other than `tokenise` follow each other; tokenising runs beside them.

    `seconds` has: `tokenise` (in a thread of its own, but for one chunk alone, which has to wait for it), `wait` (for
    that thread), `collate` (padding and placing), `forward`, and
    `pool` (pooling, further modules, copying back). On a device that returns early the wait for it lies in `pool`.
    `phases` has the seconds of what belongs in no rate, being no steady work or no encoding: `open` (the cache),
    `budget` (its search), `warm_up` (first calls), `compile`, what else the platform names, `write` (to the cache).
    """

    texts: int = 0
    empty_texts: int = 0
    tokens: int = 0
    padded_tokens: int = 0  # tokens and padding: what the device was given
    batches: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    phases: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def one_off(self) -> float:
        """Seconds of all phases."""
        return sum(self.phases.values())

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time inside the context to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time inside the context to a phase, but for what phases inside of it took."""
        start, before = time.perf_counter(), self.one_off
        try:
            yield
        finally:
            self.took(name, time.perf_counter() - start - (self.one_off - before))

    def took(self, name: str, seconds: float) -> None:
        """Add seconds to a phase."""
        self.phases[name] = self.phases.get(name, 0.0) + seconds

    def within(self, seconds: float) -> "Timings":
        """Return the same counts, with stages that ran side by side and took so many seconds together."""
        spent = sum(self.seconds.values())
        return replace(self, seconds={name: seconds * one / spent for name, one in self.seconds.items()})

    def phase_lines(self, **where: Any) -> list[lines.JsonLine]:
        """Return a PHASE line a phase; `where` says what they belong to."""
        return [
            lines.JsonLine("PHASE", {"name": name, "seconds": round(seconds, 6), **where})
            for name, seconds in self.phases.items()
        ]

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
            for name, seconds in other.phases.items():
                self.took(name, seconds)
