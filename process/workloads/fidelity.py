"""What a run of `fmbench fidelity` says: a row a variant of a ladder, or an artifact of two captures."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from fmbench.figures import cosine_text, formatted, share_text, span

from ..reading.row import Result, row_of
from ..reading.run import Run
from ..reading.shape import Shape
from ..workload import Gauge, Plot, Row, Table, Workload
from ..writing.view import number, text, trust

ENGINE = "fmbench/fidelity"
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


def fidelity_results(run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
    """Yield one result a variant or artifact; of one that was said several times, the last."""
    first = next(iter(run.fidelities), None)
    for artifact, said in run.fidelities.items():
        variant = said.get("name") if said["kind"] == VARIANT else None
        row = row_of(run, Shape(variant=variant), metadata_id)
        if variant is not None and variant not in run.environments and artifact != first:
            row |= without_platform(row)
        failure = said.get("failure")
        yield Result({
            **row,
            "timestamp": said.get("start"),
            "engine": ENGINE,
            "batch": said.get("batch"),
            "itl": None if failure else said.get("latency_ms"),
            "thp": None if failure else said.get("texts_per_second"),
            "status": status(row["environment"] or {}, said),
            "error": {"type": said["verdict"], "message": failure} if failure else None,
            "fidelity": {name: value for name, value in said.items() if name not in ELSEWHERE},
        }, source, said.get("nanoseconds") or ())  # fmt: skip


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


class Fidelity(Workload):
    """Whether numbers and rankings stay the same."""

    name: ClassVar[str] = "fidelity"
    gauges: ClassVar[Sequence[Gauge]] = GAUGES
    labels: ClassVar[Mapping[str, str]] = {"artifact": "fidelity.artifact"}

    def rows(self, run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
        """Yield a row a variant or artifact."""
        return fidelity_results(run, source, metadata_id)

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
