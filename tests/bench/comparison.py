"""What the rounds of encoding say: each way, ours against theirs, and the limit that forbids what is not reached."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fmbench.stats import median

from .rates import TYPES
from .ways import BASE, OURS, PLAIN, kind_of

Row = tuple[str, str, str]  # what, the target, the figure
# One query with the same engine: ours, theirs.
SAME = {
    "eager torch, fp32": "their torch", "eager torch, bf16": "their bf16", "ONNX Runtime, fp32": "their onnx",
    "OpenVINO, fp32": "their openvino f32", "OpenVINO, its own precision": "their openvino",
}  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """Rounds, as encode.one_round returns them. Lists are in the order of the rounds, and of their queries."""

    count: int  # documents
    rounds: list[dict[str, Any]]

    @property
    def ways(self) -> list[str]:
        """Return the ways that every round has."""
        return [way for way in self.rounds[0]["bulk"] if all(way in one["bulk"] for one in self.rounds)]

    def bulk(self, way: str) -> list[float]:
        """Return the seconds of all documents."""
        return [one["bulk"][way] for one in self.rounds]

    def alone(self, way: str) -> list[float]:
        """Return the seconds of each query."""
        return [seconds for one in self.rounds for seconds in one["alone"][way]]

    def bulk_forward(self, way: str) -> list[float]:
        """Return the seconds of one of ours in its forward passes alone."""
        return [one["bulk_stages"][way]["forward"] for one in self.rounds]

    def stages(self, way: str) -> dict[str, list[float]]:
        """Return the seconds of each query in each stage of one of ours."""
        every = [stages for one in self.rounds for stages in one["alone_stages"][way]]
        return {name: [one[name] for one in every] for name in every[0]}

    def limit(self, kind: str) -> list[float]:
        """Return the seconds of the documents' products at the best rate of an engine's in a type."""
        return [min(found for name, found in one["limits"].items() if name.endswith(kind)) for one in self.rounds]

    def best(self, ours: bool, times: Any, kind: str | None = None) -> str | None:
        """Return the fastest way of a type, ours or theirs (fastembed aside); None where none was there."""
        found = [way for way in self.ways if (way in OURS) == ours and kind in (None, kind_of(way))]
        return min((way for way in found if way != "their fastembed"), key=lambda way: median(times(way)), default=None)


def ratio(one: list[float], other: list[float]) -> float:
    """Return the median of the quotients of two ways' times, taken in turn."""
    return median([a / b for a, b in zip(one, other, strict=True)])


def rows_of(found: Measured) -> Iterator[Row]:
    """Yield every row of some rounds."""
    if found.rounds:
        loads = ", ".join(str(one["load"]) for one in found.rounds)
        yield "rounds", "5", f"{len(found.rounds)} (load averages at the end of each: {loads})"
        yield from each_way(found)
        yield from against(found)
        yield from one_query(found)


def each_way(found: Measured) -> Iterator[Row]:
    """Yield what each way does, and what the machine would."""
    for way in found.ways:
        times, share = (ratio(other, found.bulk(way)) for other in (found.bulk(BASE), found.limit(kind_of(way))))
        cosine = min(one["cosines"][way] for one in found.rounds)
        said = f"{found.count / median(found.bulk(way)):.1f}/s, {times:.2f} times their torch"
        yield f"documents, {way}", "", f"{said}, {share:.0%} of {kind_of(way)}'s limit, least cosine {cosine:.5f}"
    for kind in TYPES:
        engines = {name.partition(",")[0]: median([one["operations"] / one["limits"][name] for one in found.rounds])
                   for name in found.rounds[0]["limits"] if name.endswith(kind)}  # fmt: skip
        rates = ", ".join(f"{engine} {rate / 1e9:.0f}" for engine, rate in engines.items())
        speed = found.count / median(found.limit(kind))
        yield f"documents, the limit of {kind} products alone", "", f"{speed:.1f}/s (GFLOP/s: {rates})"


def against(found: Measured) -> Iterator[Row]:
    """Yield ours against the best of theirs, and what no kernel of an engine here could pass."""
    plain, int8 = found.best(False, found.bulk), found.best(True, found.bulk, "int8")
    pairs = [("float32", "1.25", found.best(False, found.bulk, "float32")),
             ("bfloat16", "1.0", found.best(False, found.bulk, "bfloat16")),
             ("int8", "1.45", plain), ("int8", "3.5", PLAIN)]  # fmt: skip
    for kind, target, theirs in pairs:
        if (mine := found.best(True, found.bulk, kind)) and theirs:
            times, forward, limit = (
                ratio(found.bulk(theirs), one)
                for one in (found.bulk(mine), found.bulk_forward(mine), found.limit(kind))
            )
            said = f"{times:.2f} ({mine}; its forward passes alone {forward:.2f}, {kind}'s limit {limit:.2f})"
            yield f"documents, ours in {kind}: times as fast as {theirs}", target, said
    if int8:
        cosine = min(one["cosines"][int8] for one in found.rounds)
        yield "documents, ours in int8: least cosine", "0.99", f"{cosine:.5f} ({int8})"


def one_query(found: Measured) -> Iterator[Row]:
    """Yield the median of one query, text to vector, its stages, and its share of theirs."""
    for way in found.ways:
        stages = found.stages(way) if way in OURS else {}
        parts = [f"{name} {median(times) * 1e3:.2f}" for name, times in stages.items()]
        yield f"one query, {way}: p50", "", ", ".join([f"{median(found.alone(way)) * 1e3:.2f} ms", *parts])
    pairs = [(mine, theirs, "0.85") for mine, theirs in SAME.items()]
    pairs.append((str(found.best(True, found.alone, "int8")), str(found.best(False, found.alone)), "0.6"))
    for mine, theirs, target in pairs:
        if {mine, theirs} <= set(found.ways):
            whole, forward = (
                ratio(one, found.alone(theirs)) for one in (found.alone(mine), found.stages(mine)["forward"])
            )
            said = f"{whole:.2f} (its forward pass alone {forward:.2f})"
            yield f"one query, {mine}: share of the time of {theirs}", target, said
