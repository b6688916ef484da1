"""The RUN block of one shape and one variant: what was measured so far, and its lines in the log."""

import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fmbench import lines
from fmbench.compilation import CompilationWatch
from fmbench.cost import Cost
from fmbench.errors import first_line
from fmbench.measure import Measurement, Repetition, Shape
from fmbench.secrets import masked_text, sealed
from fmbench.session import LogWriter
from fmbench.stopping import Rule

from .variant import Variant


@dataclass
class Block:
    """Lines go to the log as they are made, or wait until the block before is whole.

    Old parsers know one block after the other; variants are measured in turns. So A prints, and the others wait.
    """

    variant: Variant
    shape: Shape
    log: LogWriter
    cost: Cost | None
    live: bool
    repetitions: list[Repetition] = field(default_factory=list)
    recompiled: list[int] = field(default_factory=list)
    compiled_first: bool = False
    graph: str | None = None
    failure: dict[str, Any] | None = None
    _waiting: list[lines.Line] = field(default_factory=list)
    _compilations: int = 0
    _compiling: float = 0.0

    def open(self, rule: Rule) -> None:
        """Announce the shape, and when its repetitions end."""
        if self.live:
            self._banner()
        work = {"flops": self.cost.flops, "bytes": self.cost.bytes} if self.cost else {"flops": None, "bytes": None}
        overrides = {"overrides": masked_text(self.variant.overrides, sealed)} if self.variant.index else {}
        size = {**asdict(self.shape), "tokens": self.shape.tokens, **asdict(rule)}
        self.write(lines.JsonLine("CASE", {**size, **work, **self.variant.marks, **overrides}))

    def _banner(self) -> None:
        self.log.banner("RUN", self.shape.input_size, "/", self.shape.batch_size)

    def write(self, line: lines.Line) -> None:
        """Print a line of this block, or keep it until the block's turn."""
        if self.live:
            self.log.write(line)
        else:
            self._waiting.append(line)

    def release(self) -> None:
        """Print what waits; from here on lines go out as they come."""
        if not self.live:
            self.live = True
            self._banner()
            for line in self._waiting:
                self.log.write(line)
            self._waiting.clear()

    def before(self, watch: CompilationWatch | None) -> None:
        """Get ready for a call: make the variant's settings hold, and see how often the compiler ran so far."""
        self.variant.activate()
        if watch is not None:
            self._compilations, self._compiling = watch.count, watch.seconds

    def after(self, watch: CompilationWatch | None) -> None:
        """Note it where the compiler ran inside the call."""
        self.variant.platform.observe()
        position = len(self.repetitions)
        compiled = watch is not None and watch.count != self._compilations
        if compiled or not position:
            self.graph = self.variant.platform.graph()
        if watch is None or not compiled:
            return
        if position:
            self.recompiled.append(position)
        else:
            self.compiled_first = True
        seconds = round(watch.seconds - self._compiling, 6)
        name = "recompile" if position else "compile"
        self.write(lines.JsonLine("PHASE", {"name": name, "seconds": seconds, "inside": f"repetition {position + 1}"}))

    @property
    def compiling(self) -> int:
        """Nanoseconds of the repetitions in which the compiler ran."""
        positions = [0, *self.recompiled] if self.compiled_first else self.recompiled
        return sum(self.repetitions[position].duration for position in positions)

    def take(self, repetition: Repetition, count: int) -> None:
        """Take over one repetition of at most `count`."""
        self.repetitions.append(repetition)
        index = len(self.repetitions)
        self.write(lines.Rep(index, count, repetition.start, repetition.end, repetition.duration))

    def measurement(self, ended: str | None) -> Measurement:
        """Return what was measured."""
        return Measurement(self.shape, tuple(self.repetitions), tuple(self.recompiled), ended)

    def fail(self, error: BaseException) -> None:
        """Take over why the shape failed, as text: an exception would keep the failed call's tensors alive."""
        self.failure = describe(error)


def describe(error: BaseException) -> dict[str, Any]:
    """Return what the log says of a failure."""
    import torch

    out_of_memory = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "allocate memory" in str(error)
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "type": type(error).__name__,
        "message": first_line(error),
        "out_of_memory": out_of_memory,
        "where": f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else None,
    }
