"""The lines of one shape and one variant: as they are made, and what closes the shape in the log."""

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fmbench import counters, lines, outputs, roofline
from fmbench.cost import Cost
from fmbench.counters import Counter
from fmbench.errors import PlatformError, first_line, is_out_of_memory
from fmbench.measure import Measurement, Repetition, Shape
from fmbench.pairs import LEAST, Pair
from fmbench.processes import Processes
from fmbench.roofline import Ceiling
from fmbench.secrets import masked_text, sealed
from fmbench.session import LogWriter
from fmbench.stopping import Rule
from fmbench.summary import Summary
from fmbench.torch_settings import CompilationWatch

from .variant import Variant

LOOKS = frozenset({0, *(4**power for power in range(1, 16))})  # repetitions whose numbers are read


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
    settings: dict[str, Any] = field(default_factory=dict)  # of torch, before the first call
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

    def after(self, watch: CompilationWatch | None, output: Any) -> None:
        """Note it where the compiler ran inside the call, and look at what that returned. Raises OutputError.

        The numbers are read after the cold repetition, and ever more rarely: that fills a CPU's caches for the next.
        """
        self.variant.platform.observe()
        self._note_compilation(watch)
        shape = (self.cost and self.cost.shape) or (self.shape.batch_size,)
        outputs.check(self.variant.platform, output, shape, values=len(self.repetitions) in LOOKS)

    def _note_compilation(self, watch: CompilationWatch | None) -> None:
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
    """Return what the log says of a failure: its type and place are those of what a platform's hook raised."""
    raised = error.__cause__ if isinstance(error, PlatformError) and error.__cause__ is not None else error
    frames = traceback.extract_tb(raised.__traceback__)
    return {
        "type": type(raised).__name__,
        "message": first_line(error),
        "out_of_memory": is_out_of_memory(error),
        "where": f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else None,
    }


TIMES = ("cold", "min", "p50", "p90", "p95", "p99", "mean", "mad")
SHARED = "the variants share the process, so that this cannot be told apart"


def memory_line(block: Block, host_counted: bool) -> lines.JsonLine:
    """Return peak memory of a shape, the model's own bytes apart."""
    variant = block.variant
    weights = variant.facts.get("model_bytes")
    peak, lost = variant.platform.read_peak(weights or 0) if variant.alone else (None, None)
    host = counters.host_peak() if variant.alone and host_counted else None
    reason = None if host is not None else "the kernel does not reset the peak here" if variant.alone else SHARED
    return lines.JsonLine("MEM", {
        **asdict(block.shape), **variant.marks,
        "device_peak_bytes": peak,
        "host_peak_bytes": host,
        "model_bytes": weights,
        "reason": "; ".join(filter(None, (lost, reason))) or None,
    })  # fmt: skip


def energy_line(block: Block, before: Counter, after: Counter, measurement: Measurement) -> lines.JsonLine:
    """Return what the repetitions after the first took, making the inputs between them included."""
    if not block.variant.alone:
        before = after = Counter(None, None, SHARED)
    sequences = (len(measurement.repetitions) - 1) * block.shape.batch_size
    spent = counters.energy_spent(before, after, measurement.warm_seconds, sequences)
    return lines.JsonLine("ENERGY", {**asdict(block.shape), **block.variant.marks, **spent})


def result_line(measurement: Measurement, variant: Variant) -> lines.Res:
    """Return the RES line of a shape."""
    return lines.Res(
        start=measurement.repetitions[0].start,
        end=measurement.repetitions[-1].end,
        model=variant.arguments.model_name,
        model_class=variant.model_class,
        input_size=measurement.shape.input_size,
        batch_size=measurement.shape.batch_size,
        latency=measurement.latency * 1e3,
        throughput=measurement.throughput,
    )


def stand(block: Block, ceiling: Ceiling | None, measurement: Measurement) -> roofline.Standing | None:
    """Return where a shape stands under the roofline, or None where work, ceiling or time is unknown."""
    if block.cost is None or ceiling is None or not measurement.latency:
        return None
    return roofline.stand(block.cost, ceiling, measurement.latency)


def ceiling_line(block: Block, standing: roofline.Standing) -> lines.JsonLine:
    """Return where a shape stands under the roofline."""
    data = {**asdict(standing), "share": round(standing.share, 6)}
    data.update({key: round(value) for key, value in data.items() if key.endswith("per_second")})
    return lines.JsonLine("CEIL", {**asdict(block.shape), **block.variant.marks, **data})


def statistics_line(
    block: Block,
    measurement: Measurement,
    summary: Summary,
    standing: roofline.Standing | None,
    between_cpus: float | None,
) -> lines.JsonLine:
    """Return the statistics of a shape: times in milliseconds, to the nanosecond that the clock shows.

    `between_cpus` is the handover right after the repetitions, in nanoseconds a cache line.
    """
    data: dict[str, Any] = {**asdict(block.shape), **block.variant.marks, **asdict(summary)}
    data.update({name: round(data[name] / 1e6, 6) for name in TIMES})
    data["interval"] = [round(end / 1e6, 6) for end in summary.interval]
    data.update({name: round(data[name], 6) for name in ("effective", "drift", "drift_p")})
    data["throttled"] = None if summary.throttled is None else round(summary.throttled, 6)
    data.update(recompiled_at=list(measurement.recompiled), ended=measurement.ended, graph=block.graph)
    data["handover"] = between_cpus
    if standing is not None:
        data["achieved_flops_per_second"] = round(standing.achieved_flops_per_second)
        data["roofline_share"] = round(standing.share, 6)
        data["bound"] = standing.bound
    return lines.JsonLine("STAT", data)


def pair_line(a: Block, b: Block, seed: int) -> lines.JsonLine:
    """Return B against A, or the reason why there is no answer."""
    data: dict[str, Any] = {
        **asdict(a.shape),
        "a": a.variant.label,
        "b": b.variant.label,
        "overrides": masked_text(b.variant.overrides, sealed),
        **({"same_as": b.variant.twin} if b.variant.twin else {}),
    }
    failed = next((block for block in (a, b) if block.failure is not None), None)
    if failed is not None and failed.failure is not None:
        reason = f"{failed.variant.label} failed: {failed.failure['type']}: {failed.failure['message']}"
        return lines.JsonLine("PAIR", {**data, "n": 0, "ratio": None, "verdict": None, "reason": reason})
    count = min(len(a.repetitions), len(b.repetitions))
    first, second = ([repetition.duration for repetition in block.repetitions[:count]] for block in (a, b))
    try:
        pair = Pair.of(first, second, seed)
    except ValueError as error:
        return lines.JsonLine("PAIR", {**data, "n": count, "ratio": None, "verdict": None, "reason": str(error)})
    figures: dict[str, Any] = {
        "ratio": round(pair.ratio, 6),
        "interval": [round(end, 6) for end in pair.interval],
        "p": pair.p,
    }
    figures["detectable"] = round(pair.detectable, 6)
    if pair.verdict is None:
        reason = f"too few pairs to tell: {pair.n}, and {LEAST} is the least"
        return lines.JsonLine("PAIR", {**data, "n": pair.n, **figures, "verdict": None, "reason": reason})
    why = {} if pair.reason is None else {"reason": pair.reason}
    return lines.JsonLine("PAIR", {**data, "n": pair.n, **figures, "verdict": pair.verdict, **why})


def processes_lines(outcomes: Sequence[lines.JsonLine], requested: int) -> Iterator[lines.JsonLine]:
    """Yield how the processes that measured one shape differ, a line a variant; none where all of them failed."""
    by_variant: dict[str | None, list[dict[str, Any]]] = {}
    for line in outcomes:
        if lines.is_json(line, "STAT"):
            by_variant.setdefault(line.data.get("variant"), []).append(line.data)
    for found in by_variant.values():
        place: dict[str, Any] = {
            key: found[0][key] for key in ("input_size", "batch_size", "variant") if key in found[0]
        }
        processes = asdict(Processes.of([(data["p50"], *data["interval"]) for data in found], requested))
        ratio = processes["ratio"]
        rounded = {"p50": round(processes["p50"], 6), "ratio": None if ratio is None else round(ratio, 6)}
        yield lines.JsonLine("PROC", {**place, **processes, **rounded, "requested": requested})
