"""`process --follow LOG`: shows a run while it goes on, from the lines of its log so far."""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from fmbench import lines
from fmbench.console import Progress, note
from fmbench.errors import UsageError, first_line
from fmbench.figures import significant
from fmbench.lines import UTF16
from fmbench.markdown import harmless

from ..reading.log_reader import RunReader
from ..reading.run import Run
from ..reading.shape import Shape
from ..reading.sources import GZIP_MAGIC, Complaints
from ..workload import installed
from .output import standard_output

EVERY = 0.5  # seconds between two looks at the file
QUIET = 3.0  # seconds without a line after which a run that is whole has ended
HEADER = f"{'shape':>9}  {'input':>6}  {'batch':>6}  {'latency ms':>10}  {'sequences/s':>11}  {'left':>7}"
LAST_FACT = "load_average_end"  # a driver prints it when all is measured
NANOSECONDS = 1_000_000_000

Sizes = tuple[int, int]


def follow(path: str, warn: Callable[[str], None], every: float = EVERY) -> None:
    """Print a row for everything that ends, until the run has ended. Raises UsageError for a file that is none."""
    check_source(path)
    out, progress = standard_output(), Progress()
    watch, headed = Watch(path, warn), False
    try:
        for raw, idle in arriving(path, every):
            if raw is None:
                watch = Watch(path, warn)
                continue
            for row in watch.take(raw) if raw else ():
                progress.clear()
                out.write(HEADER + "\n" if watch.done and not headed else "")
                headed = headed or watch.done > 0
                out.write(row + "\n")
            if not raw:
                out.flush()
                if watch.finished or (watch.whole and idle >= QUIET):
                    break
                progress.show(watch.progress(idle))
    finally:
        progress.clear()
        out.flush()
    shapes = f"{watch.done} of {watch.total or watch.done} shapes; " if watch.total or watch.done else ""
    note(f"{path}: {shapes}the run has ended")


def check_source(path: str) -> None:
    """Raise UsageError for what is no file that can be followed."""
    if path == "-" and sys.stdin is None:
        raise UsageError("--follow -: standard input is closed")
    if path == "-":
        return
    if not Path(path).is_file():
        raise UsageError(f"--follow {path}: no such file; a driver's log, or - for standard input")
    try:
        with Path(path).open("rb") as stream:
            begin = stream.read(4)
    except OSError as error:
        raise UsageError(f"--follow {path}: cannot be read ({first_line(error)})") from None
    if UTF16.match(begin):
        raise UsageError(f"--follow {path}: is UTF-16, as PowerShell's > writes it; `process --path` reads it")
    if begin.startswith(GZIP_MAGIC):
        raise UsageError(f"--follow {path}: is packed, so its run has ended; `process --path` reads it")


def arriving(path: str, every: float) -> Iterator[tuple[bytes | None, float]]:
    """Yield each line of a log, and empty bytes with the seconds without a line each time that there is none.

    None says that the log begins again. Standard input (`-`) ends with its end.
    """
    if path == "-":
        for raw in sys.stdin.buffer:
            yield raw, 0.0
        return
    try:
        with Path(path).open("rb") as stream:
            yield from growing(stream, every)
    except OSError as error:
        raise UsageError(f"--follow {path}: cannot be read ({first_line(error)})") from None


def growing(stream: BinaryIO, every: float) -> Iterator[tuple[bytes | None, float]]:
    """Yield the lines of a file that is being written, for ever. A line counts when its end is there."""
    part, last = b"", time.monotonic()
    while True:
        raw = stream.readline()
        if raw:
            part += raw
            if part.endswith(b"\n"):
                yield part, 0.0
                part, last = b"", time.monotonic()
        else:
            yield b"", time.monotonic() - last
            if os.fstat(stream.fileno()).st_size < stream.tell():
                stream.seek(0)
                part = b""
                yield None, 0.0
            time.sleep(every)


@dataclass(slots=True)
class Tally:
    """What the shapes that ended add up to: kept as they end, since a log may have many."""

    ended: Counter[Sizes] = field(default_factory=Counter)
    measured: Counter[Sizes] = field(default_factory=Counter)
    nanoseconds: int = 0
    tokens: int = 0
    repetitions: int = 0
    count: int = 0  # shapes that ended

    def add(self, shape: Shape) -> None:
        """Take in a shape, as far as it has come."""
        sizes = known_sizes(shape)
        if sizes is None:
            return
        self.nanoseconds += sum(shape.durations)
        self.tokens += sizes[0] * sizes[1] * len(shape.durations)
        self.repetitions += len(shape.durations)
        self.count += shape.closed
        self.ended[sizes] += shape.closed
        self.measured[sizes] += shape.result is not None


class Watch:
    """Takes the lines of one log in. A run with --resume counts what the runs before it in the log have measured."""

    def __init__(self, name: str, warn: Callable[[str], None]) -> None:
        self._reader = RunReader(Complaints(name, warn))
        self._number = 0
        self._told = 0
        self._latest = "nothing has ended yet"  # what a workload said last
        self._before: Counter[Sizes] = Counter()
        self._tally = Tally()

    @property
    def run(self) -> Run:
        """The run that the last line belongs to."""
        return self._reader.run

    def take(self, raw: bytes) -> Iterator[str]:
        """Take one line in, and yield a row for everything that it ends."""
        self._number += 1
        self._reader.line = None
        finished = self._reader.take(self._number, raw)
        if b"FMWORK " in raw or b"RUN " in raw:
            if finished is not None:
                self._told = 0
                self._before += self._tally.measured
                self._tally = Tally()
            yield from self._news()
            yield from self._said()

    def _said(self) -> Iterator[str]:
        """Yield what the workloads say of the last line."""
        line = self._reader.line
        if isinstance(line, lines.JsonLine):
            for workload in installed().values():
                if said := workload.news(line.kind, line.data):
                    self._latest = harmless(said)
                    yield self._latest

    def _news(self) -> Iterator[str]:
        """Yield a row for each shape that ended since the last one."""
        shapes = self.run.shapes
        while self._told < len(shapes):
            shape = shapes[self._told]
            if not shape.closed and shape is self._reader.open:
                return
            self._told += 1
            self._tally.add(shape)
            if shape.closed:
                yield self._row(shape)

    def _row(self, shape: Shape) -> str:
        """Return what is said of a shape that ended."""
        count = f"{self.done} of {self.total}" if self.total else f"{self.done}"
        sizes = f"{shape.input_size or '':>6}  {shape.batch_size or '':>6}"
        if shape.failure is not None:
            failure = f"{shape.failure.get('type')}: {shape.failure.get('message')}"
            return f"{count:>9}  {sizes}  failed: {harmless(failure)}"
        figures = shape.result
        latency = significant(figures.latency) if figures else ""
        throughput = significant(figures.throughput) if figures else ""
        row = f"{count:>9}  {sizes}  {latency:>10}  {throughput:>11}  {time_text(self.left):>7}"
        return row.rstrip() + (f"  {harmless(shape.variant)}" if shape.variant else "")

    @property
    def places(self) -> Counter[Sizes]:
        """How often each shape is to be measured: once a variant and process. Empty where the log does not say."""
        arguments = self.run.arguments
        try:
            inputs, batches = (numbers(arguments[key]) for key in ("input_sizes", "batch_sizes"))
            processes = int(arguments.get("repeat", "1"))
        except (KeyError, ValueError):
            return Counter()
        variants = 1 + sum(option.startswith("--vs ") for option in self.run.options)
        return Counter({(size, batch): variants * processes for batch in batches for size in inputs})

    @property
    def ended(self) -> Counter[Sizes]:
        """How often each shape has a result or a failure."""
        return self._tally.ended + self._before if "resume" in self.run.arguments else self._tally.ended

    @property
    def total(self) -> int:
        """How many shapes are to be measured, each variant counted; 0 where the log does not say."""
        return self.places.total()

    @property
    def done(self) -> int:
        """How many of them have ended."""
        return self._tally.count + (self._before.total() if "resume" in self.run.arguments else 0)

    @property
    def whole(self) -> bool:
        """Whether every shape that was asked for has ended."""
        return 0 < self.total <= self.done

    @property
    def finished(self) -> bool:
        """Whether the driver said its last. In a run with --isolate every shape's process does that."""
        facts: Mapping[str, Any] = self.run.environments.get(None, {})
        return LAST_FACT in facts and (self.whole or "isolate" not in self.run.arguments)

    @property
    def left(self) -> float | None:
        """About how many seconds the rest will take, at the same time for each token; None where nobody knows."""
        tally, current = self._tally, self._reader.open
        sizes = known_sizes(current) if current is not None else None
        begun = current.durations if current is not None and sizes else ()
        work = sizes[0] * sizes[1] * len(begun) if sizes else 0
        tokens = tally.tokens + work
        if not tokens or not self.total:
            return None
        each = (tally.nanoseconds + sum(begun)) / tokens / NANOSECONDS
        typical = tally.repetitions / tally.count if tally.count else (current.requested or 0) if current else 0
        rest = sum(count * place[0] * place[1] for place, count in (self.places - self.ended).items())
        return max(0.0, (rest * typical - work) * each)

    def progress(self, idle: float) -> str:
        """Return one line: where the run is now."""
        current = self._reader.open
        shapes = self.total or self.done or current is not None
        parts = [f"{self.done} of {self.total or '?'} shapes" if shapes else self._latest]
        if current is not None:
            count = f"repetition {len(current.durations)} of {current.requested}" if current.durations else "warming up"
            parts += [f"{current.input_size or '?'} / {current.batch_size or '?'}", count]
        if self.left is not None:
            parts.append(f"about {time_text(self.left)} left")
        if idle > 30:
            parts.append(f"nothing new for {time_text(idle)}")
        return ", ".join(parts)


def known_sizes(shape: Shape) -> Sizes | None:
    """Return the sizes of a shape, where both are known."""
    return None if shape.input_size is None or shape.batch_size is None else (shape.input_size, shape.batch_size)


def numbers(text: str) -> list[int]:
    """Read a comma list of whole numbers."""
    return [int(part) for part in text.split(",")]


def time_text(seconds: float | None) -> str:
    """Return a time as a person says it."""
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
