"""What is odd about a test collection."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmbench.errors import UsageError

from .files import some
from .texts import Complaint, Texts

if TYPE_CHECKING:
    from .dataset import Dataset


@dataclass(frozen=True, slots=True)
class Check:
    """Counts, and the ids that judgements or the query subset name and that no file holds.

    `queries_without_text` count as queries without results: zero in every mean. `unjudged_queries` were asked for and
    have no judgement: they are left out.
    """

    documents: int
    queries: int
    judgements: int
    empty_documents: int
    empty_queries: int
    repeated_judgements: int
    unknown_documents: tuple[str, ...]
    queries_without_text: tuple[str, ...]
    unjudged_queries: tuple[str, ...]

    def unknown(self) -> list[str]:
        """Return one line for each kind of id that is named and not known."""
        kinds = (
            ("documents of the qrels that are not in the corpus", self.unknown_documents),
            ("queries without text in the query files", self.queries_without_text),
            ("queries of the subset without a judgement", self.unjudged_queries),
        )
        return [f"{what}: {len(ids):,} ({some(ids)})" for what, ids in kinds if ids]

    def oddities(self) -> list[str]:
        """Return one line for everything that the user should know."""
        counts = (
            ("empty documents, encoded and searched like others", self.empty_documents),
            ("empty queries, encoded and searched like others", self.empty_queries),
            ("judgements given twice with the same gain", self.repeated_judgements),
        )
        return self.unknown() + [f"{what}: {count:,}" for what, count in counts if count]


def checked(dataset: "Dataset", strict: bool, complaint: Complaint | None = None) -> Check:
    """Read a test collection once; see `Dataset.check`."""
    gains = dataset.qrels.gains if dataset.qrels else {}
    documents, empty_documents = surveyed(dataset.corpus, "the corpus holds no document", complaint)
    judged = {document: None for query in gains.values() for document in query}
    unknown = missing(judged, documents)
    if judged and len(unknown) == len(judged):
        raise UsageError(f"no document of the qrels is in the corpus; the first is {unknown[0]!r}: two data sets?")
    count = len(documents)
    del documents  # the only thing here that is as long as the corpus
    queries, empty_queries = surveyed(dataset.queries, "the query files hold no query that is asked for", complaint)
    subset = sorted(dataset.subset or ())
    found = Check(
        count,
        len(queries),
        dataset.qrels.judgements if dataset.qrels else 0,
        empty_documents,
        empty_queries,
        dataset.qrels.repeated if dataset.qrels else 0,
        unknown,
        missing(gains or subset, queries),
        missing(subset, gains) if gains else (),
    )
    if strict and found.unknown():
        raise UsageError(f"{dataset.name}: {'; '.join(found.unknown())}")
    return found


def surveyed(texts: Texts, nothing: str, complaint: Complaint | None = None) -> tuple[set[str], int]:
    """Return ids and number of empty texts. Raises UsageError where there is no text at all."""
    survey = texts.survey(complaint)
    if not survey.ids:
        raise UsageError(f"{', '.join(map(str, texts.paths))}: {nothing}")
    return survey.ids, survey.empty


def missing(named: Collection[str], known: Collection[str]) -> tuple[str, ...]:
    """Return those names that are not known."""
    return tuple(name for name in named if name not in known)
