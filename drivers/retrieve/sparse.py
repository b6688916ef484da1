"""The search of one data set by sparse vectors: the corpus is encoded and searched a chunk at a time."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from fmbench.collection import Dataset
from fmbench.errors import UsageError
from fmbench.search import Block, TopK
from fmbench.search.sparse import SparseSearcher

from .arguments import RetrieveArguments, check_passing
from .retrieval import Retrieval
from .searching import Searched

KEPT = {
    "encoding_cache_dir": "no cache keeps them", "precompute_corpus_embs": "they are never all in memory",
    "compress": "they are compressed already", "special_docids": "they are read once",
}  # fmt: skip


def check_sparse(arguments: RetrieveArguments, path: Path) -> None:
    """Raise UsageError for what needs dense vectors. `path` is the model's folder."""
    model = f"{path} is a sparse model, whose vectors have a number a word"
    check_passing(arguments, model, KEPT)
    if arguments.similarity not in (None, "dot"):
        raise UsageError(f"--similarity {arguments.similarity}: {model}; they are compared by inner products alone")


class SparseSearched(Searched):
    """A data set whose queries have their vectors, and whose corpus gets them while it is searched."""

    engine, documents, similarity = "scipy", None, "dot"

    def __init__(self, retrieval: Retrieval, dataset: Dataset) -> None:
        """Encode the queries, and print what that took."""
        self._retrieval, self._dataset = retrieval, dataset
        self._ids, self._vectors = retrieval.encode_queries(dataset.queries, dataset.name)

    def _find(self, blocks: Iterable[Block], k: int, query_ids: Sequence[str] | None) -> TopK:
        ignored = self._retrieval.arguments.ignore_identical_ids
        searcher = SparseSearcher(self._vectors, self._ids, k, ignored)
        for block in blocks:
            searcher.add(block.ids, block.vectors)
        self.nonzeros = searcher.nonzeros_per_document
        return searcher.finish()
