"""Where each variant of a ladder stands against the reference: vectors, rankings, quality, speed; and the log."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from fmbench import __version__, lines, stats
from fmbench.backend import Backend
from fmbench.collection import Qrels
from fmbench.errors import FmbenchError, UsageError, first_line
from fmbench.figures import cosine_text, formatted, span
from fmbench.log import LogWriter
from fmbench.markdown import markdown, plain
from fmbench.opening import given, run_facts
from fmbench.pairs import Pair
from fmbench.ranking.evaluation import Evaluation
from fmbench.ranking.measures import evaluate
from fmbench.ranking.paired import compare
from fmbench.search import Block, TopK, choose_engine, search

from .arguments import Subject
from .records import finite
from .rungs import ROLES, Rung, part_of

if TYPE_CHECKING:
    import numpy as np

DEPTH = 10
HEADER = ("variant", "min cosine", "mean cosine", "top-10 overlap", "nDCG@10", "change", "95% interval", "p",
          "speed", "95% interval", "verdict")  # fmt: skip
NOTES = """\
Cosine: of each text's vector with its vector in the reference, passages and queries. Overlap: share of the reference's
ten documents that are still among the ten. Change: of nDCG@10, paired over queries; interval and p are of one
randomisation test, and p is below 0.05 exactly where the interval leaves 0 out. Speed: how many times as fast as the
reference, medians of turns on the same texts, which all variants take one after the other; what was compiled on the way
is in the first turns, which are left out. Faster and slower are said by a signed-rank test of the turns (p below 1%) of
more than 0.5%, and never against the interval.
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """One variant against the reference; figures are None where it could not run, or where there are no judgements.

    `passages` is how many of them the figures are of; before it is all, nothing is ranked. `speed` is how many times as
    fast, with its 95% interval; `ndcg_change` is in nDCG@10; `latency_ms` is that of `batch` passages, the median.
    """

    name: str
    verdict: str  # equal, different, or unsupported
    failure: str | None = None
    min_cosine: float | None = None
    mean_cosine: float | None = None
    overlap: float | None = None
    ndcg: float | None = None
    ndcg_change: float | None = None
    ndcg_interval: tuple[float, float] | None = None
    ndcg_p: float | None = None
    speed: float | None = None
    speed_interval: tuple[float, float] | None = None
    speed_verdict: str | None = None
    speed_reason: str | None = None  # why the verdict is not what the interval says
    passages: int = 0
    batch: int | None = None
    latency_ms: float | None = None
    texts_per_second: float | None = None


def standings(rungs: Sequence[Rung], subject: Subject) -> list[Standing]:
    """Hold every variant against the first one, on what is encoded so far; only failures before anything is."""
    reference = rungs[0]
    if reference.encoder is None:
        raise FmbenchError(f"the reference {reference.name} did not run")
    platform, similarity = reference.encoder.platform, reference.encoder.similarity or "cosine"
    working = [rung for rung in rungs if rung.works and rung.parts["query"]]
    whole = passages_of(reference) == len(subject.passages)
    runs = {id(rung): found(rung, subject, platform, similarity) for rung in working if whole}
    qualities = quality_of({key: run.run() for key, run in runs.items()}, subject)
    return [
        standing(reference, rung, runs, qualities, part_of(len(subject.passages)))
        if rung.works
        else Standing(rung.name, "unsupported", rung.failure)
        for rung in rungs
        if rung in working or not rung.works
    ]


def passages_of(rung: Rung) -> int:
    """Return how many passages a variant has encoded."""
    return sum(map(len, rung.parts["passage"]))


def found(rung: Rung, subject: Subject, platform: Backend, similarity: Any) -> TopK:
    """Return what a variant's vectors find, exactly."""
    vectors = rung.vectors("passage")
    engine = choose_engine(platform, vectors.shape[1])
    blocks = [Block(list(subject.ids), vectors)]
    return search(rung.vectors("query"), list(subject.query_ids), blocks, DEPTH, similarity, engine=engine,
                  ignore_identical_ids=True)  # fmt: skip


def quality_of(runs: Mapping[int, Any], subject: Subject) -> dict[int, Any]:
    """Judge every run; nothing without judgements."""
    if not subject.gains:
        return {}
    qrels = Qrels({query: dict(gains) for query, gains in subject.gains.items()})
    return {key: evaluate(run, qrels, [DEPTH]) for key, run in runs.items()}


def standing(
    reference: Rung, rung: Rung, runs: Mapping[int, TopK], qualities: Mapping[int, Any], batch: int
) -> Standing:
    """Hold one variant against the reference."""
    cosines = cosines_of(reference, rung)
    roles = [role for role in ROLES if reference.parts[role]]
    same = all((reference.vectors(role) == rung.vectors(role)).all() for role in roles)
    return Standing(
        name=rung.name,
        verdict="equal" if same else "different",
        min_cosine=float(cosines.min()),
        mean_cosine=float(cosines.mean()),
        overlap=overlap(runs[id(reference)], runs[id(rung)]) if runs else None,
        passages=passages_of(rung),
        **(quality(qualities[id(reference)], qualities[id(rung)]) if qualities else {}),
        **(speed(reference, rung, batch) if rung.durations else {}),
    )


def quality(reference: Evaluation, own: Evaluation) -> dict[str, Any]:
    """Return how well a variant ranks, beside the reference."""
    metric = f"ndcg_cut_{DEPTH}"
    paired = compare(reference, own)[metric]
    return {
        "ndcg": own.means()[metric],
        "ndcg_change": paired.mean,
        "ndcg_interval": paired.interval,
        "ndcg_p": paired.p,
    }


def speed(reference: Rung, rung: Rung, batch: int) -> dict[str, Any]:
    """Return how fast a variant is, beside the reference."""
    pair = Pair.of(reference.durations, rung.durations)
    latency = stats.median(stats.settled(rung.durations))
    return {
        "speed": 1 / pair.ratio,
        "speed_interval": (1 / pair.interval[1], 1 / pair.interval[0]) if pair.verdict else None,
        "speed_verdict": pair.verdict,
        "speed_reason": pair.reason,
        "batch": batch,
        "latency_ms": latency / 1e6,
        "texts_per_second": batch * 1e9 / latency,
    }


def cosines_of(one: Rung, other: Rung) -> "np.ndarray":
    """Return the cosine of each text's two vectors, queries first; two zero vectors have 1, one alone 0."""
    import numpy as np

    sides = [np.concatenate([*rung.parts["query"], *rung.parts["passage"]]).astype(np.float64) for rung in (one, other)]
    lengths = [np.linalg.norm(side, axis=1) for side in sides]
    size = lengths[0] * lengths[1]
    products = (sides[0] * sides[1]).sum(axis=1)
    same = (sides[0] == sides[1]).all(axis=1)  # two vectors of zeros too
    return np.where(same, 1.0, np.divide(products, size, out=np.zeros_like(size), where=size > 0)).clip(-1, 1)


def overlap(one: TopK, other: TopK) -> float:
    """Return the mean share of the first one's documents that the second one has too."""
    shares = [len(set(a) & set(b)) / max(1, len(a)) for a, b in zip(one.ids, other.ids, strict=True)]
    return sum(shares) / max(1, len(shares))


def as_markdown(rows: Sequence[Standing], subject: Subject, reference: str, model_name: str) -> str:
    """Return the table."""
    title = f"### Fidelity ladder against {reference}: {plain(subject.title(model_name))}\n"
    total = len(subject.passages)
    table = markdown(HEADER, [cells(row, total) for row in rows], tuple(range(1, 10)))
    failed = [f"- {plain(row.name)} cannot run here: {plain(row.failure or '')}" for row in rows if row.failure]
    return "\n".join([title, table, *([*failed, ""] if failed else []), NOTES])


def cells(row: Standing, total: int) -> list[str]:
    """Return a variant's cells."""
    if row.failure is not None:
        return [row.name, *[""] * 9, row.verdict]
    return [
        row.name, cosine_text(row.min_cosine), cosine_text(row.mean_cosine), formatted(row.overlap, ".2%"),
        formatted(row.ndcg, ".4f"), formatted(row.ndcg_change, "+.4f"), span(row.ndcg_interval, "+.4f"),
        formatted(row.ndcg_p, ".3f"), formatted(row.speed, ".2f"), span(row.speed_interval, ".2f"), verdict(row, total),
    ]  # fmt: skip


def verdict(row: Standing, total: int) -> str:
    """Return what to make of a variant."""
    speed = row.speed_verdict or "too few turns to tell the speed"
    parts = [row.verdict, f"{speed} ({row.speed_reason})" if row.speed_reason else speed]
    return "; ".join([*parts, *([f"{row.passages:,} of {total:,} passages"] if row.passages < total else [])])


LOG = "ladder.log"  # in --out
EARLIEST = 8  # turns, before a log says how variants stand


@contextlib.contextmanager
def log_file(options: Any) -> Iterator[TextIO]:
    """Yield where the log goes: --log, else into --out, else nowhere. Raises UsageError for what cannot be written."""
    path = options.log or (options.out / LOG if options.out else Path(os.devnull))
    try:
        stream = path.open("w", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--log {path}: cannot be written ({error.strerror or first_line(error)})") from None
    with stream:
        yield stream


def about(rungs: Sequence[Rung], subject: Subject) -> dict[str, dict[str, Any] | None]:
    """Return what decides the figures of each variant; None of one that cannot be set up."""
    shared = {**run_of(rungs[0]), **texts_of(subject)}
    return {rung.name: None if rung.facts is None else {**shared, **rung.facts} for rung in rungs}


def run_of(reference: Rung) -> dict[str, Any]:
    """Return what holds for all variants."""
    if reference.encoder is None:
        raise ValueError("the reference is not set up")
    arguments = reference.encoder.arguments
    return {**run_facts(arguments, reference.encoder.platform.distributions, "encode"), "seed": arguments.seed}


def texts_of(subject: Subject) -> dict[str, Any]:
    """Return which texts are encoded."""
    return {"passages": len(subject.passages), "queries": len(subject.queries), "texts": subject.digest}


class LadderLog:
    """Writes a ladder's log, line by line."""

    def __init__(self, stream: TextIO, rungs: Sequence[Rung], subject: Subject) -> None:
        """Open the log with arguments and facts, and say at once which variants cannot run."""
        self._log = LogWriter(stream)
        self._rungs, self._subject = rungs, subject
        self._facts: dict[str, Mapping[str, Any]] = {}  # what was last said of each variant's model
        self._failed: set[str] = set()  # of which all is said
        reference = rungs[0].encoder
        self._log.write(
            lines.Log({"format": lines.FORMAT_VERSION, "program": f"fmbench {__version__}", "driver": "fidelity"})
        )
        for name, value in given(reference.arguments) if reference else ():
            self._log.write(lines.Arg(name, value))
        self._log.write(lines.Env({"task": "ladder", **run_of(rungs[0]), **texts_of(subject)}))
        for rung in rungs:
            if rung.facts is not None:
                self._log.write(lines.Env({"variant": rung.name, **rung.facts}))
            else:
                self._say(Standing(rung.name, "unsupported", rung.failure), rung)

    def turn(self, done: int) -> None:
        """Say how every variant stands where the turns done have doubled."""
        if done >= EARLIEST and done & (done - 1) == 0:
            self.stand()

    def stand(self) -> list[Standing]:
        """Say how every variant stands, and return it."""
        found = {item.name: item for item in standings(self._rungs, self._subject)}
        for rung in self._rungs:
            if rung.name in found and rung.name not in self._failed:
                self._say(found[rung.name], rung)
        return list(found.values())

    def _say(self, standing: Standing, rung: Rung) -> None:
        """Write one variant's line, after what its platform has learnt of the model meanwhile."""
        if standing.failure is not None:
            self._failed.add(rung.name)
        facts = rung.encoder.platform.model_facts() if rung.encoder else {}
        if facts != self._facts.get(rung.name, {}):
            self._facts[rung.name] = facts
            self._log.write(lines.Env({"variant": rung.name, **facts}))
        self._log.write(
            lines.Fid(
                {"artifact": f"ladder/{rung.name}", "kind": "variant", "verdict": standing.verdict}
                | finite(asdict(standing))
                | {"of_passages": len(self._subject.passages), "start": rung.start, "nanoseconds": rung.durations}
            )
        )
