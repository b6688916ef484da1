"""The texts that a capture is made of: passages, queries, and the judgements between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from fmbench.collection import Dataset
from fmbench.collection.files import full_lines_of
from fmbench.digest import digest_of_json
from fmbench.errors import UsageError

QUERIES = 32  # texts that are asked where there are no queries


@dataclass(frozen=True, slots=True)
class Subject:
    """Passages and queries with their ids. `gains` is query id -> document id -> gain, or None."""

    ids: Sequence[str]
    passages: Sequence[str]
    query_ids: Sequence[str]
    queries: Sequence[str]
    gains: Mapping[str, Mapping[str, float]] | None = None

    @property
    def digest(self) -> str:
        """What tells these texts from others, their ids included."""
        return digest_of_json([list(part) for part in (self.ids, self.passages, self.query_ids, self.queries)])

    @property
    def left_out(self) -> tuple[int, int]:
        """How many judgements are of documents that are not among the passages, of how many."""
        known = set(self.ids)
        judged = [document for documents in (self.gains or {}).values() for document in documents]
        return sum(document not in known for document in judged), len(judged)

    def title(self, model_name: str) -> str:
        """Return what a table of a model on these texts is called; of a folder its name alone."""
        counts = f"{len(self.passages):,} passages, {len(self.queries):,} queries"
        return f"{model_name.rstrip('/').rpartition('/')[2]}, {counts}"

    @classmethod
    def from_file(cls, path: Path) -> "Subject":
        """Read a text a line; blank lines are left out. The first lines are the queries too. Raises UsageError."""
        try:
            texts = [row.strip() for _, row in full_lines_of(path)]
        except UsageError as error:
            raise UsageError(f"--texts {error}") from None
        if texts and texts[0].startswith('{"'):
            raise UsageError(
                f"--texts {path}: holds JSON; write one plain text a line, or name a collection: --dataset"
            )
        if not texts:
            raise UsageError(f"--texts {path}: holds no text; write one a line")
        ids = [str(place) for place in range(len(texts))]
        return cls(ids, texts, ids[:QUERIES], texts[:QUERIES])

    @classmethod
    def from_folder(
        cls, folder: Path, documents: int | None, split: str, others: int | None = None, seed: int = 0
    ) -> "Subject":
        """Read a collection: the first documents, or those that are judged and others, and all queries.

        See `Dataset.cut`. Raises UsageError.
        """
        dataset = Dataset.from_folder(folder, split).cut(others, seed)
        dataset.check()
        chosen = list(islice(dataset.corpus, documents))
        queries = list(dataset.queries)
        gains = dataset.qrels.gains if dataset.qrels else None
        return cls(
            [document.id for document in chosen], [document.passage for document in chosen],
            [query.id for query in queries], [query.text for query in queries], gains,
        )  # fmt: skip
