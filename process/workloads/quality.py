"""What a run of `fmbench quality` says: a row a task and configuration, with the paired change against the first."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from fmbench.consistency import holds
from fmbench.digest import digest_of_json
from fmbench.lines import JsonLine
from fmbench.resampling import FEW

from ..reading import schema
from ..reading.row import Result
from ..reading.run import Run
from ..reading.schema import Schema
from ..workload import Column, Finding, Gauge, Row, Table, Workload
from ..writing.view import CONFIGURATION, table_of, text, trust
from .compressed import four, signed

FIGURES = ("score", "95% interval", "change", "its interval", "items")
HEADER = (*CONFIGURATION, "variant", "task", "metric", *FIGURES, "note")
RIGHT = frozenset({"threads", *FIGURES})
NOTE = (
    "Interval: of a bootstrap over the task's items. Change: against variant A on the same items, with the interval of "
    "the same resamples: where that leaves 0 out, the difference is beyond chance."
)
ROUNDING = 1e-6
FIRST = "A"
SHARED = {
    "task": schema.text("Its name.", needed=True),
    "type": schema.text("`sts`, `pair_classification`, `classification`, `clustering`, `reranking`, `bitext`; of "
                        "MTEB's tasks, what MTEB calls it.", needed=True),
    "metric": schema.text("`spearman`, `average_precision`, `accuracy`, `v_measure`, `mean_average_precision`; of "
                          "MTEB's tasks, its main score.", needed=True),
    "score": schema.number("The task's score of these vectors."),
    "interval": schema.interval("Its 95% bootstrap interval over items; null for MTEB's tasks, whose items are not "
                                "told."),
    "items": schema.count("Items scored: pairs, texts or queries."),
    "digest": schema.text("Of the items, those that are learned from included; of MTEB's tasks, the revision of their "
                          "data."),
    "texts": schema.count("Texts encoded."),
    "resamples": schema.count("Resamples of the items that the interval is of: those that have a score, of 1000."),
    "seed": schema.count("Of resamples, and of what is learned."),
    "seconds": schema.seconds("Encoding and scoring."),
    "against": schema.text("The variant that the change is against."),
    "change": schema.number("Score less that variant's."),
    "change_interval": schema.interval("Its 95% interval, of the same resamples of the same items."),
}  # fmt: skip
QUA = Schema({
    **SHARED,
    "variant": schema.text("Which configuration; ENV lines with this `variant` are its facts.", needed=True),
    "start": schema.time("Seconds since the epoch, nine decimals."),
    "failure": schema.text("Why it has no score."),
}, "How good a model's vectors are for a task.")  # fmt: skip
SECTION = Schema(SHARED, "How good a model's vectors are for a task.", open=True)


def doubt_of(said: Row) -> str | None:
    """Return what a QUA line says that cannot be, or None."""
    for name, key in (("interval", "score"), ("change_interval", "change")):
        if not holds(said.get(name), said.get(key), ROUNDING):
            return f"contradicted: QUA: the interval of {key} does not hold it"
    return None


def base_doubts(lines: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the task, and what of a change does not follow from the scores beside it."""
    first = {said["task"]: said.get("score") for said in lines if said["variant"] == FIRST}
    for said in lines:
        base, score, change = first.get(said["task"]), said.get("score"), said.get("change")
        if base is not None and score is not None and change is not None and abs(score - base - change) > ROUNDING:
            yield said["task"], f"contradicted: QUA: the change of {said['task']} is not what the scores differ by"


def score(row: Row) -> Finding | None:
    """Return a score with its interval."""
    said = row["quality"]
    value, (low, high) = said.get("score"), said.get("interval") or (None, None)
    same = digest_of_json([said["type"], said["metric"], said.get("items"), said.get("digest"), said.get("seed")])
    return None if value is None else Finding(value, low, high, of=said["task"], same=same)


class Quality(Workload):
    """How good vectors are for other tasks than retrieval."""

    name: ClassVar[str] = "quality"
    engine: ClassVar[str] = "fmbench/quality"
    kinds: ClassVar[Mapping[str, Schema]] = {"QUA": QUA}
    sections: ClassVar[Mapping[str, Schema]] = {"quality": SECTION}
    gauges: ClassVar[Sequence[Gauge]] = (
        Gauge("task_score", "", "Score of a task.", "quality.score", chart="task_score"),
        Gauge("task_score_change", "", "Score less that of the first configuration.", "quality.change",
              chart="task_score_change"),
    )  # fmt: skip
    labels: ClassVar[Mapping[str, str]] = {"task": "quality.task", "variant": "variant"}
    columns: ClassVar[Sequence[Column]] = (Column("task_score", "task score", score, apart=True),)

    def blame(self, run: Run, line: JsonLine, reason: str) -> None:
        """Say it in the rows of the task."""
        run.blame(line.data.get("task"), reason)

    def rows(self, run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
        """Yield a row a task and variant; of one that was scored twice, the last."""
        lines = {(line.data["task"], line.data["variant"]): line.data for line in run.lines_of(self.name)}
        doubts = dict(base_doubts(list(lines.values())))
        for (task, variant), said in lines.items():
            row, failure = self.row(run, metadata_id, variant), said.get("failure")
            facts = row["environment"] or {}
            yield Result({
                **row,
                "timestamp": said.get("start"),
                "model": facts.get("model") or row["model"],
                "overrides": (facts.get("variants") or {}).get(variant) or None,
                "status": "ERR" if failure else "SIMULATED" if facts.get("simulated") else "OK",
                "error": {"type": "task", "message": failure} if failure else None,
                "quality": {key: said.get(key) for key in SHARED},
                "doubt": run.doubt or run.doubts.get(task) or doubt_of(said) or doubts.get(task),
            }, source)  # fmt: skip

    def label(self, row: Row) -> str:
        """Return the task and the variant."""
        return f"{row['quality']['task']}, {row['variant']}"

    def tables(self, results: Sequence[Result]) -> Sequence[Table]:
        """Return a line a task and variant."""
        cells = table_of(HEADER, [line_of(result.row) for result in results], ("variant", "task", "metric"), RIGHT)
        return [Table(*cells, [result.source for result in results], notes=[NOTE])]

    def news(self, kind: str, data: Row) -> str | None:
        """Return a score."""
        if kind != "QUA" or data.get("score") is None:
            return None
        return f"{data['variant']}, {data['task']}: {data['metric']} {four(data['score'])}"


def few(items: int | None) -> str:
    """Return a note where an interval is of few items."""
    return "few items" if items is not None and items < FEW else ""


def line_of(row: Row) -> list[str]:
    """Return the cells of a result."""
    said = row["quality"]
    error = row.get("error") or {}
    return [
        *(read(row) for read in CONFIGURATION.values()),
        text(row["variant"]),
        text(said["task"]),
        text(said["metric"]),
        four(said.get("score")),
        " to ".join(map(four, said.get("interval") or ())),
        signed(said.get("change")),
        " to ".join(map(signed, said.get("change_interval") or ())),
        text(said.get("items")),
        "; ".join(filter(None, [error.get("message"), few(said.get("items")), trust(row)])),
    ]
