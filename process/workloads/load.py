"""What `fmbench load` says of a service: a row a run."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from fmbench import stats
from fmbench.digest import digest_of_json
from fmbench.figures import plus_minus, significant
from fmbench.lines import JsonLine

from ..reading.doubts import differ, quotient
from ..reading.row import Result
from ..reading.run import Run
from ..reading.schema import Schema
from ..workload import Column, Finding, Gauge, Row, Table, Workload
from ..writing.view import CONFIGURATION, number, text, trust
from .load_fields import ANSWERS, FIGURES, LIMIT, LIMITS, LOAD, REQUESTS, SECTION, SETTING, VECTORS

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
HEADER = (
    "model", "platform", "scenario", "inputs", "p50 ms", "p95 ms", "p99 ms", "max ms", "requests/s", "texts/s",
    "tokens/s", "failed", "vectors", "note",
)  # fmt: skip
RIGHT = range(3, 12)
LATE = 0.01  # of p50: a client that is later than that measures itself
NEVER = 10**12  # microseconds of a request that failed
GAUGES = (
    Gauge("load_latency_p99", "seconds", "p99 from when a request was due to its last byte.", "load.latency_ms.p99",
          lambda milliseconds: milliseconds / 1e3),
    Gauge("load_requests", "requests_per_second", "Requests answered a second.", "load.requests_per_second",
          chart="load_requests_per_second"),
    Gauge("load_failed", "requests", "Requests that failed.", "load.failed", chart="load_failed_requests"),
)  # fmt: skip


def how(said: Row) -> str:
    """Return a scenario with its number of clients or its rate."""
    if said.get("limit"):
        return f"p99 within {said['limit']['slo_ms']:g} ms"
    if said.get("rate"):
        return f"{said['scenario']} {said['rate']:g}/s"
    return f"{said['scenario']} {said['concurrency']}" if said.get("concurrency") else str(said["scenario"])


def doubt_of(said: Row, requests: Sequence[JsonLine], answers: Row | None) -> str | None:
    """Return why a run is not to be believed: its lines contradict each other, or the client measured itself."""
    if answers is not None and answers["faults"]:
        return f"wrong: vectors: {faults_of(answers)}"
    if (contradiction := next(contradictions(said, every(requests)), None)) is not None:
        return contradiction
    latency = said.get("latency_ms") or {}
    if said["ended"] == "gone" and said["answered"]:
        return f"gone: nobody answered any more, and {said.get('unsent') or 0} requests were not sent"
    late = (said.get("lag_ms") or {}).get("p99")
    if late is not None and late > LATE * latency.get("p50", float("inf")) and said["scenario"] in ("open", "trace"):
        return f"late: the client itself sent {late:.2g} ms late (p99), more than {LATE:.0%} of p50: too slow a machine"
    if said.get("steady") is False:
        waits = said["scenario"] == "closed"  # for an answer before it sends: no queue can grow
        why = "the service or its machine changed pace" if waits else "the queue grows"
        return f"drift: latencies were not steady: {why}, or the run was too short"
    return None


def contradictions(said: Row, taken: Sequence[int]) -> Iterator[str]:
    """Yield what a LOAD line says that it, or its requests, do not; `taken` are the microseconds of these."""
    latency, intervals = said.get("latency_ms") or {}, said.get("intervals") or {}
    for name, pair in intervals.items():
        if name in latency and not pair[0] <= latency[name] <= pair[1]:
            yield f"contradicted: LOAD: the interval of {name} does not hold it"
    if said["answered"] + said["failed"] != said["requests"]:
        yield "contradicted: LOAD: answered and failed requests are not all of them"
    if taken and len(taken) != said["requests"]:
        yield f"contradicted: LOAD has {said['requests']} requests, and REQ {len(taken)}"
    for name, value, computed in figures_twice(said, taken):
        if value is not None and differ(value, computed):
            yield f"contradicted: LOAD says {name} {value:.6g}, and its other figures {computed:.6g}"


def figures_twice(said: Row, taken: Sequence[int]) -> Iterator[tuple[str, float | None, float | None]]:
    """Yield each figure of a run that others of its log give, with what they give; `taken` are microseconds."""
    if taken:
        yield "failed", said["failed"], taken.count(NEVER)
        ordered = stats.in_order(taken)
        for name, share in PERCENTILES.items():
            yield name, (said.get("latency_ms") or {}).get(name), stats.quantile(ordered, share) / 1e3
        yield "max_ms", said.get("max_ms"), max((one for one in taken if one < NEVER), default=0) / 1e3
    counted = {"requests": said["answered"], "texts": said["answered"] * said["inputs_per_request"],
               "tokens": said.get("tokens")}  # fmt: skip
    for name, count in counted.items():
        yield f"{name}_per_second", said.get(f"{name}_per_second"), quotient(count, said.get("seconds"))


def every(requests: Sequence[JsonLine]) -> list[int]:
    """Return the microseconds of every request of a run; of one that failed, more than any other's."""
    taken = [value for line in requests for value in line.data["latency_us"]]
    for line in requests:
        for place, _ in line.data.get("failed") or ():
            if place < len(taken):
                taken[place] = NEVER
    return taken


def same_load(row: Row) -> str:
    """Return a digest of what figures have in common that can be compared: texts, scenario and machine."""
    facts, said = row["environment"] or {}, row["load"]
    return digest_of_json([facts.get("texts"), *(said.get(key) for key in SETTING)])


def latency(row: Row) -> Finding | None:
    """Return the p99 of a run."""
    said = row["load"]
    value, (low, high) = (
        (said.get("latency_ms") or {}).get("p99"),
        (said.get("intervals") or {}).get("p99") or (None, None),
    )
    return None if value is None else Finding(value, low, high, of=how(said), same=same_load(row), doubt=row["doubt"])


def rate(row: Row) -> Finding | None:
    """Return texts answered a second, of runs that ask for as many as they get."""
    said = row["load"]
    if row["thp"] is None or said.get("rate") or said["scenario"] in ("trace", "slo"):
        return None
    return Finding(row["thp"], of=f"{said['inputs_per_request']} a request", way=how(said), same=same_load(row),
                   doubt=row["doubt"])  # fmt: skip


def status(said: Row, row: Row) -> str:
    """Return PARTIAL where the run was ended, ERR where nothing was answered, SIMULATED or OK."""
    return "PARTIAL" if said["ended"] == "interrupted" else str(row["status"]) if said["answered"] else "ERR"


def run_row(said: Row, answers: Row | None, row: Row) -> dict[str, Any]:
    """Return what the row of a run has besides what any row of its log has."""
    found = status(said, row)
    return {
        "timestamp": said.get("start"),
        "variant": how(said),
        "batch": said["inputs_per_request"],
        "itl": None if found == "ERR" else (said.get("latency_ms") or {}).get("p50"),
        "thp": None if found == "ERR" else said.get("texts_per_second"),
        "status": found,
        "error": {"type": "unanswered", "message": "no request was answered"} if found == "ERR" else None,
        "load": {
            **{key: said.get(key) for key in (*SETTING, *FIGURES)},
            "answers": answers and {key: answers.get(key) for key in ANSWERS},
            "limit": None,
        },
    }


def limit_row(said: Row) -> dict[str, Any]:
    """Return the same of a limit."""
    inputs, rate = said["inputs_per_request"], said.get("rate")
    section = {**dict.fromkeys((*SETTING, *FIGURES)), "scenario": "slo", "inputs_per_request": inputs, "answers": None}
    return {
        "variant": f"p99 within {said['slo_ms']:g} ms",
        "batch": inputs,
        "thp": None if rate is None else rate * inputs,
        "load": {**section, "limit": {key: said.get(key) for key in LIMITS}},
    }


class Load(Workload):
    """A service of embeddings under load."""

    name: ClassVar[str] = "load"
    engine: ClassVar[str] = "fmbench/load"
    panel: ClassVar[str | None] = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    kinds: ClassVar[Mapping[str, Schema]] = {"LOAD": LOAD, "REQ": REQUESTS, "SLO": LIMIT, "VEC": VECTORS}
    sections: ClassVar[Mapping[str, Schema]] = {"load": SECTION}
    gauges: ClassVar[Sequence[Gauge]] = GAUGES
    labels: ClassVar[Mapping[str, str]] = {
        "scenario": "load.scenario", "concurrency": "load.concurrency", "rate": "load.rate",
        "inputs": "load.inputs_per_request",
    }  # fmt: skip
    columns: ClassVar[Sequence[Column]] = (
        Column("load_p99_ms", "p99 ms", latency, less_is_better=True, apart=True),
        Column("load_texts_per_second", "served texts/s", rate),
    )

    def rows(self, run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
        """Yield a row a run, and one a limit."""
        lines = run.lines_of(self.name)
        answers = {line.data["run"]: line.data for line in lines if line.kind == "VEC"}
        late: dict[int, str] = {}  # by texts a request: what is wrong with a probe is wrong with the limit
        for line in lines:
            said = line.data
            row = self.row(run, metadata_id)
            row["model"] = (row["environment"] or {}).get("model") or row["model"]
            if line.kind == "LOAD":
                requests = [one for one in lines if one.kind == "REQ" and one.data["run"] == said["run"]]
                doubt = run.doubt or doubt_of(said, requests, answers.get(said["run"]))
                if doubt and doubt.startswith("late"):
                    late.setdefault(said["inputs_per_request"], doubt)
                yield Result(
                    {**row, **run_row(said, answers.get(said["run"]), row), "doubt": doubt},
                    source,
                    [1000 * value for value in every(requests) if value < NEVER],
                )
            elif line.kind == "SLO":
                own = "late: the client itself was late in every run at a rate" if said.get("ended") == "late" else None
                doubt = run.doubt or late.get(said["inputs_per_request"]) or own
                yield Result({**row, **limit_row(said), "doubt": doubt}, source)

    def label(self, row: Row) -> str:
        """Return the scenario."""
        return f"{how(row['load'])}, {row['load']['inputs_per_request']} a request"

    def tables(self, results: Sequence[Result]) -> Sequence[Table]:
        """Return one table: a line a run; below it, how requests failed."""
        return [Table(HEADER, [line_of(result.row) for result in results], RIGHT,
                      [result.source for result in results], notes=failures(results))]  # fmt: skip

    def news(self, kind: str, data: Row) -> str | None:
        """Return what a run was like."""
        if kind == "SLO":
            rate = f"{data.get('bound') or 'up to'} {data.get('rate') or 0:.4g} requests a second"
            return f"p99 within {data['slo_ms']:g} ms: {rate}"
        if kind == "VEC":
            return f"run {data['run']}: vectors {data['verdict']}"
        if kind != "LOAD":
            return None
        p99 = (data.get("latency_ms") or {}).get("p99")
        return f"{how(data)}: {data['answered']:,} answered, {data['failed']:,} failed" + (
            f", p99 {significant(p99)} ms" if p99 is not None else ""
        )


def line_of(row: Row) -> list[str]:
    """Return a result's cells."""
    said = row["load"]
    return [
        text(row["model"]),
        CONFIGURATION["platform"](row),
        how(said),
        text(said["inputs_per_request"]),
        *(percentile(said, name) for name in ("p50", "p95", "p99")),
        number(said["max_ms"]),
        rate_text(said),
        number(row["thp"]),
        number(said["tokens_per_second"]),
        text(said["failed"]),
        vectors(said),
        trust(row, f"{said['requests'] or 0:,} requests in {number(said['seconds']) or '0'} s"),
    ]  # fmt: skip


def rate_text(said: Row) -> str:
    """Return requests a second; of a limit with half its interval."""
    limit = said.get("limit")
    if limit is None:
        return "" if said["requests_per_second"] is None else significant(said["requests_per_second"])
    if limit["rate"] is None:
        return ""
    figure = plus_minus(limit["rate"], *limit["interval"]) if limit["interval"] else significant(limit["rate"])
    return f"{limit['bound']} {figure}" if limit["bound"] else figure


def vectors(said: Row) -> str:
    """Return whether the vectors were right."""
    found = said.get("answers") or {}
    return text(found.get("verdict"))


def faults_of(answers: Row) -> str:
    """Return what was wrong with vectors, and how often."""
    return ", ".join(f"{count:g} {name}" for name, count in answers["faults"].items())


def percentile(said: Row, name: str) -> str:
    """Return a percentile with half its interval; nothing where it falls among requests that failed."""
    value, pair = (said.get("latency_ms") or {}).get(name), (said.get("intervals") or {}).get(name)
    return "" if value is None else significant(value) if pair is None else plus_minus(value, *pair)


def failures(results: Sequence[Result]) -> list[str]:
    """Return how requests failed, a sentence a run and way."""
    return [
        f"{how(result.row['load'])}: {one['count']:,} of {result.row['load']['requests']:,} requests failed: "
        f"{one.get('status') or 'no answer'}, {one.get('said')}"
        for result in results
        for one in result.row["load"].get("errors") or ()
    ]  # fmt: skip
