"""What a run of `fmbench choose` says: a row a candidate of each profile, and which of them to run."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from fmbench.console import note
from fmbench.digest import digest_of_json
from fmbench.lines import JsonLine

from ..reading.row import Result
from ..reading.run import Run
from ..reading.schema import Schema
from ..workload import Column, Finding, Gauge, Plot, Row, Table, Workload, times_text
from . import choice_answer
from .choice_doubts import choice_doubt, turns_of
from .choice_fields import CHOICE, FIGURES, OF_ALL, PROFILES, SECTION, TURN
from .compressed import compressed_table

GAUGES = (
    Gauge("speedup", "ratio", "How many times as fast as the reference.", "choice.speed", chart="speedup"),
    Gauge("ndcg_at_10_change", "", "Change of nDCG@10 against the reference.", "choice.ndcg_change",
          chart="ndcg_at_10_change"),
    Gauge("cosine_least", "", "Least cosine of a text's vector with its vector in the reference.",
          "choice.least_cosine", chart="cosine_least"),
    Gauge("top_10_overlap", "ratio", "Share of the reference's ten documents that are still found.", "choice.overlap",
          chart="top_10_overlap"),
)  # fmt: skip


def place_of(said: Mapping[str, Any], name: str) -> str | None:
    """Return whether a candidate is what a CHOICE line says to run, or cannot be told from it."""
    return "winner" if name == said.get("winner") else "tie" if name in (said.get("ties") or ()) else None


def status(said: Mapping[str, Any], candidate: Mapping[str, Any], environment: Mapping[str, Any]) -> str:
    """Return ERR for what cannot run here, PARTIAL before the race has ended, SIMULATED or OK."""
    if candidate.get("why_not"):
        return "ERR"
    return "PARTIAL" if said["status"] == "standing" else "SIMULATED" if environment.get("simulated") else "OK"


def error_of(candidate: Mapping[str, Any]) -> dict[str, str] | None:
    """Return why a candidate has no figures, if it has none."""
    kind = "budget" if candidate.get("untried") else "unsupported"
    return {"type": kind, "message": candidate["why_not"]} if candidate.get("why_not") else None


def which(row: Row) -> str:
    """Return what the rows of one choice and profile have in common."""
    return digest_of_json([row["timestamp"], row["opts"], row["choice"]["profile"]])


def said_by(rows: Sequence[Row]) -> dict[str, Any]:
    """Return what a CHOICE line said of which these are the rows."""
    candidates = [
        {
            **row["choice"], "name": row["variant"], "why_not": (row["error"] or {}).get("message"),
            "latency_ms": row["itl"], "texts_per_second": row["thp"],
        }
        for row in rows
    ]  # fmt: skip
    placed = {place: [row["variant"] for row in rows if row["choice"]["place"] == place] for place in ("winner", "tie")}
    winner = next(iter(placed["winner"]), None)
    compressed = next((row["choice"]["compressed"] for row in rows if row["variant"] == winner), None)
    first = rows[0]["choice"]
    return {
        **{key: first[key] for key in OF_ALL}, "candidates": candidates, "winner": winner, "ties": placed["tie"],
        "compressed": compressed,
    }  # fmt: skip


def same_race(row: Row) -> str:
    """Return a digest of what the figures of a race must have in common: the texts, and the reference."""
    facts = row["environment"] or {}
    return digest_of_json([facts.get("texts"), facts.get("data"), facts.get("recipe"), row["choice"]["reference"]])


def speedup(row: Row) -> Finding | None:
    """Return how many times as fast as the reference a candidate is."""
    found = row["choice"]
    value, (low, high) = found.get("speed"), found.get("interval") or (None, None)
    return None if value is None else Finding(value, low, high, of=found["profile"], same=same_race(row))


def query_latency(row: Row) -> Finding | None:
    """Return the median milliseconds from one text to its vector."""
    return None if row["itl"] is None else Finding(row["itl"], of="choice", same=same_race(row))


def bulk_rate(row: Row) -> Finding | None:
    """Return passages encoded a second."""
    return None if row["thp"] is None else Finding(row["thp"], of="choice", same=same_race(row))


class Choice(Workload):
    """Which of a model's set-ups to run on a machine."""

    name: ClassVar[str] = "choice"
    engine: ClassVar[str] = "fmbench/choose"
    answers: ClassVar[bool] = True
    kinds: ClassVar[Mapping[str, Schema]] = {"TURN": TURN, "CHOICE": CHOICE}
    sections: ClassVar[Mapping[str, Schema]] = {"choice": SECTION}
    gauges: ClassVar[Sequence[Gauge]] = GAUGES
    labels: ClassVar[Mapping[str, str]] = {"profile": "choice.profile", "candidate": "variant"}
    columns: ClassVar[Sequence[Column]] = (
        Column("speedup", "times the reference", speedup, apart=True, text=times_text),
        Column("query_ms", "query ms", query_latency, less_is_better=True),
        Column("texts_per_second", "texts/s", bulk_rate),
    )

    def blame(self, run: Run, line: JsonLine, reason: str) -> None:
        """Say it in the rows of the profile."""
        run.blame(line.data.get("profile"), reason)

    def rows(self, run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
        """Yield a row a profile and candidate, of the last CHOICE line of each profile."""
        lines = run.lines_of(self.name)
        choices = {line.data["profile"]: line.data for line in lines if line.kind == "CHOICE"}
        if lines and not choices:
            note(f"{source}: {len(lines)} turns and no answer yet; the same `fmbench choose` goes on with them")
        for profile, said in choices.items():
            turns = turns_of(line.data for line in lines if line.kind == "TURN" and line.data["profile"] == profile)
            doubt = run.doubt or run.doubts.get(profile) or choice_doubt(said, turns)
            untried = sum(bool(one.get("untried")) for one in said["candidates"])
            raced = sum(bool(one.get("rounds")) for one in said["candidates"])
            for candidate in said["candidates"]:
                name = candidate["name"]
                row, failure = self.row(run, metadata_id, name), candidate.get("why_not")
                yield Result({
                    **row,
                    "timestamp": said.get("start"),
                    "overrides": candidate.get("overrides"),
                    "itl": None if failure else candidate.get("latency_ms"),
                    "thp": None if failure else candidate.get("texts_per_second"),
                    "status": status(said, candidate, row["environment"] or {}),
                    "error": error_of(candidate),
                    "choice": {
                        **{key: said.get(key) for key in OF_ALL},
                        "place": place_of(said, name),
                        "raced": raced,
                        "untried": untried,
                        **{key: said.get(key) if name == said.get("winner") else None
                           for key in ("compressed", "together")},
                        **{key: candidate.get(key) for key in FIGURES},
                    },
                    "doubt": doubt,
                }, source, [took for took, _ in turns.get(name, {}).values()])  # fmt: skip

    def doubts(self, rows: Sequence[Row]) -> Sequence[str | None]:
        """Return what the candidates of a choice and profile say against each other, of each of them."""
        groups: dict[str, list[Row]] = {}
        for row in rows:
            groups.setdefault(which(row), []).append(row)
        found = {key: choice_doubt(said_by(members), None) for key, members in groups.items()}
        return [found[which(row)] for row in rows]

    def label(self, row: Row) -> str:
        """Return the profile and the candidate."""
        return f"{row['choice']['profile']}, {row['variant']}"

    def answer(self, results: Sequence[Result]) -> Sequence[str]:
        """Return what a choice and profile opens with, each once."""
        return list(dict.fromkeys(" ".join((one.title, *one.lead)) for one in choice_answer.tables(results)))

    def tables(self, results: Sequence[Result]) -> Sequence[Table]:
        """Return a table a choice and profile, which opens with the sentence that says what to run.

        Where that is asked for, a further one has what the winners' vectors keep in other types.
        """
        told = [(result, result.row["choice"]["profile"], said) for result in results
                for said in result.row["choice"].get("compressed") or ()]  # fmt: skip
        compressed = compressed_table("profile", told)
        return [*choice_answer.tables(results), *([] if compressed is None else [compressed])]

    def plots(self) -> Mapping[str, Plot]:
        """Return quality against speed, a point a candidate, with the front: a picture a profile."""
        from ..plots.tradeoff import choice_speed

        return {f"choice_{profile}": partial(choice_speed, profile=profile) for profile in PROFILES}

    def news(self, kind: str, data: Row) -> str | None:
        """Return what a CHOICE line says to run."""
        if kind != "CHOICE":
            return None
        return f"{data['profile']}, {data['status']}: {data.get('winner') or 'no winner'}"
