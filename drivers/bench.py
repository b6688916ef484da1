"""Measuring the shapes of one run, one after the other, and printing what each gave."""

import gzip
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmbench import counters, lines
from fmbench.cgroup import ControlGroups, Periods
from fmbench.console import Progress, warn
from fmbench.counters import Counter, CpuTime, handover
from fmbench.errors import FmbenchError, PlatformError, first_line
from fmbench.facts import discreet
from fmbench.measure import Clock, Shape, Subject, SubjectError, TokenGenerator, repeat
from fmbench.outputs import placed
from fmbench.roofline import Ceiling
from fmbench.session import LogWriter
from fmbench.stopping import Rule, Stopping
from fmbench.summary import INTERVAL_LIMIT, Summary
from fmbench.torch_settings import CompilationWatch, in_force
from fmbench.whole_file import write_whole

from . import report
from .report import Block
from .variant import Variant

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Reading:
    """Counters that are read before and after the repetitions that are not cold."""

    energy: Counter
    preemptions: int
    periods: Periods | None
    cpu_time: CpuTime | None


@dataclass
class Bench:
    """Everything that the shapes of one run share. `check` refuses facts that are known late, of a variant.

    `precisions` are those of shapes that were measured before, by variant: facts are of all shapes of a log.
    """

    variants: Sequence[Variant]
    generator: TokenGenerator
    log: LogWriter
    clock: Clock
    rule: Rule
    seed: int = 0
    watch: CompilationWatch | None = None
    ceilings: dict[str, Ceiling] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
    check: Callable[[Mapping[str, Any], str], object] = field(default=lambda late_facts, variant: None)
    precisions: dict[str, Any] = field(default_factory=dict)
    _warm: Reading | None = None  # after the first repetition of the shape
    _host_counted: bool = False

    def run(self, shape: Shape) -> bool:
        """Measure one shape with every variant and print it; return False where one failed, which the log says too."""
        blocks = [
            Block(variant, shape, self.log, variant.cost(shape), live=variant.index == 0) for variant in self.variants
        ]
        self._host_counted, self._warm = counters.reset_host_peak(), None
        try:
            ended = self.measure(blocks)
        except BaseException:  # interrupted: what was measured is printed
            for block in blocks:
                block.release()
            raise
        finally:
            self.progress.clear()
        end = self.read()
        for block in blocks:
            block.release()
            self.close(block, ended, end)
        for block in blocks[1:]:
            self.log.write(report.pair_line(blocks[0], block, self.seed))
        return all(block.failure is None for block in blocks)

    def read(self) -> Reading:
        """Read the counters of the process and of A's device."""
        energy, periods = self.variants[0].platform.read_energy(), ControlGroups().periods()
        return Reading(energy, counters.preemptions(), periods, counters.cpu_time())

    def measure(self, blocks: Sequence[Block]) -> str | None:
        """Run the one-off phases and the repetitions of a shape; return what ended it."""
        for block in blocks:
            block.open(self.rule)
            block.variant.platform.start_peak()
        for block in blocks:
            self.warm_up(block)
        shape = blocks[0].shape
        self.generator.start(shape.input_size, shape.batch_size)
        ended = None
        while ended is None and (active := [block for block in blocks if block.failure is None]):
            ended = self.repeat(active)
            for block in blocks:
                if block.failure is not None:
                    _, fault = block.variant.platform.attempt("recover")
                    if fault:
                        warn(fault)
        self.check_settings(blocks)
        return ended

    def check_settings(self, blocks: Sequence[Block]) -> None:
        """Fail all blocks where a call has changed torch's settings: the log says the former ones, and they share them.

        They may be those of any variant, whose turn was the last.
        """
        found = in_force()
        if any(block.settings == found for block in blocks):
            return
        for block in blocks:
            changed = [
                f"{name} from {was} to {found[name]}" for name, was in block.settings.items() if was != found[name]
            ]
            if block.failure is None:
                title = block.variant.platform.title()
                block.fail(PlatformError(f"{title}: a call changed settings of torch: {', '.join(changed)}"))

    def warm_up(self, block: Block) -> None:
        """Run what the platform does once for a shape, on the tokens that the repetitions begin with."""
        platform = block.variant.platform
        self.generator.start(block.shape.input_size, block.shape.batch_size)
        block.before(self.watch)
        block.settings = in_force()
        try:
            found = platform.ask_warm_up(block.variant.forward, placed(platform, self.generator.batch()))
            phases = [asdict(phase) for phase in found]
        except Exception as error:  # whatever a vendor's library raises, the sweep goes on
            block.fail(error)
            return
        for phase in phases:
            block.write(lines.JsonLine("PHASE", phase))

    def repeat(self, active: Sequence[Block]) -> str | None:
        """Repeat until the rule is met and return what ended it, or None where a variant failed."""
        stopping = Stopping(self.rule, len(active))
        for earlier in zip(*(block.repetitions for block in active), strict=True):  # from before a variant failed
            stopping.add([repetition.duration / 1e9 for repetition in earlier], 0.0)
        subjects = [self.subject(block) for block in active]
        size = f"{active[0].shape.input_size} / {active[0].shape.batch_size}"
        try:
            for timed in repeat(subjects, self.generator.batch, self.clock, self.seed):
                for block, repetition in zip(active, timed, strict=True):
                    block.take(repetition, self.rule.reps)
                count = len(active[0].repetitions)
                if count == 1:
                    self._warm = self.read()
                self.progress.show(f"{size}: repetition {count} of at most {self.rule.reps}")
                elapsed = max(one.end for one in timed) - active[0].repetitions[0].start
                elapsed -= sum(block.compiling for block in active)
                ended = stopping.add([repetition.duration / 1e9 for repetition in timed], elapsed / 1e9)
                if ended is not None:
                    return ended
        except SubjectError as error:
            failed = active if error.index is None else [active[error.index]]
            for block in failed:
                block.fail(error.__cause__ or error)
        return None

    def subject(self, block: Block) -> Subject:
        """Return what is timed for a block."""
        platform = block.variant.platform
        return Subject(
            call=block.variant.forward,
            place=platform.place,
            synchronize=platform.synchronize,
            before=lambda: block.before(self.watch),
            after=lambda output: block.after(self.watch, output),
        )

    def close(self, block: Block, ended: str | None, end: Reading) -> None:
        """Print what a shape gave, or why it failed."""
        variant = block.variant
        if block.repetitions:
            self.state(block)
        if block.failure is not None:
            self.log.write(lines.JsonLine("ERR", {**asdict(block.shape), **variant.marks, **block.failure}))
            size = f"{block.shape.input_size} / {block.shape.batch_size}"
            warn(f"{size} failed: {block.failure['type']}: {block.failure['message']}")
            return
        measurement = block.measurement(ended)
        start = self._warm or end
        counted = not any(variant.platform.yields for variant in self.variants)
        rate = (
            counters.preemption_rate(end.preemptions - start.preemptions, measurement.warm_seconds) if counted else None
        )
        throttled = start.periods.share_until(end.periods) if start.periods and end.periods else None
        cpu_times = start.cpu_time, end.cpu_time, measurement.warm_seconds
        waiting = None if counted else counters.waiting_threads(*cpu_times)
        in_line = counters.share_in_line(*cpu_times) if counted else None
        limit = self.rule.precision or INTERVAL_LIMIT
        standing = report.stand(block, self.ceilings.get(variant.label), measurement)
        against = (round(standing.share, 6), standing.bound) if standing else (None, None)
        around = measurement.recompiled, rate, throttled, limit, waiting, in_line
        summary = Summary.of(measurement.durations, *around, *against)
        self.log.write(report.memory_line(block, self._host_counted))
        self.log.write(report.energy_line(block, start.energy, end.energy, measurement))
        self.log.space()
        self.log.write(report.result_line(measurement, variant))
        if standing is not None:
            self.log.write(report.ceiling_line(block, standing))
        between_cpus = None if counted else handover()
        self.log.write(report.statistics_line(block, measurement, summary, standing, between_cpus))

    def state(self, block: Block) -> None:
        """Print what only the run tells; where that fails, the shape does: nobody knows what its figures are of."""
        try:
            found = block.variant.platform.ask_model_facts()
            self.check_precision(block, found)
        except FmbenchError as error:
            if block.failure is None:
                block.fail(error)
            return
        if found:
            self.check(found, block.variant.label)
            self.log.write(lines.JsonLine("ENV", {**found, **block.variant.marks}))

    def check_precision(self, block: Block, found: Mapping[str, Any]) -> None:
        """Raise PlatformError where a shape was computed in another precision than those of the variant before."""
        variant = block.variant
        precision = {**variant.facts, **found}.get("precision")
        if block.failure is None:
            self.precisions.setdefault(variant.label, precision)
        if (before := self.precisions.get(variant.label, precision)) != precision:
            raise PlatformError(
                f"{variant.platform.title()}: model_facts(): precision is {precision} for this shape, and was {before} "
                "for those before; a log is of one: measure this shape into another"
            )

    def trace(self, shape: Shape, path: Path) -> None:
        """Write a profiler trace of one extra repetition of A."""
        import torch

        variant = self.variants[0]
        variant.activate()
        batch = variant.platform.place(self.generator.batch())
        try:
            with torch.profiler.profile() as profiler:
                variant.forward(batch)
                variant.platform.synchronize()
            write_trace(profiler, path, variant.arguments.disclose)
        except Exception as error:  # the figures are printed already; a trace is an extra
            warn(f"no trace of {shape.input_size} / {shape.batch_size}: {type(error).__name__}: {first_line(error)}")


def write_trace(profiler: "torch.profiler.profile", path: Path, disclose: bool) -> None:
    """Write what a profiler saw as Chrome JSON, packed where the name ends in .gz.

    Torch puts the host's name and this machine's folders into it, which only --disclose leaves there.
    """
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "trace.json")
        profiler.export_chrome_trace(str(raw))
        trace = {**json.loads(raw.read_bytes()), "traceName": str(path)}
    if not disclose:
        trace.pop("host_name", None)
        trace = discreet(trace)
    content = json.dumps(trace).encode()
    write_whole(path, gzip.compress(content) if path.suffix == ".gz" else content)
