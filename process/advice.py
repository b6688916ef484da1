"""What to run: the fastest configuration of a model that is as good as the reference, in one sentence."""

from collections.abc import Iterable, Sequence

from fmbench.figures import cosine_text, significant
from fmbench.markdown import harmless

from .reading.row import Result
from .record import Key, Record, axes, columns
from .workload import Finding, by_workload

REFERENCE = {"precision": "float32", "compile": False}
LEAST_COSINE = 0.99  # below, rankings change; where nothing says by how much
LEAST_GAIN = 0.05  # a share
# How much of its machine a run may use. One platform may have been tried with less of it than another.
CONFINED = {"cpus_usable": "usable CPUs", "cpu_quota": "of CPU quota", "numa_nodes_usable": "usable NUMA nodes"}
KEPT = 0.005  # of nDCG@10: what is lost at most, as far as the means say


def advice_of(records: Sequence[Record], results: Iterable[Result] = ()) -> str:
    """Return one sentence on the records of one model; nothing where no two can be held against each other.

    Where somebody chose among these very configurations (among the `results`), that is what is said, in its own words.
    The reference is what runs eagerly in float32. As good is what loses at most KEPT of nDCG@10, by the paired change
    where there is one (whose interval must reach zero); where nothing was judged, a least cosine of LEAST_COSINE.
    Faster is what is so beyond doubt; of a figure without an interval that is in doubt (a data set, encoded once on a
    busy machine), nobody knows, as `fmbench compare` says too.
    """
    if chosen := chosen_of(records, results):
        return chosen
    speed, _ = axes(records)
    reference = reference_of(records)
    if speed is None or reference is None or speed not in reference.figures:
        return ""
    less = columns()[speed[0]].less_is_better
    there = sorted(
        (one for one in records if speed in one.figures), key=lambda one: one.figures[speed].value, reverse=not less
    )
    if len(there) < 2:
        return ""
    ahead = [
        one for one in there[: there.index(reference)] if is_faster(one.figures[speed], reference.figures[speed], less)
    ]
    best = next((one for one in ahead if kept(one, reference)), reference)
    faster = [one for one in ahead[: ahead.index(best) if best in ahead else None] if not judged_at_all(one)]
    heading = f"{columns()[speed[0]].heading} {best.figures[speed].of}".strip()

    def times(one: Record) -> str:
        doubt = ", in doubt" if one.figures[speed].doubt or reference.figures[speed].doubt else ""
        speedup = ratio(one.figures[speed], reference.figures[speed], less)
        said = f"{one.name} ({one.configuration.id}), {speedup} times as fast as {reference.name}"
        return f"{said}{doubt}{confinement(one, reference)}"

    untold = [
        one for one in there[: there.index(reference)] if cannot_tell(one.figures[speed], reference.figures[speed])
    ]
    unknown = [one for one in untold if kept(one, reference) or not judged_at_all(one)]
    if best is reference:
        doubt = ", in doubt" if any(one.figures[speed].doubt for one in there) else ""
        said = f"what to run: {best.name}" + ("" if faster or unknown else f"; none that is as good is faster{doubt}")
    else:
        said = f"what to run: {times(best)}; {quality(best, reference)}"
    if faster:
        said += f"; faster, but nobody measured how good: {times(faster[0])}"
    if unknown:
        said += f"; nobody knows whether it is faster: {times(unknown[0])}"
    return harmless(f"{said} ({heading})")


def chosen_of(records: Sequence[Record], results: Iterable[Result]) -> str:
    """Return what a choice among the configurations of some records says to run; nothing where there was none."""
    known = {record.configuration.id for record in records}
    of_these = (result for result in results if result.row["configuration"] in known)
    return harmless(" ".join(said for workload, members in by_workload(of_these) for said in workload.answer(members)))


def cannot_tell(one: Finding, other: Finding) -> bool:
    """Whether two figures cannot be held against each other: one is in doubt, and no interval says how far."""
    return any(figure.doubt and figure.low is None for figure in (one, other))


def is_faster(one: Finding, reference: Finding, less_is_better: bool) -> bool:
    """Whether a figure is better beyond doubt: the intervals of both leave 1 out; without any, by LEAST_GAIN."""
    if cannot_tell(one, reference):
        return False
    fast, slow = (reference, one) if less_is_better else (one, reference)
    if None in (fast.low, slow.high):
        return fast.value > (1 + LEAST_GAIN) * slow.value
    return float(fast.low or 0) > float(slow.high or 0)


def confinement(one: Record, reference: Record) -> str:
    """Return how much of the machine each of two configurations could use, where these differ."""
    pairs = {name: [each.configuration.facts.get(name) for each in (one, reference)] for name in CONFINED}
    return "".join(
        f", with {mine or 'unknown'} and {theirs or 'unknown'} {CONFINED[name]}"
        for name, (mine, theirs) in pairs.items()
        if mine != theirs
    )


def judged_at_all(record: Record) -> bool:
    """Whether anything says how good a configuration is, or how near to its reference."""
    return any(key[0] in ("ndcg", "ndcg_change", "min_cosine") for key in record.figures)


def reference_of(records: Sequence[Record]) -> Record | None:
    """Return the record of what runs eagerly in float32: the one with most figures, where there are several."""
    there = [
        one for one in records
        if all(one.configuration.facts.get(name, value) == value for name, value in REFERENCE.items())
        and not one.configuration.facts.get("openvino_frontend")
    ]  # fmt: skip
    return max(there, key=lambda one: len(one.figures), default=None)


def kept(record: Record, reference: Record) -> bool:
    """Whether a configuration is as good as the reference, as far as its figures say."""
    change, cosine = record.figures.get(("ndcg_change", "")), record.figures.get(("min_cosine", ""))
    if change is not None and change.low is not None and change.high is not None:
        return change.high >= 0 and change.value >= -KEPT
    pairs = judged(record, reference)
    if pairs:
        return all(mine.value >= theirs.value - KEPT for mine, theirs in pairs)
    return cosine is not None and cosine.value >= LEAST_COSINE


def judged(record: Record, reference: Record) -> list[tuple[Finding, Finding]]:
    """Return nDCG@10 of both on each data set that both have."""
    keys: list[Key] = [key for key in record.figures if key[0] == "ndcg" and key in reference.figures]
    return [(record.figures[key], reference.figures[key]) for key in keys]


def quality(record: Record, reference: Record) -> str:
    """Return in words how good a configuration is beside the reference."""
    change, cosine = record.figures.get(("ndcg_change", "")), record.figures.get(("min_cosine", ""))
    if change is not None and change.low is not None and change.high is not None:
        return f"nDCG@10 changes by {change.value:+.4f} ({change.low:+.4f} to {change.high:+.4f})"
    if pairs := judged(record, reference):
        return ", ".join(f"nDCG@10 on {mine.of} {mine.value:.4f} beside {theirs.value:.4f}" for mine, theirs in pairs)
    return f"least cosine {cosine_text(cosine.value if cosine else None)}"


def ratio(best: Finding, reference: Finding, less_is_better: bool) -> str:
    """Return how many times as fast the one is, with what the ends of both intervals give."""
    fast, slow = (reference, best) if less_is_better else (best, reference)
    value = significant(fast.value / slow.value)
    if None in (fast.low, fast.high, slow.low, slow.high) or not slow.low:
        return value
    low, high = float(fast.low or 0) / float(slow.high or 0), float(fast.high or 0) / float(slow.low)
    return f"{value} ({significant(low)} to {significant(high)})"
