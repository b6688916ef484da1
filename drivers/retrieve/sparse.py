"""The search of one data set by sparse vectors: the corpus is encoded and searched a chunk at a time."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from fmbench.collection import Dataset
from fmbench.encoder import Timings
from fmbench.errors import UsageError
from fmbench.search import Block, TopK
from fmbench.search.sparse import SparseSearcher

from .arguments import RetrieveArguments
from .retrieval import Retrieval
from .searching import Searched
from .work import Work

KEPT = {
    "encoding_cache_dir": "no cache keeps them", "precompute_corpus_embs": "they are never all in memory",
    "compress": "they are compressed already", "special_docids": "they are read once",
}  # fmt: skip


def check_sparse(arguments: RetrieveArguments, path: Path) -> None:
    """Raise UsageError for what needs dense vectors. `path` is the model's folder."""
    model = f"{path} is a sparse model, whose vectors have a number a word"
    if arguments.task not in ("evaluate", "search"):
        raise UsageError(f"{model}: `retrieve evaluate` and `retrieve search` take it, `retrieve {arguments.task}` "
                         "does not")  # fmt: skip
    for name, why in KEPT.items():
        if getattr(arguments, name):
            raise UsageError(f"--{name}: {model}, and {why}; leave it out")
    if arguments.similarity not in (None, "dot"):
        raise UsageError(f"--similarity {arguments.similarity}: {model}; they are compared by inner products alone")


class SparseSearched(Searched):
    """A data set whose queries have their vectors, and whose corpus gets them while it is searched."""

    engine, documents, similarity = "scipy", None, "dot"

    def __init__(self, retrieval: Retrieval, dataset: Dataset) -> None:
        """Encode the queries, and print what that took."""
        self._retrieval, self._dataset = retrieval, dataset
        timings = retrieval.encoder.timings = Timings()
        start = retrieval.clock.now()
        queries = list(dataset.queries)
        self._ids = [query.id for query in queries]
        self._vectors = retrieval.encoder.encode([query.text for query in queries], "query")
        work = Work.of(timings, len(queries), (retrieval.clock.now() - start) / 1e9)
        latency, budget = retrieval.encoding_latency(dataset.queries), retrieval.encoder.budget("query")
        retrieval.write_encoding(dataset.name, "query", start, work, budget.tokens if budget else None, latency)

    def _find(self, blocks: Iterable[Block], k: int, query_ids: Sequence[str] | None) -> TopK:
        ignored = self._retrieval.arguments.ignore_identical_ids
        searcher = SparseSearcher(self._vectors, self._ids, k, ignored)
        for block in blocks:
            searcher.add(block.ids, block.vectors)
        self.nonzeros = searcher.nonzeros_per_document
        return searcher.finish()
