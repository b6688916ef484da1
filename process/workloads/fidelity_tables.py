"""The tables of fidelity: what each comparison came to, then what differs, from probes down to single queries."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fmbench.figures import cosine_text, formatted, share_text, significant, span

from ..reading.row import Result
from ..workload import Row, Table
from ..writing.view import text, trust

EQUAL = "equal"
SIGNIFICANT = 0.05
ROUNDING = 1e-12  # a mean of changes that cancel out is no zero
QUERIES = 20  # of which the table of queries has a line
THIS = "this build"  # what a capture is held against where it is no capture
WHOLES, RANKINGS, CALLS, VARIANTS = ("capture", "comparison"), ("ranking", "swap"), ("call",), ("variant",)
SUBSTITUTIONS = ("substitution",)
ACCEPTED = {"same_shape": ("equal", "close", "different"), "equal": ("equal",), "close": ("equal", "close")}
WHERE = {
    "module": "its output, on the same input",
    "before": "its input: the code between the modules before it",
    "missing": "only A makes the call, or with other tensors",
    "extra": "A does not make the call",
}
ALONE = {"missing": "of A that is not made here", "extra": "that A does not make"}
TENSOR_NOTE = (
    "close: |a - b| <= atol + rtol |b|, by type: float32 1e-6 and 1e-5, bfloat16 1e-3 and 1e-2, float16 1e-4 and 1e-3, "
    "of two types the narrower one's, integers exactly; or as --atol and --rtol say. ULP: units in the last place."
)
RANKING_NOTE = (
    "The average number of different ids is that of the symmetric difference: one replaced id counts 2. p: paired "
    "randomisation test over queries."
)
VARIANT_NOTE = (
    "Cosine: of each text's vector with its vector in the reference, passages and queries. Overlap: share of the "
    "reference's ten documents that are still among the ten. Change: of nDCG@10, paired over queries; interval and p "
    "are of one randomisation test, and p is below 0.05 exactly where the interval leaves 0 out. Times as fast: "
    "medians of turns on the same texts, which all variants take one after the other; what was compiled on the way is "
    "in the first turns, which are left out. Faster and slower are said by a signed-rank test of the turns (p below "
    "1%) of more than 0.5%, and never against the interval."
)
FIGURES = ("equal share", "mean abs diff", "max abs diff", "max ULP", "min cosine", "note")


def tables(results: Sequence[Result]) -> list[Table]:
    """Return the tables that have lines, the answer first."""
    every = (variants, wholes, by_probe, rankings, calls, substitutions, tensors, queries)
    return [table for make in every if (table := make(results)).lines]


def of_kinds(results: Iterable[Result], *kinds: str) -> list[Result]:
    """Return the results of some kinds."""
    return [result for result in results if result.row["fidelity"]["kind"] in kinds]


def build(
    title: str, header: Sequence[str], results: Sequence[Result], line_of: Callable[[Row], list[str]],
    right: Iterable[int] = (), notes: Sequence[str] = (), code: Sequence[str] = (),
) -> Table:  # fmt: skip
    """Return a table with a line a result. A column that is empty is left out."""
    lines = [line_of(result.row) for result in results]
    shown = [place for place in range(len(header)) if any(line[place] for line in lines)]
    flush = [position for position, place in enumerate(shown) if place in right]
    cells = [[line[place] for place in shown] for line in lines]
    sources = [result.source for result in results]
    return Table([header[place] for place in shown], cells, flush, sources, notes, title, code)


def sides(row: Row) -> list[str]:
    """Return what is held against what: the reference first; nothing in logs that do not say it."""
    reference, variant = row["fidelity"].get("reference"), row["variant"]
    return [text(reference), text(variant) or (THIS if reference else "")]


def wholes(results: Sequence[Result]) -> Table:
    """Return captures and comparisons, in order: how many artifacts agree, and what differs first."""
    header = (
        "A", "B", "tensors", "shapes match?", "bitwise equal?", "close?", "close by torch.allclose?", "rankings",
        "what",
    )  # fmt: skip
    members = of_kinds(results, *WHOLES)
    notes = [said for said in (differing_facts(result.row) for result in members) if said]
    return build("Captures and comparisons", header, members, line_of_whole, (2,), notes)


def line_of_whole(row: Row) -> list[str]:
    """Return the cells of a capture or a comparison."""
    found = row["fidelity"]
    if found["kind"] == "capture":
        name = text(row["variant"]) or found["artifact"].partition("/")[2]
        return ["", name, *[""] * 6, trust(row) if row["error"] else contents(row)]
    total = found.get("tensors")
    shares = ["" if found.get(name) is None else share_of(found[name], total) for name in (*ACCEPTED, "close_default")]
    count = found.get("rankings")
    changed = "" if count is None else f"{found['rankings_changed']} of {count} changed" if count else "none captured"
    return [*sides(row), text(total), *shares, changed, trust(row) if row["error"] else headline(row)]


def contents(row: Row) -> str:
    """Return what a capture holds."""
    found = row["fidelity"]
    said = f"{found['artifacts']} artifacts of {', '.join(found['probes'])}"
    return f"partial: {said}" if row["status"] == "PARTIAL" else said


def share_of(count: int, total: int) -> str:
    """Return whether all of them are, and how many."""
    return f"{'yes' if count == total else 'no'} ({count}/{total})"


def headline(row: Row) -> str:
    """Return the sentence that says what a comparison came to."""
    found = row["fidelity"]
    if found["verdict"] == "incomplete":
        return "partial: it did not end"
    said = headline_of_calls(found) if "calls" in found else headline_of_artifacts(found)
    partial = f"partial: {', '.join(found['incomplete'])} did not end. " if found.get("incomplete") else ""
    return partial + said


def headline_of_artifacts(found: Mapping[str, Any]) -> str:
    """Return the first artifact that differs, or that none does."""
    if lost := [name for name in ("artifacts", "unequal", "probes") if name not in found]:
        return f"damaged: its {', '.join(lost)} cannot be read"
    if found.get("first") is None:
        return f"All {found['artifacts']} artifacts are equal, bit for bit."
    said = f"First artifact that differs: {found['first']} ({found['first_verdict']})."
    if found.get("beyond") is None:
        said += f" All that differ are close: {found['unequal']} of {found['artifacts']}."
    else:
        if found["beyond"] != found["first"]:
            said += f" First beyond the tolerance: {found['beyond']} ({found['beyond_verdict']})."
        said += f" {found['unequal']} of {found['artifacts']} are not equal."
    return f"{said} Probes that differ: {', '.join(found['probes'])}."


def headline_of_calls(found: Mapping[str, Any]) -> str:
    """Return the first module that computes something else on the same input, or that none does."""
    calls, first, others = found["calls"], found.get("first"), found["unequal"] - 1
    alone, before = found.get("alone"), found.get("before")
    if first is None and alone is None:
        if before is not None:
            return f"No module differs; the first call that has another input is {before}."
        return f"All {calls} calls of modules give what they gave in A, bit for bit."
    said = []
    if alone is not None:
        said.append(f"The models do not make the same calls: the first {ALONE[found['alone_where']]} is {alone}.")
    if first is None:
        said.append(f"No module of the {calls} calls that both make differs.")
    else:
        said.append(
            f"First module that differs on the same input: {first} ({found['first_module']}, {found['first_verdict']})."
        )
        said.append(f"{others} more of {calls} calls differ." if others else "All other modules are equal.")
    return " ".join(said)


def differing_facts(row: Row) -> str:
    """Return the facts of both sides that differ, as a sentence; nothing where none does."""
    facts = row["fidelity"].get("facts") or {}
    if not facts:
        return ""
    a, b = sides(row)
    said = (f"{name}: {one} in {a}, {other} in {b}" for name, (one, other) in facts.items())
    return f"Facts that differ: {'; '.join(said)}."


def by_probe(results: Sequence[Result]) -> Table:
    """Return how many tensors of each probe agree, where two captures were compared."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for result in of_kinds(results, "tensor"):
        key = (result.source, *sides(result.row), text(result.row["fidelity"].get("probe")))
        groups.setdefault(key, []).append(result.row["fidelity"]["verdict"])
    lines = [
        [*key[1:], *(share_of(sum(one in good for one in verdicts), len(verdicts)) for good in ACCEPTED.values())]
        for key, verdicts in groups.items()
    ]
    header = ("A", "B", "probe", "shapes match?", "bitwise equal?", "close?")
    return Table(header, lines, (), [key[0] for key in groups], (), "Tensors, by probe")


def rankings(results: Sequence[Result]) -> Table:
    """Return what became of each ranking, those of a search on another index among them."""
    header = (
        "A", "B", "ranking", "Recall@10 change", "MRR@10 change", "avg # of different ids", "replaced",
        "queries, Recall@10", "queries, MRR@10", "Kendall tau", "RBO", "significant?",
    )  # fmt: skip
    members = of_kinds(results, *RANKINGS)
    return build("Rankings", header, members, line_of_ranking, (3, 4, 5, 6, 9, 10), [RANKING_NOTE])


def line_of_ranking(row: Row) -> list[str]:
    """Return what became of a ranking."""
    found = row["fidelity"]
    a, b = sides(row)
    between = f"{b} on the index of {a}"
    a, b = {"search": (a, between), "index": (between, b)}.get(text(found.get("part")), (a, b))
    if row["error"] or found.get("different_ids") is None:
        return [a, b, found["artifact"], *[""] * 8, trust(row) if row["error"] else only_in(found)]
    metrics = found.get("metrics") or {}
    recall, mrr = metrics.get("Recall@10"), metrics.get("MRR@10")
    different = found["different_ids"]
    ids = [f"{different:.3g}", f"{found['replaced']:.3g}"] if different else [EQUAL, EQUAL]
    alike = [f"{found['tau']:.4f}", f"{found['rbo']:.4f}"] if found["changed"] else [EQUAL, EQUAL]
    return [
        a, b, found["artifact"], change(recall, metrics), change(mrr, metrics), *ids,
        directions(recall), directions(mrr), *alike, significance(metrics),
    ]  # fmt: skip


def is_unchanged(metric: Mapping[str, Any]) -> bool:
    """Whether every query has what it had."""
    return not metric["increase"] and not metric["decrease"]


def change(metric: Mapping[str, Any] | None, metrics: Mapping[str, Any]) -> str:
    """Return the change of a mean: `equal` where no query changed."""
    if metric is None:
        return "" if metrics else "no judgements"
    value = metric["change"]
    return EQUAL if is_unchanged(metric) else f"{value:+.2g}" if abs(value) > ROUNDING else "0"


def directions(metric: Mapping[str, Any] | None) -> str:
    """Return how many queries went which way."""
    if metric is None:
        return ""
    counts = {name: metric[name.lower()] for name in ("Equal", "Increase", "Decrease")}
    return ", ".join(f"{name}: {count}" for name, count in counts.items() if count or name == "Equal")


def significance(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Return whether a change is more than chance, with the p of the paired randomisation test."""
    moved = {name: metric["p"] for name, metric in metrics.items() if not is_unchanged(metric)}
    if not moved:
        return EQUAL if metrics else ""
    return "; ".join(f"{name}: {'yes' if p < SIGNIFICANT else 'no'} (p {p_text(p)})" for name, p in moved.items())


def p_text(p: float) -> str:
    """Return a p value as text."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def calls(results: Sequence[Result]) -> Table:
    """Return the calls of modules that are not as in a capture."""
    header = ("call", "module", "what differs", "verdict", *FIGURES)
    return build("Calls that are not as in A", header, of_kinds(results, *CALLS), line_of_call, range(4, 9))


def line_of_call(row: Row) -> list[str]:
    """Return the cells of one call."""
    found = row["fidelity"]
    where = text(found.get("where"))
    return [found["artifact"], text(found.get("module")), WHERE.get(where, where), found["verdict"], *figures(found)]


def substitutions(results: Sequence[Result]) -> Table:
    """Return what differs of an index where parts of another build's were put in."""
    header = ("A", "index", "of A was put in", "later parts equal?", "first that differs", "verdict", "the cause lies")
    return build("Indexes with parts of A's", header, of_kinds(results, *SUBSTITUTIONS), line_of_substitution)


def line_of_substitution(row: Row) -> list[str]:
    """Return the cells of one substitution."""
    found = row["fidelity"]
    index, _, point = found["artifact"].partition(": ")
    equal = share_of(found["artifacts"] - found["unequal"], found["artifacts"])
    cause = f"{found['cause']} of it" if found.get("cause") else ""
    first = [text(found.get(name)) for name in ("first", "first_verdict")]
    return [sides(row)[0], index.partition("/")[2], point, equal, *first, cause]


def tensors(results: Sequence[Result]) -> Table:
    """Return the tensors that are not equal, in execution order: what the table by probe counts."""
    header = ("A", "B", "artifact", "verdict", "shape", "dtype", *FIGURES)
    others = {*WHOLES, *RANKINGS, *CALLS, *VARIANTS, *SUBSTITUTIONS}
    members = [result for result in results if result.row["fidelity"]["kind"] not in others]
    different = [result for result in members if result.row["fidelity"]["verdict"] != EQUAL]
    title = "Tensors that differ, in execution order"
    return build(title, header, different, line_of_tensor, range(6, 11), [TENSOR_NOTE])


def line_of_tensor(row: Row) -> list[str]:
    """Return how a tensor differs."""
    found = row["fidelity"]
    shapes = [" x ".join(map(str, shape)) for shape in found.get("shapes") or () if shape is not None]
    dtypes = [dtype for dtype in found.get("dtypes") or () if dtype is not None]
    both = [" / ".join(dict.fromkeys(part)) for part in (shapes, dtypes)]
    return [*sides(row), found["artifact"], found["verdict"], *both, *figures(found)]


def figures(found: Mapping[str, Any]) -> list[str]:
    """Return the figures of a difference, and what else should be known of it."""
    ulp = found.get("max_ulp")
    return [
        share_text(found.get("share_equal")), small(found.get("mean_abs")), small(found.get("max_abs")),
        "" if ulp is None else f"{ulp:,}", cosine_text(found.get("min_cosine")), note(found) or only_in(found),
    ]  # fmt: skip


def note(found: Mapping[str, Any]) -> str:
    """Return what the figures do not say: what is no number, other types, where the difference begins."""
    parts = []
    for name, key in (("NaN", "nan"), ("infinite", "inf")):
        a, b = found.get(key) or (0, 0)
        if a or b:
            parts.append(f"{a:,} {name}" if a == b else f"{a:,} and {b:,} {name}")
    if found.get("mismatched"):
        parts.append(f"{found['mismatched']:,} of them not in the same places")
    if len({*(found.get("dtypes") or ())}) > 1 and found["verdict"] not in ("shape", "missing"):
        parts.append("compared as float64" if found.get("max_ulp") is not None else "compared as int64")
    elif found.get("first_row") is not None:
        parts.append(f"from row {found['first_row']:,} on")
    return "; ".join(parts)


def only_in(found: Mapping[str, Any]) -> str:
    """Return which side alone has an artifact."""
    missing = found.get("missing_in")
    return f"only in {'B' if missing == 'a' else 'A'}" if missing else ""


def small(value: float | None) -> str:
    """Return a figure of any size."""
    return "" if value is None else f"{value:.2e}" if value else "0"


def queries(results: Sequence[Result]) -> Table:
    """Return the queries whose ranking changed most, the least alike first."""
    found = [
        (result, query)
        for result in of_kinds(results, *RANKINGS)
        for query in result.row["fidelity"].get("changed_queries") or ()
        if query is not None
    ]
    found.sort(key=lambda pair: pair[1]["rbo"])
    names = list(dict.fromkeys(name for _, query in found for name in query.get("metrics") or ()))
    lines = [
        [
            *sides(result.row), result.row["fidelity"]["artifact"], query["query"], str(query["different_ids"]),
            f"{query['tau']:.4f}", f"{query['rbo']:.4f}",
            *(before_after((query.get("metrics") or {}).get(name)) for name in names),
        ]
        for result, query in found[:QUERIES]
    ]  # fmt: skip
    header = ("A", "B", "ranking", "query", "different ids", "Kendall tau", "RBO", *names)
    more = [f"{len(found) - QUERIES:,} more are in the JSON."] if len(found) > QUERIES else []
    shown = [result.source for result, _ in found[:QUERIES]]
    return Table(header, lines, (4, 5, 6), shown, more, "Queries whose ranking changed most")


def before_after(pair: Sequence[float] | None) -> str:
    """Return a metric of one query in both runs."""
    if pair is None:
        return "not judged"
    return EQUAL if pair[0] == pair[1] else f"{significant(pair[0])} to {significant(pair[1])}"


def variants(results: Sequence[Result]) -> Table:
    """Return each variant of a ladder against its reference: vectors, ranking, quality, speed."""
    header = (
        "model", "platform", "dtype", "variant", "against", "min cosine", "mean cosine", "top-10 overlap", "nDCG@10",
        "change", "95% interval", "p", "passages/s", "times as fast", "95% interval", "note",
    )  # fmt: skip
    return build("Variants", header, of_kinds(results, *VARIANTS), line_of_variant, range(5, 15), [VARIANT_NOTE])


def line_of_variant(row: Row) -> list[str]:
    """Return the cells of a variant."""
    found, environment = row["fidelity"], row["environment"] or {}
    return [
        text(row["model"]), text(environment.get("platform")), text(row["precision"]), text(row["variant"]),
        text(found.get("reference")), cosine_text(found.get("min_cosine")), cosine_text(found.get("mean_cosine")),
        formatted(found.get("overlap"), ".2%"), formatted(found.get("ndcg"), ".4f"),
        formatted(found.get("ndcg_change"), "+.4f"), span(found.get("ndcg_interval"), "+.4f"),
        formatted(found.get("ndcg_p"), ".3f"), "" if row["thp"] is None else significant(row["thp"]),
        formatted(found.get("speed"), ".2f"), span(found.get("speed_interval"), ".2f"), verdict(row),
    ]  # fmt: skip


def verdict(row: Row) -> str:
    """Return what to make of a variant: its verdicts, a failure, what is not finished, what is simulated."""
    found = row["fidelity"]
    if row["status"] == "ERR":
        return trust(row)
    timed = found.get("speed") is not None and row["variant"] != found.get("reference")  # else there is none to tell
    few = "too few turns to tell the speed" if timed else None
    parts = [found["verdict"], found.get("speed_verdict") or few, found.get("speed_reason")]
    if row["status"] == "PARTIAL":
        counts = [found.get(name) for name in ("passages", "of_passages")]
        parts.append("partial" if None in counts else "partial: {:,} of {:,} passages".format(*counts))
    if row["status"] == "SIMULATED":
        parts.append(trust(row))
    return "; ".join(part for part in parts if part)
