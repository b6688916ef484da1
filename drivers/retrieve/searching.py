"""The search of one data set: vectors in, top k and a SEARCH line out."""

from collections.abc import Iterable, Iterator, Sequence

from fmbench import lines
from fmbench.collection import Dataset
from fmbench.distributed import merge_topk, shares
from fmbench.encoder import CHUNK, Timings
from fmbench.search import Block, Index, TopK, choose_engine, measure_latency, search

from .retrieval import Retrieval
from .streaming import Stopwatch, encoded_blocks
from .work import Work

BLOCK = 65_536  # documents that are searched at once, where the command line does not say
INDEX_BYTES = 8_000_000_000  # beyond, single queries are not timed: all vectors would have to be in memory


class Searched:
    """A data set whose queries are encoded, and whose corpus is encoded before the search or while it goes on."""

    nonzeros: float | None = None  # of a sparse vector

    def __init__(self, retrieval: Retrieval, dataset: Dataset, precompute: bool) -> None:
        """Encode the queries, and the corpus where its vectors are to be there before the search."""
        self._retrieval, self._dataset = retrieval, dataset
        self._rows = retrieval.arguments.per_device_matmul_batch_size
        self._engine = choose_engine(retrieval.encoder.platform, retrieval.encoder.dimension, rows=self._rows)
        self.engine, self.similarity = self._engine.name, retrieval.similarity
        self.queries = retrieval.embed(dataset.queries, "query", dataset.name)
        self.documents = retrieval.embed(dataset.corpus, "passage", dataset.name) if precompute else None

    def blocks(self) -> Iterator[Block]:
        """Yield the documents with their vectors."""
        if self.documents is None:
            timings = self._retrieval.encoder.timings = Timings()
            with timings.phase("open"):
                mine = self._share()
            yield from encoded_blocks(self._dataset.corpus, self._retrieval.encoder, mine)
        else:
            for block in self.documents.blocks(self._rows or BLOCK):
                yield Block(block.ids, block.vectors)

    def _share(self) -> range:
        """Return which chunks of the corpus this rank encodes."""
        group = self._retrieval.group
        weights = self._retrieval.weights(self._dataset.corpus) or [1.0] * group.world_size
        return shares(-(-self._dataset.corpus.count() // CHUNK), weights)[group.rank]

    def top(self, k: int, query_ids: Sequence[str] | None = None) -> TopK:
        """Return the k best documents of every query, or of some, on every rank, and print what that took."""
        clock = self._retrieval.clock
        blocks = Stopwatch(self.blocks(), clock)
        start = clock.now()
        found = self._find(blocks, k, query_ids)
        merged = merge_topk(self._retrieval.group, found, k, broadcast=True)
        seconds = (clock.now() - start - blocks.nanoseconds) / 1e9
        if self.documents is None:
            work = Work.of(self._retrieval.encoder.timings, blocks.documents, blocks.nanoseconds / 1e9)
            budget = self._retrieval.encoder.budget("passage")
            self._retrieval.write_encoding(
                self._dataset.name, "passage", start, work, budget.tokens if budget else None, {"latency_ms": None}
            )
        self._write(len(found.query_ids), k, seconds)
        return found if merged is None else merged

    def _find(self, blocks: Iterable[Block], k: int, query_ids: Sequence[str] | None) -> TopK:
        """Return the k best documents of some blocks, of every query or of some."""
        ids, vectors = self.queries.ids, self.queries.as_array()
        if query_ids is not None:
            places = {name: place for place, name in enumerate(ids)}
            ids, vectors = list(query_ids), vectors[[places[name] for name in query_ids]]
        return search(
            vectors, ids, blocks, k, self.similarity, engine=self._engine,
            ignore_identical_ids=self._retrieval.arguments.ignore_identical_ids,
        )  # fmt: skip

    def _write(self, queries: int, k: int, seconds: float) -> None:
        self._retrieval.log.write(lines.JsonLine("SEARCH", {
            "dataset": self._dataset.name,
            "queries": queries,
            "documents": self._dataset.corpus.count(),
            "k": k,
            "similarity": self.similarity,
            "ignore_identical_ids": self._retrieval.arguments.ignore_identical_ids,
            "engine": self.engine,
            "seconds": round(seconds, 6),
            "queries_per_second": round(queries / seconds, 3) if seconds else None,
            "latency_ms": self._latency(k),
            **({} if self.nonzeros is None else {"nonzeros_per_document": round(self.nonzeros, 3)}),
        }))  # fmt: skip

    def _latency(self, k: int) -> dict[str, float] | None:
        """Return milliseconds to search one query, in an index whose vectors are where the engine wants them.

        Of several ranks none has the whole index, so there it is None.
        """
        count = 0 if self._retrieval.group.world_size > 1 else self._retrieval.arguments.latency_queries
        if self.documents is None or not count or len(self.documents) * self.documents.dim * 4 > INDEX_BYTES:
            return None
        index = Index(self.blocks(), self.similarity, self._engine)
        vectors = list(self.queries.as_array()[:count, None])
        latency = measure_latency(lambda query: index.search(query, [""], k), vectors, self._retrieval.clock)
        return latency.percentiles()
