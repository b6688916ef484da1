"""What a run of the retrieval driver says of each data set: speed and quality in one row."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from fmbench.digest import digest_of_json
from fmbench.figures import significant
from fmbench.lines import JsonLine

from ..reading.row import ByQuery, Result
from ..reading.run import Run
from ..reading.schema import Schema
from ..workload import Column, Finding, Gauge, Plot, Row, Table, Workload, thousandth
from ..writing.view import CONFIGURATION, number, table_of, text, trust
from .compressed import compressed_table
from .doubts import retrieval_doubt, speed_doubt
from .retrieval_fields import BY_QUERY, COMPRESSED, ENCODING, QUALITY, SEARCHING, SECTION

LAST = {"encode": "passages", "search": "search", "evaluate": "quality", "mine": "search"}  # what each task ends with
PART = {"SEARCH": "search", "IRM": "quality"}  # of a line; those of ENC follow its role
PARTS = ("passages", "queries", "search", "quality", "compressed")
FIGURES = ("documents/s", "queries/s", "query ms", "search ms", "nDCG@10", "Recall@100", "queries")
METRICS = (("nDCG@10", "ndcg_cut_10"), ("Recall@100", "recall_100"))
HEADER = (*CONFIGURATION, "data set", *FIGURES, "note")
RIGHT = frozenset({"threads", *FIGURES})
NDCG = Gauge("ndcg_at_10", "", "nDCG@10, mean over the judged queries.", "retrieval.quality.metrics.ndcg_cut_10")
RECALL = Gauge("recall_at_100", "", "Recall@100, mean over the judged queries.", "retrieval.quality.metrics.recall_100")
RATES = (
    Gauge("encoded_documents", "documents_per_second", "Documents encoded a second.",
          "retrieval.passages.texts_per_second", chart="encoded_documents_per_second"),
    Gauge("encoded_queries", "queries_per_second", "Queries encoded a second.", "retrieval.queries.texts_per_second",
          chart="encoded_queries_per_second"),
    Gauge("searched_queries", "queries_per_second", "Queries searched a second.",
          "retrieval.search.queries_per_second", chart="searched_queries_per_second"),
    Gauge("query_latency", "seconds", "Median seconds from one query's text to its vector.",
          "retrieval.queries.latency_ms.p50", thousandth, "query_latency_ms"),
    Gauge("query_latency_p95", "seconds", "95th percentile of that.", "retrieval.queries.latency_ms.p95", thousandth,
          "query_latency_p95_ms"),
    Gauge("search_latency", "seconds", "Median seconds to search one query.", "retrieval.search.latency_ms.p50",
          thousandth, "search_latency_ms"),
)  # fmt: skip
METRICS_BELOW = "retrieval.quality.metrics"
JUDGING = ("queries", "ignore_identical_ids", "relevance_threshold", "other_documents")
LEAST = 1e-9  # below, an interval is the rounding of equal values


def parts_of(run: Run, name: str) -> dict[str, dict[str, Any]]:
    """Return what the lines of a run say, by data set and part; a part that comes twice is in doubt."""
    found: dict[str, dict[str, Any]] = {}
    for line in run.lines_of(name):
        if line.kind == "IRQ":
            continue
        dataset, role = line.data["dataset"], line.data.get("role")
        part = PART.get(line.kind) or ("queries" if role == "query" else "passages")
        parts = found.setdefault(dataset, {})
        said = {key: value for key, value in line.data.items() if key not in ("dataset", "role")}
        if line.kind == "CODE":
            parts.setdefault("compressed", []).append(said)
            continue
        if part in parts:
            run.doubts.setdefault(dataset, f"mixed: {line.kind} of {dataset} comes twice")
        parts[part] = said
    return found


def queries_of(run: Run, name: str) -> dict[str, dict[str, Any]]:
    """Return what the IRQ line of each data set says."""
    return {line.data["dataset"]: line.data for line in run.lines_of(name) if line.kind == "IRQ"}


def by_query_of(said: Row | None, parts: dict[str, dict[str, Any]]) -> ByQuery | None:
    """Return how well each query was ranked; None where the log does not say."""
    if said is None or "quality" not in parts:
        return None
    queries = said["queries"]
    whole = {metric: values for metric, values in said["metrics"].items() if queries and len(values) == len(queries)}
    judging = {key: parts["quality"].get(key) for key in JUDGING if key != "queries"}
    return ByQuery(said["dataset"], queries, whole, judging) if whole else None


def status(environment: dict[str, Any], parts: dict[str, dict[str, Any]]) -> str:
    """Return PARTIAL where the last part of the task is missing, SIMULATED or OK."""
    last = LAST.get(str(environment.get("task")))
    if last is not None and last not in parts:
        return "PARTIAL"
    return "SIMULATED" if environment.get("simulated") else "OK"


def line_of(row: Row) -> list[str]:
    """Return a result's cells. Rates are of encoding; `query ms` is encoding one query, `search ms` searching it."""
    found = row["retrieval"]
    passages, queries, search, quality = (
        found.get(part) or {} for part in ("passages", "queries", "search", "quality")
    )
    return [
        *(read(row) for read in CONFIGURATION.values()),
        text(found["dataset"]),
        number(passages.get("texts_per_second")),
        number(queries.get("texts_per_second")),
        number((queries.get("latency_ms") or {}).get("p50")),
        number((search.get("latency_ms") or {}).get("p50")),
        metric(quality, "ndcg_cut_10"),
        metric(quality, "recall_100"),
        text(quality.get("queries")),
        note(row, passages, quality),
    ]


def metric(quality: Row, name: str) -> str:
    """Return a metric with half the width of its interval."""
    value, interval = (quality.get("metrics") or {}).get(name), (quality.get("intervals") or {}).get(name)
    return "" if value is None else with_half(value, *(interval or (None, None)))


def with_half(value: float, low: float | None, high: float | None) -> str:
    """Return a metric with half its interval, in four digits, as retrieval's literature has them."""
    if low is None or high is None or high - low < LEAST:
        return f"{value:.4f}"
    return f"{value:.4f} ± {(high - low) / 2:.4f}"


def note(row: Row, passages: dict[str, Any], quality: dict[str, Any]) -> str:
    """Return what a reader should know: not finished, simulated, vectors from the cache, queries without results."""
    doubts = [doubt for doubt in (trust(row), row["retrieval"].get("speed_doubt")) if doubt]
    if row["status"] == "PARTIAL":
        doubts = ["partial: the run did not end", *(doubt for doubt in (row.get("doubt"),) if doubt)]
    if passages.get("cached"):
        doubts.append(f"{passages['cached']} of {passages['texts']} vectors were cached")
    if quality.get("without_results"):
        doubts.append(f"{quality['without_results']} queries without results")
    return "; ".join(doubts)


def asked_of(row: Row, part: str | None = None) -> str:
    """Return a digest of what a figure of a data set depends on besides the configuration: data, recipe, judging."""
    facts, said = row["environment"] or {}, row["retrieval"]
    judging = {key: (said.get(part) or {}).get(key) for key in JUDGING} if part else {}
    data = facts.get("data")
    return digest_of_json([data.get(said["dataset"]) if isinstance(data, dict) else None, facts.get("recipe"), judging])


def query_latency(row: Row) -> Finding | None:
    """Return the median milliseconds from one query's text to its vector."""
    said = row["retrieval"].get("queries") or {}
    value = (said.get("latency_ms") or {}).get("p50")
    if value is None:
        return None
    found = row["retrieval"]
    return Finding(value, of=found["dataset"], same=asked_of(row), doubt=found.get("speed_doubt"))


def encoding_rate(row: Row) -> Finding | None:
    """Return documents encoded a second; none where some were in the cache."""
    found = row["retrieval"]
    said = found.get("passages") or {}
    value = None if said.get("cached") else said.get("texts_per_second")
    if value is None:
        return None
    weight = said.get("texts") or 0
    return Finding(value, of=found["dataset"], same=asked_of(row), weight=weight, doubt=found.get("speed_doubt"))


def ndcg(row: Row) -> Finding | None:
    """Return nDCG@10 with its interval over queries."""
    said = row["retrieval"].get("quality") or {}
    value = (said.get("metrics") or {}).get("ndcg_cut_10")
    low, high = (said.get("intervals") or {}).get("ndcg_cut_10") or (None, None)
    return (
        None if value is None else Finding(value, low, high, row["retrieval"]["dataset"], same=asked_of(row, "quality"))
    )


NDCG_COLUMN = Column(
    "ndcg", "nDCG@10", ndcg, apart=True, text=lambda found: with_half(found.value, found.low, found.high)
)


class Retrieval(Workload):
    """Encoding and searching a data set, and how good the ranking is."""

    name: ClassVar[str] = "retrieval"
    panel: ClassVar[str | None] = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    columns: ClassVar[Sequence[Column]] = (
        Column("query_ms", "query ms", query_latency, less_is_better=True),
        Column("texts_per_second", "texts/s", encoding_rate),
        NDCG_COLUMN,
    )
    engine: ClassVar[str] = "fmbench/retrieve"
    kinds: ClassVar[Mapping[str, Schema]] = {
        "ENC": ENCODING, "SEARCH": SEARCHING, "IRM": QUALITY, "IRQ": BY_QUERY, "CODE": COMPRESSED,
    }  # fmt: skip
    sections: ClassVar[Mapping[str, Schema]] = {"retrieval": SECTION}

    def collect(self, run: Run, line: JsonLine) -> None:
        """Take one line in, and note where its data set begins."""
        run.starts.setdefault(line.data["dataset"], run.line)
        super().collect(run, line)

    def blame(self, run: Run, line: JsonLine, reason: str) -> None:
        """Say it in the row of the data set."""
        run.blame(line.data.get("dataset"), reason)

    gauges: ClassVar[Sequence[Gauge]] = (*RATES, NDCG, RECALL)
    labels: ClassVar[Mapping[str, str]] = {"dataset": "retrieval.dataset"}
    charted: ClassVar[str | None] = METRICS_BELOW

    def rows(self, run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
        """Yield a row a data set."""
        queries = queries_of(run, self.name)
        for dataset, parts in parts_of(run, self.name).items():
            row = self.row(run, metadata_id)
            environment = row["environment"] or {}
            doubt = speed_doubt(environment, parts)
            starts = [parts[name]["start"] for name in ("passages", "queries") if parts.get(name, {}).get("start")]
            yield Result({
                **row,
                "timestamp": min(starts, default=None),
                "model": environment.get("model") or row["model"],
                "status": status(environment, parts),
                "phases": [phase for phase in row["phases"] if phase.get("dataset") in (None, dataset)],
                "retrieval": {
                    "dataset": dataset,
                    **{name: parts[name] for name in PARTS if name in parts},
                    **({"speed_doubt": doubt} if doubt else {}),
                },
                "doubt": run.doubt or run.doubts.get(dataset) or retrieval_doubt(parts, queries.get(dataset)),
            }, source, line=run.starts.get(dataset), by_query=by_query_of(queries.get(dataset), parts))  # fmt: skip

    def label(self, row: Row) -> str:
        """Return the data set."""
        return str(row["retrieval"]["dataset"])

    def tables(self, results: Sequence[Result]) -> Sequence[Table]:
        """Return a line a data set, and where vectors were compressed a second table, a line a type."""
        cells = table_of(HEADER, [line_of(result.row) for result in results], ("data set",), RIGHT)
        first = Table(*cells, [result.source for result in results])
        told = [(result, result.row["retrieval"]["dataset"], said) for result in results
                for said in result.row["retrieval"].get("compressed") or ()]  # fmt: skip
        compressed = compressed_table("data set", told)
        return [first] if compressed is None else [first, compressed]

    def plots(self) -> Mapping[str, Plot]:
        """Return quality against speed, the precision curve, and what compressed vectors keep."""
        from ..plots.compressed import quality_bytes
        from ..plots.precision_at_k import precision
        from ..plots.tradeoff import quality_speed

        return {"quality_speed": quality_speed, "precision_at_k": precision, "quality_bytes": quality_bytes}

    def news(self, kind: str, data: Row) -> str | None:
        """Return what was encoded, searched or judged."""
        if kind == "ENC":
            what = "queries" if data["role"] == "query" else "documents"
            cached = f", {data['cached']:,} of them cached" if data.get("cached") else ""
            return (
                f"{data['dataset']}: {data['texts']:,} {what} encoded{cached}{a_second(data.get('texts_per_second'))}"
            )
        if kind == "CODE":
            kept = "" if data.get("kept") is None else f", {significant(100 * data['kept'], digits=4)}% of nDCG@10 kept"
            return f"{data['dataset']}: {data['vectors']}, {data['bytes_per_document']} bytes a document{kept}"
        if kind == "SEARCH":
            return f"{data['dataset']}: {data['queries']:,} queries searched{a_second(data.get('queries_per_second'))}"
        if kind == "IRM" and (found := [f"{name} {metric(data, key)}" for name, key in METRICS if metric(data, key)]):
            return f"{data['dataset']}: {', '.join(found)}"
        return None


def a_second(rate: float | None) -> str:
    """Return a rate behind what it is of."""
    return "" if rate is None else f", {significant(rate)} a second"
