"""The search of one data set by late interaction: the corpus is encoded and searched a chunk at a time."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fmbench.collection import Dataset
from fmbench.encoder.late import LateEncoder
from fmbench.errors import UsageError
from fmbench.search import Block, TopK
from fmbench.search.maxsim import MaxSimSearcher

from .arguments import RetrieveArguments, check_passing
from .retrieval import Retrieval
from .searching import Searched

KEPT = {
    "encoding_cache_dir": "no cache keeps them", "precompute_corpus_embs": "they are never all in memory",
    "compress": "only single vectors are compressed", "special_docids": "they are never all in memory",
}  # fmt: skip


def check_late(arguments: RetrieveArguments, path: Path) -> None:
    """Raise UsageError for what needs one vector a text. `path` is the model's folder."""
    model = f"{path} is a late-interaction model, whose texts have a vector a token"
    check_passing(arguments, model, KEPT)
    if arguments.similarity is not None:
        raise UsageError(f"--similarity {arguments.similarity}: {model}; they are compared by MaxSim alone")


class LateSearched(Searched):
    """A data set whose queries have their token vectors, and whose corpus gets them while it is searched."""

    engine, documents = "torch", None

    def __init__(self, retrieval: Retrieval, dataset: Dataset) -> None:
        """Encode the queries, and print what that took."""
        assert isinstance(retrieval.encoder, LateEncoder)  # noqa: S101
        self._retrieval, self._dataset, self.similarity = retrieval, dataset, retrieval.similarity
        platform = retrieval.encoder.platform
        self._device: Any = (platform.device if platform.runs_torch else None) or "cpu"
        self._ids, self._vectors = retrieval.encode_queries(dataset.queries, dataset.name)

    def _find(self, blocks: Iterable[Block], k: int, query_ids: Sequence[str] | None) -> TopK:
        ignored = self._retrieval.arguments.ignore_identical_ids
        searcher = MaxSimSearcher(self._vectors, self._ids, k, self._device, ignored)
        for block in blocks:
            searcher.add(block.ids, block.vectors)  # type: ignore[arg-type]  # of tokens
        return searcher.finish()
