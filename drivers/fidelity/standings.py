"""Where each variant of a ladder stands against the reference: vectors, rankings, quality, speed; and the log."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fmbench import lines, stats
from fmbench.backend import Backend
from fmbench.collection import Qrels
from fmbench.errors import FmbenchError
from fmbench.pairs import Pair
from fmbench.ranking.evaluation import Evaluation
from fmbench.ranking.measures import evaluate
from fmbench.ranking.paired import compare
from fmbench.search import Block, TopK, choose_engine, search
from fmbench.session import Session, run_facts

from .arguments import Subject
from .records import fid
from .rungs import ROLES, Rung, part_of

if TYPE_CHECKING:
    import numpy as np

DEPTH = 10
EARLIEST = 8  # turns, before a log says how variants stand


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


def about(rungs: Sequence[Rung], subject: Subject) -> dict[str, dict[str, Any] | None]:
    """Return what decides the figures of each variant; None of one that cannot be set up."""
    shared = {**run_of(rungs[0]), **texts_of(subject)}
    return {rung.name: None if rung.facts is None else {**shared, **rung.facts} for rung in rungs}


def run_of(reference: Rung) -> dict[str, Any]:
    """Return what holds for all variants."""
    if reference.encoder is None:
        raise ValueError("the reference is not set up")
    arguments = reference.encoder.arguments
    return run_facts(arguments, reference.encoder.platform.distributions, "encode")


def texts_of(subject: Subject) -> dict[str, Any]:
    """Return which texts are encoded."""
    return {"passages": len(subject.passages), "queries": len(subject.queries), "texts": subject.digest}


class LadderLog:
    """Writes a ladder's log, line by line."""

    def __init__(self, run: Session, rungs: Sequence[Rung], subject: Subject) -> None:
        """Open the log with arguments and facts, and say at once which variants cannot run."""
        self._log = run.log
        self._rungs, self._subject = rungs, subject
        self._facts: dict[str, Mapping[str, Any]] = {}  # what was last said of each variant's model
        self._failed: set[str] = set()  # of which all is said
        run.begin()
        self._log.write(lines.JsonLine("ENV", {"task": "ladder", **run_of(rungs[0]), **texts_of(subject)}))
        for rung in rungs:
            if rung.facts is not None:
                self._log.write(lines.JsonLine("ENV", {"variant": rung.name, **rung.facts}))
            else:
                self._say(Standing(rung.name, "unsupported", rung.failure), rung)

    def turn(self, done: int) -> None:
        """Say how every variant stands where the turns done have doubled."""
        if done >= EARLIEST and done & (done - 1) == 0:
            self.stand()

    def stand(self) -> None:
        """Say how every variant stands."""
        found = {item.name: item for item in standings(self._rungs, self._subject)}
        for rung in self._rungs:
            if rung.name in found and rung.name not in self._failed:
                self._say(found[rung.name], rung)

    def _say(self, standing: Standing, rung: Rung) -> None:
        """Write one variant's line, after what its platform has learnt of the model meanwhile."""
        if standing.failure is not None:
            self._failed.add(rung.name)
        facts = rung.encoder.platform.model_facts() if rung.encoder else {}
        if facts != self._facts.get(rung.name, {}):
            self._facts[rung.name] = facts
            self._log.write(lines.JsonLine("ENV", {"variant": rung.name, **facts}))
        figures = asdict(standing)
        name, verdict = figures.pop("name"), figures.pop("verdict")
        figures |= {"of_passages": len(self._subject.passages), "start": rung.start, "nanoseconds": rung.durations}
        self._log.write(fid("variant", f"ladder/{name}", verdict, (self._rungs[0].name, name), figures))
