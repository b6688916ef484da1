"""What a run of the distillation driver says of each query encoder: speed, and quality kept, in one row."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fmbench.figures import significant

from .doubts import distillation_doubt
from .results import Record, row_of
from .retrieval_view import metric
from .run import Run
from .shape import Shape
from .view import Lines, harmless, text, trust

ENGINE = "fmbench/distill"
HEADER = (
    "query encoder", "platform", "data set", "p50 ms", "p95 ms", "p99 ms", "queries/s", "speed-up", "nDCG@10",
    "kept", "95% interval", "parameters", "note",
)  # fmt: skip
RIGHT = (*range(3, 10), 11)
QUALITY = ("queries", "ignore_identical_ids", "metrics", "intervals")
MEASURED = ("kept", "pair", "latency_ms", "after_last_word_ms", "parameters", "bytes", "tokens_at_most")


def distillation_records(run: Run, source: str, metadata_id: str | None) -> Iterator[Record]:
    """Yield one result a query encoder and data set; the teacher's own is among them."""
    for said in run.distillations:
        row = row_of(run, Shape(), metadata_id)
        latency = said.get("latency_ms") or {}
        yield Record({
            **row,
            "timestamp": said.get("start"),
            "engine": ENGINE,
            "model": said["query_model"],
            "batch": 1,
            "itl": latency.get("p50"),
            "thp": said.get("queries_per_second"),
            "status": "SIMULATED" if (row["environment"] or {}).get("simulated") else "OK",
            "retrieval": {
                "dataset": said["dataset"],
                "quality": {name: said[name] for name in QUALITY if name in said},
            },
            "distillation": {name: said.get(name) for name in MEASURED},
            "doubt": run.doubt or run.doubts.get(said["dataset"]) or distillation_doubt(run, said),
        }, source, said.get("nanoseconds") or ())  # fmt: skip


def is_distillation(row: Mapping[str, Any]) -> bool:
    """Whether a result is one of the distillation driver."""
    return row.get("distillation") is not None


def cells(rows: Iterable[dict[str, Any]]) -> tuple[Sequence[str], Lines, Sequence[int]]:
    """Return a header, a line a query encoder, and which columns are flush right."""
    return HEADER, [[harmless(cell) for cell in line_of(row)] for row in rows], RIGHT


def line_of(row: dict[str, Any]) -> list[str]:
    """Return a result's cells."""
    found, latency = row["distillation"], row["distillation"].get("latency_ms") or {}
    kept = (found.get("kept") or {}).get("ndcg_cut_10") or {}
    ratio = (found.get("pair") or {}).get("ratio")
    share, interval = kept.get("share"), kept.get("interval")
    return [
        text(row["model"]),
        text((row["environment"] or {}).get("platform")),
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
