"""What is odd about a test collection."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmbench.errors import UsageError

from .files import some
from .texts import Complaint, Survey, Texts

if TYPE_CHECKING:
    from .dataset import Dataset


@dataclass(frozen=True, slots=True)
class Check:
    """Counts, and the ids that judgements or the query subset name and that no file holds.

    `queries_without_text` count as queries without results: zero in every mean. `unjudged_queries` were asked for and
    have no judgement: they are left out. `identical_ids`: queries that have the id of a document, of which
    `identical_texts` have its text too and `own_judgements` a judgement of it.
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
    quoted: int
    identical_ids: tuple[str, ...]
    identical_texts: int
    own_judgements: int

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
            ("texts in CSV's quotes, which are taken for text (only a TSV with a header is unquoted)", self.quoted),
        )
        return self.unknown() + [f"{what}: {count:,}" for what, count in counts if count]


def checked(dataset: "Dataset", strict: bool, complaint: Complaint | None = None) -> Check:
    """Read a test collection once; see `Dataset.check`."""
    gains = dataset.qrels.gains if dataset.qrels else {}
    corpus = surveyed(dataset.corpus, "the corpus holds no document", complaint)
    documents = corpus.ids
    judged = {document: None for query in gains.values() for document in query}
    unknown = missing(judged, documents)
    if judged and len(unknown) == len(judged):
        raise UsageError(f"no document of the qrels is in the corpus; the first is {unknown[0]!r}: two data sets?")
    asked = surveyed(dataset.queries, "the query files hold no query that is asked for", complaint)
    queries, identical = asked.ids, tuple(sorted(asked.ids & documents))
    subset = sorted(dataset.subset or ())
    found = Check(
        len(documents),
        len(queries),
        dataset.qrels.judgements if dataset.qrels else 0,
        corpus.empty,
        asked.empty,
        dataset.qrels.repeated if dataset.qrels else 0,
        unknown,
        missing(gains or subset, queries),
        missing(subset, gains) if gains else (),
        corpus.quoted + asked.quoted,
        identical,
        same_texts(dataset, identical),
        sum(query in gains.get(query, ()) for query in identical),
    )
    if strict and found.unknown():
        raise UsageError(f"{dataset.name}: {'; '.join(found.unknown())}")
    return found


def same_texts(dataset: "Dataset", ids: Collection[str]) -> int:
    """Return how many of some ids, of queries and of documents, stand for one text. Reads the corpus where any is."""
    wanted = frozenset(ids)
    texts = {query.id: query.passage for query in dataset.queries if query.id in wanted} if wanted else {}
    found = (document for document in dataset.corpus if document.id in texts) if texts else ()
    return sum(texts[document.id] in (document.text.strip(), document.passage) for document in found)


def surveyed(texts: Texts, nothing: str, complaint: Complaint | None = None) -> Survey:
    """Return what one pass found. Raises UsageError where there is no text at all."""
    survey = texts.survey(complaint)
    if not survey.ids:
        raise UsageError(f"{', '.join(map(str, texts.paths))}: {nothing}")
    return survey


def missing(named: Collection[str], known: Collection[str]) -> tuple[str, ...]:
    """Return those names that are not known."""
    return tuple(name for name in named if name not in known)
