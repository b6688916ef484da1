"""Why the row of a shape should not be believed: what its log says twice does not agree, or a field was refused.

A reason begins with a word of docs/reference/lines.md: mixed, lost, contradicted, damaged.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fmbench.consistency import LATENCY_ROUNDING, SAME, disagree, holds, result_doubt, statistics_doubt
from fmbench.processes import Processes
from fmbench.summary import Summary

from .run import Run
from .shape import Shape

UNSOUND = ("mixed", "lost", "contradicted", "damaged")
DISAGREEMENT = 0.05  # a share: logs of old leave other repetitions out

Said = Mapping[str, Any]


def is_sound(doubt: str | None) -> bool:
    """Whether a log can be believed of which a row is in doubt: another reason is of what was measured."""
    return doubt is None or doubt.partition(":")[0] not in UNSOUND


def shape_doubt(run: Run, shape: Shape, summary: Summary | None, found: Said | None) -> str | None:
    """Return why the lines of a shape are not to be believed, or None. `found` are its statistics in milliseconds.

    Logs of old may be abridged, and count by rules of their own: of these, only what no log may hold is a reason.
    """
    count = shape.repetitions
    if run.format is None or run.doubt or shape.doubt:
        return run.doubt or shape.doubt or old_doubt(shape, count, summary)
    if shape.announced is None and (count or (run.announces and shape.result is not None)):
        return "mixed: it stands behind no CASE line of its own"
    if shape.processes is None and shape.result is not None and run.arguments.get("repeat", "1") != "1":
        return "lost: no PROC line says how the processes of --repeat differ"
    asked = run.asked
    if asked and None not in (shape.input_size, shape.batch_size) and shape.place[:2] not in asked:
        return f"mixed: {shape.input_size} / {shape.batch_size} is none of the shapes that were asked for"
    median = None if summary is None else summary.p50
    return (
        result_doubt(shape, count, median, shape.result, shape.statistics)
        or (statistics_doubt(shape.statistics, found) if shape.statistics and summary and found else None)
        or next(side_doubts(shape, found), None)
    )


def old_doubt(shape: Shape, count: int, summary: Summary | None) -> str | None:
    """Return what no log may hold: too many repetitions, or a result that is far from all of them."""
    if shape.requested is not None and count > shape.requested:
        return f"mixed: {count} repetitions of {shape.requested}"
    if summary is None or shape.result is None or count != shape.requested:
        return None
    said, found = shape.result.latency, summary.p50 / 1e6
    if abs(said - found) > DISAGREEMENT * found + LATENCY_ROUNDING:
        return f"contradicted: RES says {said:.3f} ms, and its repetitions {found:.3f} ms"
    return None


def side_doubts(shape: Shape, found: Said | None) -> Iterator[str]:
    """Yield what CASE, CEIL, ENERGY and PAIR say of a shape that its other lines do not."""
    standing, announced = shape.standing or {}, shape.announced or {}
    for key in ("flops", "bytes"):
        if None not in (standing.get(key), announced.get(key)) and standing[key] != announced[key]:
            yield f"contradicted: CEIL says {standing[key]} {key}, and CASE {announced[key]}"
    achieved, attainable = standing.get("achieved_flops_per_second"), standing.get("attainable_flops_per_second")
    if differ(standing.get("share"), quotient(achieved, attainable)):
        yield f"contradicted: CEIL's share {standing['share']} is not its achieved over its attainable"
    median = (found or {}).get("p50")
    if differ(achieved, quotient(standing.get("flops"), median and median / 1e3)):
        yield "contradicted: CEIL's achieved FLOP/s are not its flops over the latency"
    energy = shape.energy or {}
    sequences = quotient(energy.get("joules"), energy.get("joules_per_sequence"))
    if sequences and shape.batch_size and shape.repetitions:
        # Those of the cold repetition are in it or not.
        possible = [shape.batch_size * count for count in (shape.repetitions, shape.repetitions - 1)]
        if all(differ(sequences, float(count)) for count in possible):
            yield "contradicted: ENERGY's joules_per_sequence are not its joules over the sequences"
    if shape.pair is not None and not holds(shape.pair.get("interval"), shape.pair.get("ratio")):
        yield "contradicted: PAIR's interval does not hold its ratio"
    pair = shape.pair or {}
    if not clear(pair.get("verdict"), pair.get("interval")):
        yield f"contradicted: PAIR says {pair['verdict']}, and its interval holds 1"


def clear(verdict: object, interval: Sequence[float] | None) -> bool:
    """Whether an interval of a ratio leaves 1 out where a verdict says faster or slower."""
    if interval is None or verdict not in ("faster", "slower"):
        return True
    return interval[1] < 1 if verdict == "faster" else interval[0] > 1


def processes_doubt(said: Said, medians: Any, found: Sequence[Said]) -> str | None:
    """Return how a PROC line contradicts the STAT lines (`found`) of the processes that it sums up, or None."""
    if len(found) != said["n"] or not found or said["n"] > said["requested"]:
        return f"lost: PROC counts {said['n']} of {said['requested']} processes, and the log has {len(found)}"
    known = [(one["p50"], *one["interval"]) for one in found if "p50" in one and "interval" in one]
    if len(known) != len(found):
        return "lost: a process that PROC counts has no STAT line"
    true = Processes.of(known, said["requested"])
    figures = [(said["p50"], true.p50), (said.get("ratio"), true.ratio)]
    figures += zip(said.get("interval") or (), true.interval, strict=False)
    figures += zip(medians if isinstance(medians, list) else (), true.medians, strict=False)
    if any(differ(one, other) for one, other in figures) or said.get("stable") not in (None, true.stable):
        return "contradicted: PROC says of its processes what their STAT lines do not"
    return None


def quotient(one: float | None, other: float | None) -> float | None:
    """Return one over other, where both are known and that can be."""
    return None if one is None or not other else one / other


def differ(said: float | None, computed: float | None) -> bool:
    """Whether a figure differs from what others give by more than rounding; what is not known does not."""
    return said is not None and computed is not None and disagree(said, computed, SAME * abs(computed) + 0.001)
