"""How good a candidate is beside the reference, on one data set: vectors, rankings, judgements, and what they show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from fmbench.collection import Qrels
from fmbench.distributed import Group
from fmbench.embeddings import Embeddings, open_or_encode
from fmbench.embeddings.compressed import CompressedSearch
from fmbench.embeddings.compressed import quality as kept_quality
from fmbench.embeddings.store import Progress, Texts
from fmbench.encoder import Encoder
from fmbench.kept import Kept, verdict
from fmbench.measure import Clock
from fmbench.ranking.evaluation import Evaluation
from fmbench.ranking.measures import evaluate
from fmbench.ranking.paired import compare
from fmbench.resampling import Interval
from fmbench.search import Block, Similarity, TopK, choose_engine, search
from fmbench.search.compression import Compression
from fmbench.search.engine import Engine
from fmbench.search.sparse import SparseSearcher
from fmbench.tasks import KeptTasks, TaskScore, compare_tasks

from .alone import Alone
from .arguments import DEPTH
from .sparse import SparseVectors

if TYPE_CHECKING:
    import numpy as np

METRIC = f"ndcg_cut_{DEPTH}"
LATENCY_QUERIES = 100  # that are timed one by one in an index of compressed vectors
NUMBERS = 25_000_000  # of passages that are held against each other, or searched, at once

Vectors = Embeddings | SparseVectors


class Collection(Protocol):
    """What is encoded, and which documents are relevant, where that is known: a `Dataset` is one."""

    @property
    def corpus(self) -> Texts:
        """The passages."""

    @property
    def queries(self) -> Texts:
        """The queries; where judgements are, those that they name."""

    @property
    def qrels(self) -> Qrels | None:
        """The judgements."""


@dataclass(frozen=True, slots=True)
class Keep:
    """What a candidate must keep: at least so much of one measure.

    `ndcg` is a share of the reference's nDCG@10, `tasks` of its scores on average, `overlap` of its top 10, `cosine`
    the least of any text.
    """

    measure: Literal["ndcg", "tasks", "overlap", "cosine"]
    least: float

    def as_json(self) -> dict[str, float]:
        """Return what a CHOICE line says."""
        return {self.measure: self.least}


@dataclass(frozen=True)
class Ranking:
    """What one encoder makes of a collection: its vectors, what they find, and how good that is.

    `evaluation` is None without judgements. `tasks` are how good other tasks' vectors are, where there are any.
    """

    queries: Vectors
    passages: Vectors
    similarity: Similarity
    top: TopK
    evaluation: Evaluation | None
    tasks: Sequence[TaskScore] = ()
    engine: Engine | None = None  # that searched; None for sparse vectors

    @classmethod
    def of(
        cls, encoder: Encoder, collection: Collection, cache: Path | None, progress: Progress | None = None
    ) -> "Ranking":
        """Encode all texts into the cache, or take them from there, and search exactly.

        No document is found by the query that has its id. Raises what the encoder raises, UsageError for a vector
        with NaN or infinity among it.
        """
        if encoder.sparse:
            return cls.of_sparse(encoder, collection, progress)
        queries = open_or_encode(cache, collection.queries, encoder, "query", say=nothing)
        passages = open_or_encode(cache, collection.corpus, encoder, "passage", progress=progress, say=nothing)
        similarity = cast("Similarity", encoder.similarity or "cosine")
        engine = choose_engine(encoder.platform, passages.dim)
        return cls.searched(queries, passages, similarity, engine, collection.qrels)

    def one_at_a_time(self, encoder: Encoder, collection: Collection, cache: Path | None) -> "Ranking":
        """Return what the same passages give queries that are encoded one at a time. Raises as `of` does."""
        single = cast("Encoder", Alone(encoder))
        if self.engine is None:
            queries = SparseVectors.encode(collection.queries, single, "query")
            assert isinstance(self.passages, SparseVectors)  # noqa: S101 (no engine)
            return self.searched_sparse(queries, self.passages, collection.qrels)
        assert isinstance(self.passages, Embeddings)  # noqa: S101 (an engine)
        own = open_or_encode(cache, collection.queries, single, "query", say=nothing)
        return self.searched(own, self.passages, self.similarity, self.engine, collection.qrels)

    @classmethod
    def searched(
        cls, queries: Embeddings, passages: Embeddings, similarity: Similarity, engine: Engine, qrels: Qrels | None
    ) -> "Ranking":
        """Return what queries find among passages, exactly."""
        blocks = (Block(block.ids, block.vectors) for block in passages.blocks(rows_of(passages)))
        top = search(
            queries.as_array(), queries.ids, blocks, DEPTH, similarity, engine=engine, ignore_identical_ids=True
        )
        judged = evaluate(top.run(), qrels, [DEPTH]) if qrels else None
        return cls(queries, passages, similarity, top, judged, engine=engine)

    def among(self, other: "Ranking", qrels: Qrels | None) -> "Ranking | None":
        """Return what these queries find among another encoder's passages; None for sparse vectors."""
        if self.engine is None or other.engine is None:
            return None
        assert isinstance(self.queries, Embeddings) and isinstance(other.passages, Embeddings)  # noqa: S101 (an engine)
        return self.searched(self.queries, other.passages, self.similarity, self.engine, qrels)

    @classmethod
    def of_sparse(cls, encoder: Encoder, collection: Collection, progress: Progress | None) -> "Ranking":
        """Encode all texts into memory, zeros left out, and search exactly. Raises as `of` does."""
        queries = SparseVectors.encode(collection.queries, encoder, "query")
        passages = SparseVectors.encode(collection.corpus, encoder, "passage", progress)
        return cls.searched_sparse(queries, passages, collection.qrels)

    @classmethod
    def searched_sparse(cls, queries: SparseVectors, passages: SparseVectors, qrels: Qrels | None) -> "Ranking":
        """Return what sparse queries find among sparse passages, exactly."""
        searcher = SparseSearcher(queries.matrix, queries.ids, DEPTH, ignore_identical_ids=True)
        for block in passages.blocks(rows_of(passages)):
            searcher.add(block.ids, block.vectors)
        top = searcher.finish()
        judged = evaluate(top.run(), qrels, [DEPTH]) if qrels else None
        return cls(queries, passages, "dot", top, judged)

    def compressed(
        self, compress: Sequence[Compression], rescore: int | None, qrels: Qrels | None
    ) -> list[dict[str, Any]]:
        """Return what these vectors keep in other types, the whole ones first, as CODE lines say it."""
        assert isinstance(self.queries, Embeddings) and isinstance(self.passages, Embeddings)  # noqa: S101 (`choose`)
        search = CompressedSearch(
            queries=self.queries, documents=self.passages, reference=self.top, similarity=self.similarity, depth=DEPTH,
            ignore_identical_ids=True, latency_queries=LATENCY_QUERIES, group=Group(), clock=Clock(),
        )  # fmt: skip
        return [
            {**said, **(kept_quality(self.evaluation, evaluate(top.run(), qrels, [DEPTH]))
                        if self.evaluation is not None and qrels else {})}
            for said, top in search.results(compress, rescore)
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quality:
    """One candidate beside the reference, as a CHOICE line says it; what needs judgements, or tasks, is None without.

    `ndcg_change` is mean(candidate - reference) of nDCG@10 with its 95% interval and p, `ndcg_share` how much of the
    reference's is kept with its 95% interval: all of one randomisation test over queries, so that p is below 5% exactly
    where the one interval leaves out 0 and the other 1.
    """

    least_cosine: float
    mean_cosine: float
    overlap: float
    kept: Kept
    ndcg: float | None = None
    ndcg_change: float | None = None
    ndcg_interval: Interval | None = None
    ndcg_p: float | None = None
    ndcg_share: float | None = None
    ndcg_share_interval: Interval | None = None
    tasks_share: float | None = None
    tasks_interval: Interval | None = None
    worst_task: str | None = None
    worst_task_share: float | None = None


def rows_of(vectors: Vectors) -> int:
    """Return how many passages are looked at together."""
    return max(1, NUMBERS // vectors.dim)


def nothing(_: str) -> None:
    """Say nothing: what the cache has of one candidate or another tells a user nothing."""


def quality(reference: Ranking, candidate: Ranking, keep: Keep) -> Quality:
    """Hold a candidate's ranking against the reference's, of the same collection.

    Raises ValueError where what must be kept is nDCG, and there are no judgements.
    """
    cosines = all_cosines(reference, candidate)
    least, shared = float(cosines.min()), overlap(reference.top, candidate.top)
    tasks = compare_tasks(reference.tasks, candidate.tasks) if reference.tasks else KeptTasks()
    measures = {"cosine": least, "overlap": shared, "tasks": tasks.evidence}
    found = Quality(
        least, float(cosines.mean()), shared, "not shown", tasks_share=tasks.share, tasks_interval=tasks.interval,
        worst_task=tasks.worst, worst_task_share=tasks.worst_share,
    )  # fmt: skip
    if reference.evaluation is not None and candidate.evaluation is not None:
        ndcg = compare(reference.evaluation, candidate.evaluation)[METRIC]
        measures["ndcg"] = ndcg.share_interval
        found = replace(
            found, ndcg=candidate.evaluation.means()[METRIC], ndcg_change=ndcg.mean, ndcg_interval=ndcg.interval,
            ndcg_p=ndcg.p, ndcg_share=ndcg.share, ndcg_share_interval=ndcg.share_interval,
        )  # fmt: skip
    return replace(found, kept=kept_of(keep, measures))


def kept_of(keep: Keep, measures: Mapping[str, float | Interval | None]) -> Kept:
    """Return the verdict on what was kept, given each measure. Raises ValueError where the one to keep is not there."""
    if keep.measure not in measures:
        raise ValueError(f"nothing says how much {keep.measure} is kept")
    return verdict(measures[keep.measure], keep.least)


def all_cosines(one: Ranking, other: Ranking) -> "np.ndarray":
    """Return the cosine of each text's two vectors, the queries' first."""
    import numpy as np

    rows = rows_of(one.passages)
    found = [
        cosines(a.vectors, b.vectors)
        for mine, theirs in ((one.queries, other.queries), (one.passages, other.passages))
        for a, b in zip(mine.blocks(rows), theirs.blocks(rows), strict=True)
    ]
    return np.concatenate(found)


def cosines(one: "np.ndarray", other: "np.ndarray") -> "np.ndarray":
    """Return the cosines (n,) of the rows of two arrays (n, d); two equal rows have 1, zeros too; one of zeros 0."""
    import numpy as np

    sides = [side.astype(np.float64) for side in (one, other)]
    lengths = [np.linalg.norm(side, axis=1) for side in sides]
    size = lengths[0] * lengths[1]
    products = (sides[0] * sides[1]).sum(axis=1)
    same = (sides[0] == sides[1]).all(axis=1)
    return np.where(same, 1.0, np.divide(products, size, out=np.zeros_like(size), where=size > 0)).clip(-1, 1)


def overlap(one: TopK, other: TopK) -> float:
    """Return the mean share of the first one's documents that the second one has too."""
    shares = [len(set(a) & set(b)) / max(1, len(a)) for a, b in zip(one.ids, other.ids, strict=True)]
    return sum(shares) / max(1, len(shares))
