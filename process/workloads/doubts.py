"""Why a row of retrieval or of distillation should not be believed: what its log says twice does not agree.

A reason begins with a word of docs/reference/lines.md: mixed, contradicted, damaged.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from fmbench import stats
from fmbench.consistency import ascending, holds

from ..reading.doubts import differ, quotient
from .compressed import compressed_doubts

METRIC_ROUNDING = 1e-4  # of a metric and the ends of its interval
QUERY_ROUNDING = 1e-5  # of the mean of queries: each has six decimals
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
OWN_LOAD = 0.5  # of a run whose threads are as many as the CPUs: what else of it runs now and then
TAIL = 10  # times p50, beyond which p99 is of what else ran
SHARES = ("precision", "ceiling", "success", "recall")

Said = Mapping[str, Any]


def retrieval_doubt(parts: Mapping[str, Any], by_query: Said | None) -> str | None:
    """Return why the lines of a data set are not to be believed, or None. `by_query` is what its IRQ line says."""
    return next(retrieval_doubts(parts, by_query), None)


def retrieval_doubts(parts: Mapping[str, Any], by_query: Said | None) -> Iterator[str]:
    """Yield what the lines of a data set say that cannot be, or that its other lines do not."""
    search = parts.get("search", {})
    for part, name, counted in (("queries", "query", "queries"), ("passages", "passage", "documents")):
        if part in parts:
            yield from encoding_doubts(parts[part], f"ENC of role {name}")
            if search.get(counted) not in (None, parts[part]["texts"]):
                yield f"contradicted: SEARCH has {search[counted]} {counted}, and ENC {parts[part]['texts']}"
    if differ(search.get("queries_per_second"), quotient(search.get("queries"), search.get("seconds"))):
        yield "contradicted: SEARCH's queries_per_second are not its queries over its seconds"
    yield from latency_doubts(search.get("latency_ms"), "SEARCH's latency_ms")
    judged = parts.get("quality", {}).get("queries")
    if judged is not None and search.get("queries") is not None and judged > search["queries"]:
        yield f"contradicted: IRM judges {judged} queries, and SEARCH has {search['queries']}"
    yield from quality_doubts(parts.get("quality", {}), "IRM")
    yield from query_doubts(parts.get("quality", {}), by_query)
    for said in parts.get("compressed", ()):
        yield from quality_doubts(said, f"CODE of {said['vectors']}")
        yield from latency_doubts(said.get("latency_ms"), f"CODE of {said['vectors']}: latency_ms")
    yield from compressed_doubts(parts.get("compressed", ()), parts.get("quality", {}))


def speed_doubt(environment: Said, parts: Mapping[str, Said]) -> str | None:
    """Return why the speeds of a data set should not be trusted, or None: quality does not suffer from other work."""
    cpus = environment.get("cpus") or environment.get("cpus_usable")  # the load is the machine's, and so are they
    for moment in ("start", "end"):
        load = environment.get(f"load_average_{moment}")
        if load is not None and cpus is not None and load > cpus + OWN_LOAD:
            return f"contended: a load of {load:.1f} on {cpus} CPUs at the {moment}"
    for part in ("queries", "search"):
        latency = parts.get(part, {}).get("latency_ms") or {}
        middle, slow = latency.get("p50"), latency.get("p99")
        if middle and slow and slow > TAIL * middle:
            return f"contended: p99 of single queries ({part}) is {slow / middle:.0f} times p50"
    return None


def encoding_doubts(said: Said, line: str) -> Iterator[str]:
    """Yield what an ENC line says that cannot be."""
    texts, total = said["texts"], (said.get("seconds") or {}).get("total")
    for key in ("empty", "cached"):
        if (said.get(key) or 0) > texts:
            yield f"contradicted: {line} has {said[key]} {key} texts of {texts}"
    if not within(said.get("padding_share")):
        yield f"contradicted: {line} has a padding_share that is no share"
    for key, count in (("texts", texts - (said.get("cached") or 0)), ("tokens", said.get("tokens"))):
        if count and differ(said.get(f"{key}_per_second"), quotient(count, total)):
            yield f"contradicted: {line} has {key}_per_second that are not its {key} over its seconds"
    yield from latency_doubts(said.get("latency_ms"), f"{line}: latency_ms")


def latency_doubts(said: Said | None, name: str) -> Iterator[str]:
    """Yield that percentiles do not ascend."""
    if said and not ascending([said.get(key) for key in PERCENTILES]):
        yield f"contradicted: {name} does not ascend from p50 to p99"


def quality_doubts(said: Said, line: str) -> Iterator[str]:
    """Yield what is wrong with means, their intervals and the counts of queries."""
    for name, value in (said.get("metrics") or {}).items():
        interval = (said.get("intervals") or {}).get(name)
        if not within(value) or not holds(interval, value, METRIC_ROUNDING):
            yield f"contradicted: {line}: {name} {value} is no share, or its interval does not hold it"
    for key in ("without_results", "without_relevant"):
        if None not in (said.get(key), said.get("queries")) and said[key] > said["queries"]:
            yield f"contradicted: {line} has {said[key]} queries {key} of {said['queries']}"
    curve = said.get("precision_curve") or {}
    if not all(within(value) for key in SHARES for value in curve.get(key) or ()):
        yield f"contradicted: {line}: the precision_curve holds what is no share"


def query_doubts(said: Said, by_query: Said | None) -> Iterator[str]:
    """Yield where the queries of an IRQ line are not those that IRM counts, or do not have its means."""
    if by_query is None:
        return
    count = len(by_query["queries"])
    if said.get("queries") not in (None, count):
        yield f"lost: IRM judges {said['queries']} queries, and IRQ has {count}"
    for name, values in by_query["metrics"].items():
        mean = (said.get("metrics") or {}).get(name)
        if len(values) != count:
            yield f"lost: IRQ has {count} queries, and {len(values)} values of {name}"
        elif mean is not None and values and abs(mean - fmean(values)) > QUERY_ROUNDING:
            yield f"contradicted: IRM says {name} {mean:.6f}, and the mean of IRQ's queries is {fmean(values):.6f}"


def distillation_doubt(encoders: Sequence[Said], said: Said) -> str | None:
    """Return why a query encoder's line is not to be believed, or None."""
    return next(distillation_doubts(encoders, said), None)


def distillation_doubts(encoders: Sequence[Said], said: Said) -> Iterator[str]:
    """Yield what the line of a query encoder says that cannot be, or that the teacher's line does not."""
    yield from quality_doubts(said, "DST")
    for key in ("latency_ms", "after_last_word_ms"):
        yield from latency_doubts(said.get(key), f"DST: {key}")
    reference: Said = next((
        one for one in encoders if one["stage"] == "reference" and one["dataset"] == said["dataset"]
    ), {})  # fmt: skip
    teacher = reference.get("metrics") or {}
    for name, kept in (said.get("kept") or {}).items():
        if not holds(kept.get("interval"), kept.get("share"), METRIC_ROUNDING):
            yield f"contradicted: DST: the interval of kept {name} does not hold its share"
        if differ(kept.get("share"), quotient((said.get("metrics") or {}).get(name), teacher.get(name))):
            yield f"contradicted: DST: kept {name} is not its share of the teacher's"
    pair, latency = said.get("pair") or {}, said.get("latency_ms") or {}
    if not holds(pair.get("interval"), pair.get("ratio")):
        yield "contradicted: DST: the pair's interval does not hold its ratio"
    settled, beside = (stats.settled(one.get("nanoseconds") or ()) for one in (said, reference))
    if not settled or latency.get("n") != len(settled):
        return
    ordered = stats.in_order(settled)
    for name, share in PERCENTILES.items():
        computed = stats.quantile(ordered, share) / 1e6
        if differ(latency.get(name), computed):
            yield f"contradicted: DST says {name} {latency[name]} ms, and its nanoseconds {computed} ms"
    if len(beside) == len(settled) and differ(pair.get("ratio"), stats.median(settled) / stats.median(beside)):
        yield f"contradicted: DST: the pair's ratio {pair['ratio']} is not that of the nanoseconds"


def fidelity_doubt(said: Said) -> str | None:
    """Return what a FID line says that cannot be, or None: a figure beside its interval or against its parts."""
    for name in ("ndcg_change", "speed"):
        if not holds(said.get(f"{name.removesuffix('_change')}_interval"), said.get(name), METRIC_ROUNDING):
            return f"contradicted: FID: the interval of {name} does not hold it"
    least, mean = said.get("min_cosine"), said.get("mean_cosine")
    if least is not None and mean is not None and least > mean + METRIC_ROUNDING:
        return "contradicted: FID: min_cosine is above mean_cosine"
    settled, batch = stats.settled(said.get("nanoseconds") or ()), said.get("batch")
    if settled:
        median = stats.median(settled) / 1e6
        if differ(said.get("latency_ms"), median):
            return f"contradicted: FID says {said['latency_ms']} ms, and its nanoseconds {median} ms"
        if differ(said.get("texts_per_second"), quotient(batch and 1e3 * batch, median)):
            return "contradicted: FID: texts_per_second are not its batch over its latency"
    for name, metric in (said.get("metrics") or {}).items():
        if abs(metric["b"] - metric["a"] - metric["change"]) > METRIC_ROUNDING:
            return f"contradicted: FID: the change of {name} is not what its means differ by"
        if not holds(metric.get("interval"), metric["change"], METRIC_ROUNDING):
            return f"contradicted: FID: the interval of the change of {name} does not hold it"
    return None


def within(value: float | None) -> bool:
    """Whether a value is a share; what is not known passes."""
    return value is None or -METRIC_ROUNDING <= value <= 1 + METRIC_ROUNDING
