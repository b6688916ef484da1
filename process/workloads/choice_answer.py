"""What to run: the sentences of each profile, its table, and what can be pasted. Nothing else decides these words."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from fmbench.facts import DIGEST, short
from fmbench.figures import cosine_text, formatted, ratio_text, significant, span

from ..reading.row import Result
from ..workload import Row, Table
from ..writing.view import text, trust
from .choice_code import WHERE, code_of
from .choice_rounds import is_few, too_few
from .doubts import speed_doubt
from .fidelity_tables import build

KEEPS = {"ndcg": "{:g}% kept", "tasks": "{:g}% kept", "overlap": "{:g}% kept", "cosine": "{} kept"}
NOTE = (
    "Times as fast: the ratio of the medians of the reference's turns and a candidate's, in the rounds that both ran, "
    "on the same texts; the 95% interval is of that ratio, over the same pairs of turns. Who is surely slower leaves "
    "early. Milliseconds and texts a second are medians of all of a candidate's own turns, under the load of its "
    "rounds: of one that ran fewer rounds than the reference, their quotient is not the times as fast. All three are "
    "without the first fifth of those rounds, and the first at least. Memory: what "
    "the process held more when it was set up. Cosine: of each text's vector with its vector in the reference. "
    "Overlap: share of the reference's ten documents that are still among the ten. Change: of nDCG@10, paired over "
    "queries. Kept: shown where all of the 95% interval is above what must be kept, worse where all of it is below; "
    "not shown says that there were too few queries to tell; of a share of nDCG@10, where its interval begins is said. "
    "front: no candidate that is as faithful is faster."
)
TASKS = "Tasks kept: of the reference's scores, mean over tasks, on the same resamples of their items."
BUSY = (
    "Beside other work ({}): the ratios hold for that. Candidates whose threads wait for each other lose the most by "
    "it, and who left may be the faster one on a quiet machine."
)
STATUS = {
    "budget": "The budget ended before the order was known",
    "standing": "This is the standing of a race that is not over",
}
PACKAGES = ("torch", "transformers", "sentence-transformers", "onnxruntime", "openvino", "nncf", "torchao")
HEADER = (
    "candidate", "platform", "precision", "threads", "times as fast", "95% interval", "ms a text", "texts/s",
    "tokens a batch", "memory MiB", "J/M tokens", "cost/M tokens", "least cosine", "mean cosine", "top-10 overlap",
    "nDCG@10", "change", "95% interval", "tasks kept", "95% interval", "worst task", "kept", "rounds", "front", "note",
)  # fmt: skip
RIGHT = range(3, 20)
MEBIBYTE = 2**20
EQUAL = 0.02  # of a ratio: to that the race wants to know an order


def tables(results: Sequence[Result]) -> list[Table]:
    """Return a table a choice and profile under its sentence, the fastest candidate first.

    What several would say, in notes and in what can be pasted, stands below the last of them.
    """
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.source, result.row["choice"]["profile"]), []).append(result)
    found: list[Table] = []
    for (source, _), members in reversed(groups.items()):
        chosen = (winner_of(one.row for one in rows) for (log, _), rows in groups.items() if log == source)
        winners = [row for row in chosen if row is not None]
        own = table(sorted(members, key=slowness), winners)
        said = {text for one in found for text in (*one.notes, *one.code)}
        notes, code = ([text for text in texts if text not in said] for texts in (own.notes, own.code))
        found.insert(0, replace(own, notes=notes, code=code))
    return found


def slowness(result: Result) -> tuple[bool, float]:
    """Return what puts the fastest first, and what did not race last."""
    return result.row["status"] == "ERR", -(result.row["choice"]["speed"] or 0)


def table(results: Sequence[Result], winners: Sequence[Row]) -> Table:
    """Return the candidates of one profile, with what can be pasted of the one to run; `winners` are of all."""
    rows = [result.row for result in results]
    notes, code, chosen = [NOTE], list[str](), winner_of(rows)
    if "tasks" in (rows[0]["choice"].get("keep") or {}):
        notes.append(TASKS)
    if absent := rows[0]["choice"]["absent"]:
        notes.append(f"Not usable here: {', '.join(absent)}; `fmbench backends` says why.")
    if busy := speed_doubt(rows[0]["environment"] or {}, {}):
        notes.append(BUSY.format(busy))
    if chosen is not None:
        why, among = rows[0]["choice"].get("why"), ", of those judged so far" if is_partly_judged(rows) else ""
        notes += [f"Why {chosen['variant']}{among}: {why}."] if why else []
        notes.append(fingerprint(chosen))
        code = code_of(chosen, winners)
    found = build(f"{what_to_run(rows)}.", HEADER, results, line_of, RIGHT, notes, code)
    return replace(found, lead=[f"{said}." for said in provisos(rows)])


def winner_of(rows: Iterable[Row]) -> Row | None:
    """Return the row of the candidate to run, if there is one."""
    return next((row for row in rows if row["choice"]["place"] == "winner"), None)


def what_to_run(rows: Sequence[Row]) -> str:
    """Return the winner of one profile, how fast and how good it is."""
    said, chosen = rows[0]["choice"], winner_of(rows)
    where = WHERE[said["profile"]]
    if chosen is None:
        return f"Nothing to run {where}{'' if said['status'] == 'final' else ' yet'}"
    run = f"{beginning(rows, 'run')} {chosen['variant']}"
    if chosen["variant"] == said["reference"]:
        faster = "surely faster" if ties_of(rows) else "faster"
        return f"{run}, the reference, {where}: nothing that keeps as much is {faster}"
    kept = quality(chosen["choice"], said["keep"])
    return f"{run}: {times(chosen)} times {said['reference']} {where}, {kept}"


def is_partly_judged(rows: Sequence[Row]) -> bool:
    """Whether a choice was stopped after some were judged, and before all were: another one may be what to run."""
    return rows[0]["choice"]["status"] == "standing" and any(row["choice"].get("kept") for row in rows)


def beginning(rows: Sequence[Row], text: str) -> str:
    """Return what begins a sentence that holds for those who were judged, the other ones left aside."""
    return f"Of those judged so far, {text}" if is_partly_judged(rows) else text[0].upper() + text[1:]


def ties_of(rows: Sequence[Row]) -> list[str]:
    """Return who cannot be told from the winner."""
    return [row["variant"] for row in rows if row["choice"]["place"] == "tie"]


def provisos(rows: Sequence[Row]) -> Iterator[str]:
    """Yield under which conditions a choice holds, and what it does not tell."""
    said, chosen, ties = rows[0]["choice"], winner_of(rows), ties_of(rows)
    both = (chosen["choice"].get("together") if chosen else None) if said["profile"] == "bulk" else None
    if both:
        yield f"Queries of {both['queries']} in that index: {quality(both, said['keep'])}"
    if said.get("untried"):
        every = said["raced"] + said["untried"]
        yield f"Raced: {said['raced']} of {every} candidates that can run here, as --budget allowed"
    if ties:
        yield f"Cannot be told from it in speed: {', '.join(ties)}"
    if chosen is None and said.get("why"):
        yield beginning(rows, said["why"])
    if few := too_few(rows):
        yield few
    if said["status"] in STATUS:
        yield STATUS[said["status"]]
    if speed_doubt(rows[0]["environment"] or {}, {}):
        yield "Measured beside other work"
    if doubts := [row["doubt"] for row in rows if row["doubt"]]:
        yield f"In doubt: {doubts[0]}"


def times(row: Row) -> str:
    """Return how many times as fast as the reference a candidate is, with its interval."""
    value, interval = row["choice"]["speed"], row["choice"].get("interval")
    if value is None or interval is None:
        return significant(value) if value is not None else "?"
    return ratio_text(value, *interval)


def quality(found: Row, keep: Row) -> str:
    """Return in words how good something is, and the verdict on what must be kept."""
    measure, least = next(iter(keep.items()))
    kept = KEEPS[measure].format(least if measure == "cosine" else 100 * least)
    value = {
        "ndcg": f"nDCG@10 {formatted(found.get('ndcg_change'), '+.4f')}",
        "tasks": f"{formatted(found.get('tasks_share'), '.2%')} of the tasks' scores",
        "overlap": f"top-10 overlap {formatted(found.get('overlap'), '.2%')}",
        "cosine": f"least cosine {cosine_text(found.get('least_cosine'))}",
    }[measure]
    interval = f" ({span(found['ndcg_interval'], '+.4f')})" if measure == "ndcg" and found.get("ndcg_interval") else ""
    if measure == "tasks":
        beside = [span(found.get("tasks_interval"), ".2%"), f"worst {worst(found)}" if worst(found) else ""]
        interval = f" ({', '.join(filter(None, beside))})"
    return f"{value}{interval}, {kept}: {found.get('kept') or 'not measured'}"


def verdict(found: Row) -> str:
    """Return whether enough is kept; of nDCG, from which share on its interval is, which decides that."""
    if "ndcg" in (found.get("keep") or {}) and found.get("ndcg_share_interval"):
        return f"{found['kept']}: from {found['ndcg_share_interval'][0]:.2%} on"
    return text(found.get("kept"))


def worst(found: Row) -> str:
    """Return the task that keeps least, and its share."""
    return f"{found['worst_task']} {found['worst_task_share']:.2%}" if found.get("worst_task") else ""


def line_of(row: Row) -> list[str]:
    """Return the cells of a candidate."""
    found, facts = row["choice"], row["environment"] or {}
    memory, cost, joules = (
        found.get(key) for key in ("memory_bytes", "cost_per_million_tokens", "joules_per_million_tokens")
    )
    return [
        text(row["variant"]), text(facts.get("platform")), text(row["precision"]), text(facts.get("threads")),
        formatted(found.get("speed"), ".2f"), span(found.get("interval"), ".2f"),
        "" if row["itl"] is None else significant(row["itl"]), "" if row["thp"] is None else significant(row["thp"]),
        text(found.get("tokens_per_batch")), "" if memory is None else f"{memory / MEBIBYTE:,.0f}",
        "" if joules is None else significant(joules), "" if cost is None else significant(cost),
        cosine_text(found.get("least_cosine")), cosine_text(found.get("mean_cosine")),
        formatted(found.get("overlap"), ".2%"), formatted(found.get("ndcg"), ".4f"),
        formatted(found.get("ndcg_change"), "+.4f"), span(found.get("ndcg_interval"), "+.4f"),
        formatted(found.get("tasks_share"), ".2%"), span(found.get("tasks_interval"), ".2%"), worst(found),
        verdict(found), text(found.get("rounds")), "front" if found.get("front") else "", note(row),
    ]  # fmt: skip


def note(row: Row) -> str:
    """Return what a candidate is to the choice: the one to run, a tie, why it left or could not run."""
    found = row["choice"]
    if row["status"] == "ERR":
        return row["error"]["message"]
    tie = "as fast as the one to run" if is_known(found) else "cannot be told from the one to run"
    said = {"winner": "run this", "tie": tie}.get(found["place"] or "")
    parts = [said, "the reference" if row["variant"] == found["reference"] else None]
    if found.get("left_because"):
        few = ", too few for 95%" if is_few(row) else ""
        parts.append(f"left in round {found['left_in_round']}{few}: {found['left_because']}")
    if found.get("joules_reason"):
        parts.append(f"no energy: {found['joules_reason']}")
    return "; ".join(filter(None, [*parts, trust(row) if row["status"] == "SIMULATED" else None]))


def is_known(found: Row) -> bool:
    """Whether the interval of a speed is within EQUAL of it."""
    speed, ends = found.get("speed"), found.get("interval")
    return speed is not None and ends is not None and ends[0] * (1 + EQUAL) >= speed >= ends[1] / (1 + EQUAL)


def fingerprint(row: Row) -> str:
    """Return what the choice holds for: configuration, model, machine, libraries, texts."""
    facts = row["environment"] or {}
    packages = facts["packages"] if isinstance(facts.get("packages"), dict) else {}
    parts = {
        "configuration": row["configuration"],
        "model": f"{row['model']} {short(facts.get(DIGEST)) if facts.get(DIGEST) else ''}".strip(),
        "machine": row["machine"],
        "system": facts.get("system"),
        "fmbench": " ".join(text(facts.get(key)) for key in ("fmbench", "fmbench_commit")).strip(),
        **{name: packages.get(name) for name in PACKAGES},
        "texts": short(facts["texts"]) if facts.get("texts") else None,
    }
    return "Measured with " + ", ".join(f"{name} {value}" for name, value in parts.items() if value) + "."
