"""What compressed vectors keep of a search: the exact ranking by what they stand for, and how fast their index is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from fmbench.distributed import Group, merge_topk
from fmbench.errors import FmbenchError
from fmbench.measure import Clock
from fmbench.ranking.evaluation import COMPARED, Evaluation
from fmbench.ranking.paired import compare
from fmbench.search import Block, Similarity, TopK, default_engine, measure_latency, search
from fmbench.search.compression import Codec, Compression, FlatIndex, limits_of
from fmbench.search.exact import ExactScores

from .embeddings import Embeddings

ROWS = 65_536  # documents that are compressed at once
INDEX_BYTES = 8_000_000_000  # beyond, no index is built, and so none is timed: it would have to be in memory
PASSES = 3  # over all queries, of which the median counts
NEAR = 1e-3  # how far the index's scores may be from the exact ones
FIRST = 10  # documents whose recall is told
NDCG = "ndcg_cut_10"


@dataclass(frozen=True, kw_only=True)
class CompressedSearch:
    """The vectors of one data set, searched in other types. Every rank has its own part of the documents.

    `reference` is what the exact search found, `depth` how many documents each query has in it.
    """

    queries: Embeddings
    documents: Embeddings
    reference: TopK
    similarity: Similarity
    depth: int
    ignore_identical_ids: bool
    latency_queries: int
    group: Group
    clock: Clock

    @property
    def _unit(self) -> bool:
        return self.similarity == "cosine"

    def results(self, compress: Sequence[Compression], rescore: int | None) -> Iterator[tuple[dict[str, Any], TopK]]:
        """Yield, for each compression, what a CODE line says but for quality, and the ranking on every rank.

        The whole float32 vectors come first: what the others are held against. Binary ones are ordered once more too,
        as many of the best as `rescore` says.
        """
        for compression in dict.fromkeys((Compression("float32"), *compress)):
            codec = self._codec(compression)
            index = self._index(codec)
            for count in (None, rescore) if compression.kind == "binary" and rescore else (None,):
                found = self._search(codec, count)
                yield {**self._facts(codec, count, found), **self._speed(index, count, found)}, found

    def _codec(self, compression: Compression) -> Codec:
        """Return a codec; the ranges of int8 are those of the whole corpus."""
        codec = Codec(compression, self.documents.dim, self._unit)
        if compression.kind != "int8":
            return codec
        import torch

        ends: np.ndarray | None = None
        for block in self.documents.blocks(ROWS):
            ends = limits_of(ends, codec.cut(block.vectors))
        mine = np.empty((0, codec.dimensions), np.float32) if ends is None else ends
        both = torch.cat(self.group.gather_all(torch.from_numpy(mine))).numpy()
        return Codec(compression, self.documents.dim, self._unit, limits_of(None, both))

    def _search(self, codec: Codec, rescore: int | None) -> TopK:
        """Return the ranking by what the codes stand for, on every rank."""
        blocks = (
            Block(block.ids, codec.decode(codec.encode(codec.cut(block.vectors))))
            for block in self.documents.blocks(ROWS)
        )
        first = max(self.depth, rescore or 0)
        found = self._merged(search(
            codec.question(self.queries.as_array()), self.queries.ids, blocks, first, "dot",
            engine=default_engine(codec.dimensions),
            ignore_identical_ids=self.ignore_identical_ids,
        ), first)  # fmt: skip
        return self._merged(self._rescored(codec, found), self.depth) if rescore else found

    def _merged(self, found: TopK, k: int) -> TopK:
        whole = merge_topk(self.group, found, k, broadcast=True)
        return found if whole is None else whole

    def _rescored(self, codec: Codec, found: TopK) -> TopK:
        """Return this rank's documents among those found, by their products with the whole queries."""
        wanted = {name for ids in found.ids for name in ids}
        rows = {name: row for row, name in enumerate(self.documents.ids) if name in wanted}
        exact = ExactScores(codec.cut(self.queries.as_array()), "dot")
        hits = []
        for number, ids in enumerate(found.ids):
            own = [name for name in ids if name in rows]
            places = [rows[name] for name in own]
            codes = codec.encode(codec.cut(self.documents.rows(places)))
            scores = exact.of(np.full(len(own), number), codec.decode(codes), np.arange(len(own)), 1)
            hits.append(sorted(zip(scores.tolist(), own, places, strict=True), reverse=True))
        return TopK.of(found.query_ids, hits)

    def _index(self, codec: Codec) -> FlatIndex | None:
        """Return an index of all documents, where this rank has them and memory does."""
        if self.group.world_size > 1 or codec.bytes * len(self.documents) > INDEX_BYTES:
            return None
        return codec.index(codec.encode(codec.cut(block.vectors)) for block in self.documents.blocks(ROWS))

    def _facts(self, codec: Codec, rescore: int | None, found: TopK) -> dict[str, Any]:
        return {
            "vectors": codec.compression.name,
            "dimensions": codec.dimensions,
            "bytes_per_document": codec.bytes,
            "rescore": rescore,
            "k": self.depth,
            "similarity": self.similarity,
            "recall_at_10": recall(self.reference, found),
        }

    def _speed(self, index: FlatIndex | None, rescore: int | None, found: TopK) -> dict[str, Any]:
        """Return how fast the index answers all queries at once, and one alone; checked against the ranking."""
        queries = np.ascontiguousarray(self.queries.as_array(), dtype=np.float32)
        if index is None or not len(queries):
            return {"engine": None, "queries_per_second": None, "latency_ms": None}
        seconds = []
        for _ in range(PASSES):
            start = self.clock.now()
            scores, _ = index.search(queries, self.depth, rescore)
            seconds.append((self.clock.now() - start) / 1e9)
        if not self.ignore_identical_ids:
            check_agreement(index, scores, found)
        chosen = list(queries[: self.latency_queries, None])
        latency = measure_latency(lambda query: index.search(query, self.depth, rescore), chosen, self.clock)
        rate = round(len(queries) / median(seconds), 3)
        return {"engine": index.name, "queries_per_second": rate,
                "latency_ms": latency.percentiles() if chosen else None}  # fmt: skip


def check_agreement(index: FlatIndex, scores: np.ndarray, found: TopK) -> None:
    """Raise FmbenchError where the index that is timed does not find what the ranking has."""
    for ours, theirs in zip(found.scores, scores, strict=True):
        if len(ours) and not np.allclose(ours[:1], theirs[:1], atol=NEAR, rtol=NEAR):
            raise FmbenchError(f"{index.name} finds another best document ({theirs[0]:g}, not {ours[0]:g}) than the "
                               "exact search of the same vectors; its speed would be no answer")  # fmt: skip


def recall(reference: TopK, found: TopK) -> float | None:
    """Return the mean share of the reference's first ten that are among the ten found; None where none has any."""
    shares = [
        len(set(one[:FIRST]) & set(other[:FIRST])) / len(one[:FIRST])
        for one, other in zip(reference.ids, found.ids, strict=True)
        if one
    ]
    return sum(shares) / len(shares) if shares else None


def quality(exact: Evaluation, found: Evaluation) -> dict[str, Any]:
    """Return what a CODE line says of quality: means, and nDCG@10 beside the exact search's, paired over queries."""
    names = [name for name in found.names if name in COMPARED] or list(found.names[:1])
    means, intervals = found.means(), found.intervals
    said: dict[str, Any] = {
        "queries": len(found.queries),
        "metrics": {name: means[name] for name in names},
        "intervals": intervals and {name: intervals[name] for name in names},
    }
    if NDCG not in names:
        return said
    change = compare(exact, found, found.seed)[NDCG]
    return said | {"ndcg_change": change.mean, "ndcg_interval": change.interval, "ndcg_p": change.p,
                   "kept": change.share, "kept_interval": change.share_interval}  # fmt: skip


def check_compression(compress: Sequence[Compression], dimensions: int) -> None:
    """Raise UsageError, before anything slow, for what cannot be compressed so; the codecs need faiss."""
    for one in compress:
        Codec(one, dimensions, unit=False)
