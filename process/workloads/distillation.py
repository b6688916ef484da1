"""What a run of the distillation driver says of each query encoder: speed, and quality kept, in one row."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from fmbench.configuration import Configuration
from fmbench.figures import significant
from fmbench.lines import JsonLine

from ..reading.row import Result
from ..reading.run import Run
from ..reading.schema import Schema
from ..workload import Column, Finding, Gauge, Plot, Row, Table, Workload, thousandth
from ..writing.view import number, text, trust
from .doubts import distillation_doubt
from .retrieval import METRICS_BELOW, NDCG, NDCG_COLUMN, metric
from .retrieval_fields import DISTILLATION, ENCODERS, JUDGED, MEASURED, STAGE

HEADER = (
    "query encoder", "platform", "data set", "p50 ms", "p95 ms", "p99 ms", "queries/s", "speed-up", "nDCG@10",
    "kept", "95% interval", "parameters", "note",
)  # fmt: skip
RIGHT = (*range(3, 10), 11)
TRAINED = {"loss": "loss", "held_out": "held out"}  # of the lines of the others
ON_THE_HOST = {"platform": "numpy", "device": "cpu", "dtype": "float32", "precision": "float32"}  # a table of tokens
KEPT = Gauge("ndcg_at_10_kept", "ratio", "Share of the teacher's nDCG@10 that is kept.",
             "distillation.kept.ndcg_cut_10.share", chart="ndcg_at_10_kept")  # fmt: skip
TIMES = (
    Gauge("query_latency_p95", "seconds", "95th percentile of a query's seconds.", "distillation.latency_ms.p95",
          thousandth, "latency_p95_ms"),
    Gauge("time_of_teacher", "ratio", "A query's time as a share of the teacher's.", "distillation.pair.ratio",
          chart="time_of_teacher"),
)  # fmt: skip


def line_of(row: Row) -> list[str]:
    """Return a result's cells."""
    found, latency = row["distillation"], row["distillation"].get("latency_ms") or {}
    kept = (found.get("kept") or {}).get("ndcg_cut_10") or {}
    ratio = (found.get("pair") or {}).get("ratio")
    share, interval = kept.get("share"), kept.get("interval")
    return [
        text(row["model"]),
        text(found.get("computed_by") or (row["environment"] or {}).get("platform")),
        text(row["retrieval"]["dataset"]),
        *(significant(latency[name]) if name in latency else "" for name in ("p50", "p95", "p99")),
        significant(row["thp"]) if row["thp"] else "",
        f"{1 / ratio:.1f}" if ratio else "",
        metric(row["retrieval"].get("quality") or {}, "ndcg_cut_10"),
        "" if share is None else f"{share:.1%}",
        "" if interval is None else f"{interval[0]:.1%} to {interval[1]:.1%}",
        text(found.get("parameters")),
        trust(row),
    ]


def query_latency(row: Row) -> Finding | None:
    """Return the median milliseconds from one query's text to its vector."""
    return None if row["itl"] is None else Finding(row["itl"], of=f"{row['retrieval']['dataset']}, in turns")


class Distillation(Workload):
    """What a query encoder is worth beside its teacher."""

    name: ClassVar[str] = "distillation"
    columns: ClassVar[Sequence[Column]] = (
        Column("query_ms", "query ms", query_latency, less_is_better=True),
        NDCG_COLUMN,
    )
    gauges: ClassVar[Sequence[Gauge]] = (KEPT, NDCG, *TIMES)
    labels: ClassVar[Mapping[str, str]] = {"dataset": "retrieval.dataset"}
    charted: ClassVar[str | None] = METRICS_BELOW
    engine: ClassVar[str] = "fmbench/distill"
    kinds: ClassVar[Mapping[str, Schema]] = {"DST": STAGE}
    sections: ClassVar[Mapping[str, Schema]] = {"distillation": DISTILLATION}

    def configuration(self, row: Row) -> Configuration | None:
        """Return that of the query encoder: another model, on the teacher's platform unless it is a table of tokens."""
        facts = row["environment"] or {}
        students = facts.get("query_models")
        known = students.get(row["model"]) if isinstance(students, dict) else None
        if row["model"] == facts.get("model") or known is None:
            return super().configuration(row) if row["model"] == facts.get("model") else None
        table = ON_THE_HOST if row["distillation"].get("computed_by") == ON_THE_HOST["platform"] else {}
        student = {**facts, **table, "model": row["model"], "model_digest": known}
        return super().configuration({**row, "environment": student})

    def blame(self, run: Run, line: JsonLine, reason: str) -> None:
        """Say it in the rows of the data set."""
        run.blame(line.data.get("dataset"), reason)

    def rows(self, run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
        """Yield a row a query encoder and data set; the teacher's own is among them."""
        encoders = [line.data for line in run.lines_of(self.name) if line.data["stage"] in ENCODERS]
        for said in encoders:
            yield Result({
                **self.row(run, metadata_id),
                "timestamp": said.get("start"),
                "model": said["query_model"],
                "batch": 1,
                "itl": (said.get("latency_ms") or {}).get("p50"),
                "thp": said.get("queries_per_second"),
                "retrieval": {
                    "dataset": said["dataset"],
                    "quality": {name: said[name] for name in JUDGED if name in said},
                },
                "distillation": {name: said.get(name) for name in MEASURED},
                "doubt": run.doubt or run.doubts.get(said["dataset"]) or distillation_doubt(encoders, said),
            }, source, said.get("nanoseconds") or ())  # fmt: skip

    def label(self, row: Row) -> str:
        """Return the query encoder and its data set."""
        return f"{row['model']}, {row['retrieval']['dataset']}"

    def tables(self, results: Sequence[Result]) -> Sequence[Table]:
        """Return one table: a line a query encoder and data set."""
        lines = [line_of(result.row) for result in results]
        return [Table(HEADER, lines, RIGHT, [result.source for result in results])]

    def plots(self) -> Mapping[str, Plot]:
        """Return quality kept against speed-up."""
        from ..plots.tradeoff import kept_speed

        return {"kept_speed": kept_speed}

    def news(self, kind: str, data: Row) -> str | None:
        """Return how far a step is, or what a query encoder keeps."""
        if kind != "DST":
            return None
        if data["stage"] in ENCODERS:
            share = (data.get("kept") or {}).get("ndcg_cut_10", {}).get("share")
            parts = [
                f"{data['query_model']} on {data['dataset']}",
                "" if share is None else f"{share:.1%} of nDCG@10 kept",
            ]
        else:
            parts = [f"step {data['step']:,} of {data['steps']:,}"] if data.get("step") and data.get("steps") else []
            parts += [f"{word} {number(data[name])}" for name, word in TRAINED.items() if data.get(name) is not None]
            parts += [data.get("ended") or ""]
        return f"{data['stage']}: {', '.join(part for part in parts if part) or 'done'}"
