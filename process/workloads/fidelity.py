"""What a run of `fmbench fidelity` says: a row a variant of a ladder, or an artifact of two captures."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from fmbench.figures import cosine_text, formatted, share_text, span
from fmbench.lines import JsonLine

from ..reading import schema
from ..reading.row import Result
from ..reading.run import Run
from ..reading.schema import Schema
from ..workload import Column, Finding, Gauge, Plot, Row, Table, Workload
from ..writing.view import number, text, trust

VARIANT = "variant"
VARIANTS = (
    "model", "platform", "dtype", "variant", "min cosine", "mean cosine", "top-10 overlap", "nDCG@10", "change",
    "95% interval", "p", "passages/s", "times as fast", "95% interval", "note",
)  # fmt: skip
RIGHT_OF_VARIANTS = range(4, 14)
ARTIFACTS = ("artifact", "kind", "verdict", "equal share", "max abs diff", "min cosine", "different ids", "RBO", "note")
RIGHT_OF_ARTIFACTS = range(3, 8)
GAUGES = (
    Gauge("cosine_least", "", "Least cosine of a text's vector with its vector in the reference.",
          "fidelity.min_cosine", chart="cosine_least"),
    Gauge("cosine_mean", "", "Mean cosine of a text's vector with its vector in the reference.",
          "fidelity.mean_cosine", chart="cosine_mean"),
    Gauge("top_10_overlap", "ratio", "Share of the reference's ten documents that are still found.",
          "fidelity.overlap", chart="top_10_overlap"),
    Gauge("ndcg_at_10_change", "", "Change of nDCG@10 against the reference.", "fidelity.ndcg_change",
          chart="ndcg_at_10_change"),
)  # fmt: skip
# Of a line's fields, those that a result has elsewhere.
ELSEWHERE = ("name", "failure", "start", "batch", "latency_ms", "texts_per_second", "nanoseconds")
# The facts that hold for all variants, in logs of a version that said those of a platform for the first one only.
SHARED = (
    "task", "fmbench", "fmbench_commit", "python", "packages", "system", "machine", "cpu", "cpu_cores", "cpus",
    "cpus_usable", "cpu_governor", "cpu_mhz_max", "numa_nodes", "memory_bytes", "container", "virtual_machine", "timed",
    "passages", "queries", "texts", "seed", "model", "model_class",
)  # fmt: skip


NAMED = {"artifact": schema.text("Name: of a variant `ladder/` and its name, else that in the captures.", needed=True)}
VERDICT = {
    "kind": schema.text("`variant`, `tensor` or `ranking`.", needed=True),
    "verdict": schema.text(
        "`equal`: the same type, shape and bits (of a ranking: ids, order and scores); `close`: within the tolerance "
        "(the same ids in the same order); `different`; `shape`: two shapes; `missing` in one capture; of a variant "
        "`equal`, `different` or `unsupported`.", needed=True,
    ),
    "min_cosine": schema.number("Least cosine: of a text's vector, or a tensor's row, with the reference's; null for "
                                "integers."),
}  # fmt: skip
OF_ARTIFACT = {
    "probe": schema.text("The probe that captured it."),
    "missing_in": schema.text("The capture that lacks it."),
    "dtypes": schema.anything("Of A and of B.", "texts"),
    "shapes": schema.anything("Of A and of B.", "lists of counts"),
    "atol": schema.anything("Close is |a - b| <= `atol` + `rtol` |b|, element by element.", "number"),
    "rtol": schema.anything("As above.", "number"),
    "share_equal": schema.number("Share of elements with the same value."),
    "mean_abs": schema.number("Mean of |a - b|, over the elements that are finite on both sides."),
    "max_abs": schema.number("Greatest |a - b| of these."),
    "max_ulp": schema.count("Most numbers of their type that lie between two elements, one of them counted; null for "
                            "integers."),
    "nan": schema.anything("Elements that are NaN, in A and in B.", "counts"),
    "inf": schema.anything("Elements that are infinite, in A and in B.", "counts"),
    "mismatched": schema.count("Elements that are NaN or infinite on one side and something else on the other."),
    "first_row": schema.count("The first row that differs, from 0."),
    "depth": schema.count("Ranks that ids and metrics are compared at."),
    "queries": schema.count("Queries searched."),
    "different_ids": schema.number("Ids that only one of the two lists has, a query: one replaced id counts 2."),
    "replaced": schema.number("Half of it."),
    "tau": schema.number("Kendall's tau, mean over queries."),
    "rbo": schema.number("Rank-biased overlap, mean over queries."),
    "max_score": schema.number("Largest change of a score."),
    "metrics": schema.anything(
        "Of each: means, their change with its 95% interval and p, both of the paired randomisation test, and the "
        "queries by direction; none without judgements.", "object by name",
    ),
    "changed": schema.count("Queries whose list of ids differs."),
}  # fmt: skip
OF_VARIANT = {
    "name": schema.text("The variant.", needed=True),
    "mean_cosine": schema.number("Mean cosine of a text's vector with its vector in the reference."),
    "overlap": schema.number("Share of the reference's ten documents that are still among the ten."),
    "ndcg": schema.number("nDCG@10."),
    "ndcg_change": schema.number("Change of nDCG@10 against the reference, paired over queries."),
    "ndcg_interval": schema.interval("Its 95% interval, of the paired randomisation test."),
    "ndcg_p": schema.number("Its two-sided p, of the same test: below 0.05 exactly where the interval leaves 0 out."),
    "speed": schema.number("How many times as fast as the reference: the ratio of medians of turns on the same texts."),
    "speed_interval": schema.interval("Its 95% bootstrap interval over turns."),
    "speed_verdict": schema.text("`faster`, `slower` or `no significant difference`; null where there are too few "
                                 "turns."),
    "speed_reason": schema.text("Why that is not what the interval says, or null."),
    "passages": schema.count("Passages that the figures are of."),
    "of_passages": schema.count("Passages to encode."),
    "batch": schema.count("Passages a batch of the speed."),
    "latency_ms": schema.number("Median of `nanoseconds` after the first fifth.", "milliseconds"),
    "texts_per_second": schema.number("At that latency."),
    "start": schema.time("Seconds since the epoch, nine decimals."),
    "nanoseconds": schema.counts("What each batch took.", "nanoseconds"),
    "failure": schema.text("Why it could not be computed."),
}  # fmt: skip
FID = Schema(
    {**NAMED, **VERDICT},
    form=lambda data: VARIANT if data.get("kind") == VARIANT else "artifact",
    forms={"artifact": OF_ARTIFACT, VARIANT: OF_VARIANT},
)
SECTION = Schema(
    {**NAMED, **VERDICT},
    "How faithful a variant is to the reference of its ladder, or an artifact of one capture to that of another.",
    open=True, form=FID.form,
    forms={"artifact": OF_ARTIFACT, VARIANT: {key: one for key, one in OF_VARIANT.items() if key not in ELSEWHERE}},
)  # fmt: skip


def without_platform(row: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of a variant of which the log has no facts: nothing that another may have otherwise."""
    known = row["environment"] or {}
    return {"environment": {name: known[name] for name in SHARED if name in known} or None, "precision": None}


def status(environment: dict[str, Any], said: dict[str, Any]) -> str:
    """Return ERR, PARTIAL where not all passages were encoded, SIMULATED or OK."""
    if said.get("failure"):
        return "ERR"
    if (said.get("passages") or 0) < (said.get("of_passages") or 0):
        return "PARTIAL"
    return "SIMULATED" if environment.get("simulated") else "OK"


def is_variant(row: Row) -> bool:
    """Whether a result is a variant of a ladder."""
    return bool(row["fidelity"]["kind"] == VARIANT)


def line_of_variant(row: Row) -> list[str]:
    """Return the cells of a variant."""
    found, environment = row["fidelity"], row["environment"] or {}
    return [
        text(row["model"]),
        text(environment.get("platform")),
        text(row["precision"]),
        text(row["variant"]),
        cosine_text(found.get("min_cosine")),
        cosine_text(found.get("mean_cosine")),
        formatted(found.get("overlap"), ".2%"),
        formatted(found.get("ndcg"), ".4f"),
        formatted(found.get("ndcg_change"), "+.4f"),
        span(found.get("ndcg_interval"), "+.4f"),
        formatted(found.get("ndcg_p"), ".3f"),
        number(row["thp"]),
        formatted(found.get("speed"), ".2f"),
        span(found.get("speed_interval"), ".2f"),
        note(row),
    ]


def line_of_artifact(row: Row) -> list[str]:
    """Return the cells of an artifact."""
    found = row["fidelity"]
    missing = found.get("missing_in")
    return [
        text(found["artifact"]),
        found["kind"],
        found["verdict"],
        share_text(found.get("share_equal")),
        number(found.get("max_abs")),
        cosine_text(found.get("min_cosine")),
        number(found.get("different_ids")),
        formatted(found.get("rbo"), ".4f"),
        f"not in {missing.upper()}" if missing else "",
    ]


def note(row: Row) -> str:
    """Return what a reader should know: the verdicts, a failure, what is not finished, what is simulated."""
    found = row["fidelity"]
    if row["status"] == "ERR":
        return trust(row)
    parts = [found["verdict"], found.get("speed_verdict"), found.get("speed_reason")]
    if row["status"] == "PARTIAL":
        parts.append(f"partial: {found['passages']:,} of {found['of_passages']:,} passages")
    if row["status"] == "SIMULATED":
        parts.append(trust(row))
    return "; ".join(part for part in parts if part)


def least_cosine(row: Row) -> Finding | None:
    """Return the least cosine of a text's vector with its vector in the reference."""
    value = row["fidelity"].get("min_cosine")
    return None if value is None else Finding(value)


def overlap(row: Row) -> Finding | None:
    """Return the share of the reference's ten documents that are still found."""
    value = row["fidelity"].get("overlap")
    return None if value is None else Finding(value)


def change(row: Row) -> Finding | None:
    """Return the change of nDCG@10 against the reference, with its interval."""
    value, interval = row["fidelity"].get("ndcg_change"), row["fidelity"].get("ndcg_interval")
    low, high = interval or (None, None)
    return None if value is None else Finding(value, low, high)


class Fidelity(Workload):
    """Whether numbers and rankings stay the same."""

    name: ClassVar[str] = "fidelity"
    columns: ClassVar[Sequence[Column]] = (
        Column("min_cosine", "least cosine", least_cosine, text=lambda figure: cosine_text(figure.value)),
        Column("overlap", "top-10 overlap", overlap, text=lambda figure: f"{figure.value:.2%}"),
        Column("ndcg_change", "nDCG@10 change", change, text=lambda figure: f"{figure.value:+.4f}"),
    )
    engine: ClassVar[str] = "fmbench/fidelity"
    kinds: ClassVar[Mapping[str, Schema]] = {"FID": FID}
    sections: ClassVar[Mapping[str, Schema]] = {"fidelity": SECTION}

    def blame(self, run: Run, line: JsonLine, reason: str) -> None:
        """Say it in the row of the artifact."""
        run.blame(line.data.get("artifact"), reason)

    gauges: ClassVar[Sequence[Gauge]] = GAUGES
    labels: ClassVar[Mapping[str, str]] = {"artifact": "fidelity.artifact"}

    def rows(self, run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
        """Yield a row a variant or artifact; of one that was said several times, the last."""
        lines = {line.data["artifact"]: line.data for line in run.lines_of(self.name)}
        first = next(iter(lines), None)
        for artifact, said in lines.items():
            variant = said.get("name") if said["kind"] == VARIANT else None
            row = self.row(run, metadata_id, variant)
            if variant is not None and variant not in run.environments and artifact != first:
                row |= without_platform(row)
            failure = said.get("failure")
            yield Result({
                **row,
                "timestamp": said.get("start"),
                "batch": said.get("batch"),
                "itl": None if failure else said.get("latency_ms"),
                "thp": None if failure else said.get("texts_per_second"),
                "status": status(row["environment"] or {}, said),
                "error": {"type": said["verdict"], "message": failure} if failure else None,
                "fidelity": {name: value for name, value in said.items() if name not in ELSEWHERE},
                "doubt": run.doubt or run.doubts.get(artifact),
            }, source, said.get("nanoseconds") or ())  # fmt: skip

    def label(self, row: Row) -> str:
        """Return the artifact."""
        return str(row["fidelity"]["artifact"])

    def tables(self, results: Sequence[Result]) -> Sequence[Table]:
        """Return a table of variants, and one of artifacts."""
        variants = [result for result in results if is_variant(result.row)]
        artifacts = [result for result in results if not is_variant(result.row)]
        return [
            Table(header, [line_of(one.row) for one in members], right, [one.source for one in members])
            for members, header, line_of, right in (
                (variants, VARIANTS, line_of_variant, RIGHT_OF_VARIANTS),
                (artifacts, ARTIFACTS, line_of_artifact, RIGHT_OF_ARTIFACTS),
            )
            if members
        ]

    def plots(self) -> Mapping[str, Plot]:
        """Return cosine and overlap against speed, a point a variant."""
        from ..plots.tradeoff import fidelity_speed

        return {"fidelity_speed": fidelity_speed}

    def news(self, kind: str, data: Row) -> str | None:
        """Return the verdict on a variant or an artifact, with what it is of."""
        if kind != "FID":
            return None
        parts = [data["verdict"], f"least cosine {cosine_text(data['min_cosine'])}" if data.get("min_cosine") else ""]
        if data["kind"] == VARIANT:
            parts += [f"top-10 overlap {data['overlap']:.2%}" if data.get("overlap") is not None else ""]
            parts += [f"{data['speed']:.2f} times as fast" if data.get("speed") else "", data.get("failure")]
        return f"{data['artifact']}: {', '.join(part for part in parts if part)}"
