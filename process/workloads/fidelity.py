"""What a run of `fmbench fidelity` says: a row a thing that is held against the same thing of a reference."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from fmbench.digest import digest_of_json
from fmbench.figures import cosine_text
from fmbench.lines import JsonLine

from ..reading import schema
from ..reading.row import Result
from ..reading.run import Run
from ..reading.schema import Schema
from ..workload import Column, Finding, Gauge, Plot, Row, Table, Workload
from . import fidelity_tables
from .doubts import fidelity_doubt

VARIANT = "variant"
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
ELSEWHERE = ("name", "variant", "failure", "start", "batch", "latency_ms", "texts_per_second", "nanoseconds")
HELD = ("kind", "artifact", "reference", "variant")  # what tells one line from another
# The facts that hold for all variants, in logs of a version that said those of a platform for the first one only.
SHARED = (
    "task", "fmbench", "fmbench_commit", "python", "packages", "system", "machine", "cpu", "cpu_cores", "cpus",
    "cpus_usable", "cpu_governor", "cpu_mhz_max", "numa_nodes", "memory_bytes", "container", "virtual_machine", "timed",
    "passages", "queries", "texts", "seed", "model", "model_class",
)  # fmt: skip


NAMED = {
    "artifact": schema.text("Name: of a variant `ladder/` and its name, else that in the captures.", needed=True),
    "reference": schema.text("What it is held against; null in logs that do not say it."),
}
SIDE = {
    "variant": schema.text("What is held against the reference; ENV lines with this `variant` are its facts."),
    "failure": schema.text("Why it could not be done."),
}
VERDICT = {
    "kind": schema.text(
        "`variant`, `tensor`, `ranking`, `comparison` (of two captures, as a whole), `capture`, `swap` (a ranking "
        "searched in the reference's index), `call` (of a module) or `substitution` (an index built with a part of the "
        "reference's).", needed=True,
    ),
    "verdict": schema.text(
        "`equal`: the same type, shape and bits (of a ranking: ids, order and scores); `close`: within the tolerance "
        "(the same ids in the same order); `different`; `shape`: two shapes; `missing` in one capture; of a variant "
        "`equal`, `different` or `unsupported`; of a capture `complete`; of what did not end `incomplete`, of what "
        "could not be done `failed`.", needed=True,
    ),
    "min_cosine": schema.number("Least cosine: of a text's vector, or a tensor's row, with the reference's; null for "
                                "integers."),
}  # fmt: skip
METRIC = Schema({
    **{key: schema.number(means, needed=True) for key, means in (("a", "Mean of A."), ("b", "Of B."))},
    "change": schema.number("Mean change.", needed=True),
    "interval": schema.interval("Its 95% interval, of the paired randomisation test."),
    "p": schema.number("Its two-sided p.", needed=True),
    **{key: schema.count("Queries.", needed=True) for key in ("increase", "equal", "decrease")},
})  # fmt: skip
QUERY = Schema({
    "query": schema.text("Its id.", needed=True),
    "different_ids": schema.count("Ids that only one of the two lists has.", needed=True),
    "tau": schema.number("Kendall's tau.", needed=True),
    "rbo": schema.number("Rank-biased overlap.", needed=True),
    "metrics": schema.intervals_by_name("Of each: in A and in B."),
})  # fmt: skip
TYPES = schema.Field(
    "Of A and of B; null where it is missing.", "texts",
    lambda value: isinstance(value, list) and all(isinstance(one, str | None) for one in value),
    " is no list of texts",
)  # fmt: skip
SIZES = schema.Field(
    "Of A and of B; null where it is missing.", "lists of counts",
    lambda value: isinstance(value, list)
        and all(one is None or (isinstance(one, list) and all(map(schema.is_count, one))) for one in value),
    " is no list of shapes",
)  # fmt: skip
OF_ARTIFACT = {
    "probe": schema.text("The probe that captured it."),
    "missing_in": schema.text("The capture that lacks it."),
    "dtypes": TYPES,
    "shapes": SIZES,
    "atol": schema.anything("Close is |a - b| <= `atol` + `rtol` |b|, element by element.", "number"),
    "rtol": schema.anything("As above.", "number"),
    "share_equal": schema.number("Share of elements with the same value."),
    "mean_abs": schema.number("Mean of |a - b|, over the elements that are finite on both sides."),
    "max_abs": schema.number("Greatest |a - b| of these."),
    "max_ulp": schema.count("Most numbers of their type that lie between two elements, one of them counted; null for "
                            "integers."),
    "nan": schema.counts("Elements that are NaN, in A and in B."),
    "inf": schema.counts("Elements that are infinite, in A and in B."),
    "mismatched": schema.count("Elements that are NaN or infinite on one side and something else on the other."),
    "first_row": schema.count("The first row that differs, from 0."),
    "close_default": schema.truth("Of a PLAID index: whether it is close by torch.allclose's tolerances, 1e-8 and "
                                  "1e-5."),
    "metrics": schema.by_name(
        "Means, their change with its 95% interval and p, and the queries by direction; none without judgements.",
        schema.part("", METRIC), "object of objects",
    ),
    "changed_queries": schema.parts("What became of each of them.", QUERY),
    "part": schema.text("Of a swap: `both` (A to B), `search` (A to B's search of A's index), `index` (from there)."),
    "where": schema.text("Of a call: `module`, `before` (what made its input), `missing` or `extra` in this model."),
    "module": schema.text("Of a call: its module's class."),
}  # fmt: skip
# Of a ranking that both sides have.
OF_RANKING = {
    "changed": schema.count("Queries whose list of ids differs.", needed=True),
    "depth": schema.count("Ranks that ids and metrics are compared at."),
    "queries": schema.count("Queries searched."),
    "different_ids": schema.number(
        "Ids that only one of the two lists has, a query: one replaced id counts 2.", needed=True
    ),
    "replaced": schema.number("Half of it.", needed=True),
    "tau": schema.number("Kendall's tau, mean over queries.", needed=True),
    "rbo": schema.number("Rank-biased overlap, mean over queries.", needed=True),
    "max_score": schema.number("Largest change of a score."),
}
FACTS = schema.Field(
    "Facts of both sides that differ: of A, of B.", "pair by name",
    lambda value: isinstance(value, dict)
        and all(isinstance(one, list) and len(one) == 2 for one in value.values()),
    " is no object of pairs", column=None,
)  # fmt: skip
OF_WHOLE = {
    "artifacts": schema.count("Artifacts that were captured, or compared."),
    "probes": schema.texts("Of a capture, those that ended; of a comparison, those that differ."),
    "unequal": schema.count("Artifacts, or modules, that are not equal."),
    "tensors": schema.count("Tensors among them."),
    "same_shape": schema.count("Tensors of the same shape."),
    "equal": schema.count("Tensors that are equal."),
    "close": schema.count("Tensors that are equal or close."),
    "close_default": schema.count("Of a PLAID index: files that are close by torch.allclose's tolerances; there, "
                                  "`tensors` and the counts that follow it are of files."),
    "rankings": schema.count("Rankings among the artifacts."),
    "rankings_changed": schema.count("Rankings whose ids or their order changed, or that a capture lacks."),
    "first": schema.text("The first artifact that is not equal; of calls, the first module that differs."),
    "first_verdict": schema.text("Its verdict."),
    "first_module": schema.text("Of a call: its module's class."),
    "beyond": schema.text("The first artifact that is not close either."),
    "beyond_verdict": schema.text("Its verdict."),
    "facts": FACTS,
    "incomplete": schema.texts("Captures that did not end."),
    "cause": schema.text("Of a substitution: `upstream` of the part that was put in, where all later ones are equal "
                         "then, else `downstream`; null where none was put in."),
    "calls": schema.count("Calls of modules that both make."),
    "alone": schema.text("The first call that one side alone makes."),
    "alone_where": schema.text("`missing` or `extra` in this model."),
    "before": schema.text("The first call whose input differs: the code between the modules."),
}  # fmt: skip
OF_VARIANT = {
    "name": schema.text("The variant, in logs of the first versions."),
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
    "tokens_per_batch": schema.count("Tokens of a batch, padding included, of the vectors that the figures are of."),
    "batch": schema.count("Passages a batch of the speed."),
    "latency_ms": schema.number("Median of `nanoseconds` after the first fifth.", "milliseconds"),
    "texts_per_second": schema.number("At that latency."),
    "start": schema.time("Seconds since the epoch, nine decimals."),
    "nanoseconds": schema.counts("What each batch took.", "nanoseconds"),
}  # fmt: skip
WHOLES = ("capture", "comparison", "substitution")


def form(data: Mapping[str, Any]) -> str:
    """Return which fields a line has besides those of all."""
    kind = data.get("kind")
    if kind in fidelity_tables.RANKINGS and data.get("different_ids") is not None:
        return "ranking"
    return "whole" if kind in WHOLES else VARIANT if kind == VARIANT else "artifact"


FID = Schema({**NAMED, **SIDE, **VERDICT}, form=form,
             forms={"artifact": OF_ARTIFACT, "ranking": OF_RANKING, "whole": OF_WHOLE,
                    VARIANT: OF_VARIANT})  # fmt: skip
SECTION = Schema(
    {**NAMED, **VERDICT},
    "How faithful one thing is to the same thing of a reference; `variant` names the row's own side.",
    open=True, form=form,
    forms={
        "artifact": OF_ARTIFACT, "ranking": OF_RANKING, "whole": OF_WHOLE,
        VARIANT: {key: one for key, one in OF_VARIANT.items() if key not in ELSEWHERE},
    },
)  # fmt: skip


def without_platform(row: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of a variant of which the log has no facts: nothing that another may have otherwise."""
    known = row["environment"] or {}
    return {"environment": {name: known[name] for name in SHARED if name in known} or None, "precision": None}


def status(environment: dict[str, Any], said: dict[str, Any]) -> str:
    """Return ERR, PARTIAL where passages are left or a capture or comparison did not end, SIMULATED or OK."""
    if said.get("failure"):
        return "ERR"
    short = (said.get("passages") or 0) < (said.get("of_passages") or 0)
    if short or said["verdict"] == "incomplete" or said.get("incomplete"):
        return "PARTIAL"
    return "SIMULATED" if environment.get("simulated") else "OK"


def texts_of(row: Row) -> str:
    """Return a digest of what was compared: the texts, how they were brought to the model, and the reference."""
    facts = row["environment"] or {}
    return digest_of_json([facts.get("texts"), facts.get("recipe"), row["fidelity"].get("reference")])


def least_cosine(row: Row) -> Finding | None:
    """Return the least cosine of a text's vector with its vector in the reference."""
    value = row["fidelity"].get("min_cosine")
    return None if value is None else Finding(value, same=texts_of(row))


def overlap(row: Row) -> Finding | None:
    """Return the share of the reference's ten documents that are still found."""
    value = row["fidelity"].get("overlap")
    return None if value is None else Finding(value, same=texts_of(row))


def change(row: Row) -> Finding | None:
    """Return the change of nDCG@10 against the reference, with its interval."""
    value, interval = row["fidelity"].get("ndcg_change"), row["fidelity"].get("ndcg_interval")
    low, high = interval or (None, None)
    return None if value is None else Finding(value, low, high, same=texts_of(row))


class Fidelity(Workload):
    """Whether numbers and rankings stay the same."""

    name: ClassVar[str] = "fidelity"
    engine: ClassVar[str] = "fmbench/fidelity"
    kinds: ClassVar[Mapping[str, Schema]] = {"FID": FID}
    sections: ClassVar[Mapping[str, Schema]] = {"fidelity": SECTION}
    gauges: ClassVar[Sequence[Gauge]] = GAUGES
    labels: ClassVar[Mapping[str, str]] = {"artifact": "fidelity.artifact"}
    columns: ClassVar[Sequence[Column]] = (
        Column("min_cosine", "least cosine", least_cosine, text=lambda figure: cosine_text(figure.value)),
        Column("overlap", "top-10 overlap", overlap, text=lambda figure: f"{figure.value:.2%}"),
        Column("ndcg_change", "nDCG@10 change", change, text=lambda figure: f"{figure.value:+.4f}"),
    )

    def blame(self, run: Run, line: JsonLine, reason: str) -> None:
        """Say it in the row of the artifact."""
        run.blame(line.data.get("artifact"), reason)

    def rows(self, run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
        """Yield a row a thing; of one that was said several times, the last."""
        lines = {tuple(line.data.get(key) for key in HELD): line.data for line in run.lines_of(self.name)}
        first = next(iter(lines.values()), None)
        for said in lines.values():
            variant = said.get(
                "variant", said.get("name")
            )  # the first versions said it of a ladder's alone, as its name
            row = self.row(run, metadata_id, variant)
            if variant is not None and variant not in run.environments and said is not first:
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
                "doubt": run.doubt or run.doubts.get(said["artifact"]) or fidelity_doubt(said),
            }, source, said.get("nanoseconds") or ())  # fmt: skip

    def label(self, row: Row) -> str:
        """Return the artifact."""
        return str(row["fidelity"]["artifact"])

    def tables(self, results: Sequence[Result]) -> Sequence[Table]:
        """Return a table of each kind of thing that is there."""
        return fidelity_tables.tables(results)

    def plots(self) -> Mapping[str, Plot]:
        """Return cosine and overlap against speed, a point a variant, and drift by layer."""
        from ..plots.drift import drift
        from ..plots.tradeoff import fidelity_speed

        return {"fidelity_speed": fidelity_speed, "drift_by_layer": drift}

    def news(self, kind: str, data: Row) -> str | None:
        """Return the verdict on a variant or an artifact, with what it is of."""
        if kind != "FID":
            return None
        parts = [data["verdict"], f"least cosine {cosine_text(data['min_cosine'])}" if data.get("min_cosine") else ""]
        if data["kind"] == VARIANT:
            parts += [f"top-10 overlap {data['overlap']:.2%}" if data.get("overlap") is not None else ""]
            parts += [f"{data['speed']:.2f} times as fast" if data.get("speed") else "", data.get("failure")]
        return f"{data['artifact']}: {', '.join(part for part in parts if part)}"
