"""A test collection: corpus, queries and judgements that belong together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fmbench.digest import digest_of_json
from fmbench.errors import UsageError

from .check import Check, checked
from .qrels import Qrels, Transform
from .subset import drawn, read_ids
from .texts import Complaint, Texts

PACKED = ("", ".gz", ".bz2", ".xz", ".zst")
TEXT_FILES = tuple(f".{form}{packed}" for form in ("jsonl", "json", "tsv") for packed in PACKED)
QRELS_FILES = tuple(f".{form}{packed}" for form in ("tsv", "csv", "txt", "trec", "qrels", "jsonl") for packed in PACKED)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Corpus, queries and, where there are any, judgements.

    Where there are judgements, the queries are those that they name: a file of queries often holds those of other
    splits too. `subset`: the ids that the user asked for. `other_documents`: how many documents without a judgement the
    corpus was cut down to; None for all.
    """

    name: str
    corpus: Texts
    queries: Texts
    qrels: Qrels | None = None
    subset: frozenset[str] | None = None
    other_documents: int | None = None

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        split: str | None = "test",
        *,
        subset: Sequence[Path] = (),
        min_score: float | None = None,
        max_score: float | None = None,
        transform: Transform | None = None,
    ) -> "Dataset":
        """Read a folder in BEIR's layout: `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`, packed or not.

        No judgements are read where `split` is None or the folder has none. Raises UsageError where a file is missing.
        """
        if not folder.is_dir():
            raise UsageError(f"{folder}: no such folder")
        judged = split is not None and (folder / "qrels").is_dir()
        return cls.from_files(
            [only_file(folder, "corpus", TEXT_FILES)],
            [only_file(folder, "queries", TEXT_FILES)],
            [only_file(folder / "qrels", str(split), QRELS_FILES)] if judged else (),
            subset=subset,
            min_score=min_score,
            max_score=max_score,
            transform=transform,
            name=folder.resolve().name,
        )

    @classmethod
    def from_files(
        cls,
        corpus: Sequence[Path],
        queries: Sequence[Path],
        qrels: Sequence[Path] = (),
        *,
        subset: Sequence[Path] = (),
        min_score: float | None = None,
        max_score: float | None = None,
        transform: Transform | None = None,
        stacked: bool = False,
        name: str = "",
    ) -> "Dataset":
        """Read files, one or many of each.

        `subset`: files that name the queries of interest. `min_score` (inclusive) and `max_score` (exclusive) choose
        judgements by their gain, `transform` changes it then. `stacked`: the last file's gain counts. Raises UsageError
        for bad judgements, and where none is left.
        """
        chosen = read_ids(subset) if subset else None
        judgements = judged(qrels, chosen, min_score, max_score, stacked).transformed(transform) if qrels else None
        wanted = chosen if judgements is None else judgements.gains.keys()
        return cls(
            name or corpus[0].resolve().parent.name, Texts(corpus), Texts(queries, ids=wanted), judgements, chosen
        )

    def cut(self, others: int | None, seed: int) -> "Dataset":
        """Return the data set with all judged documents and so many others, drawn by the seed; None for all of them.

        Its name says so, since its figures are not those of the whole. Reads the corpus. Raises UsageError without
        judgements.
        """
        if others is None:
            return self
        if self.qrels is None:
            raise UsageError(f"{self.name}: has no judgements, so nothing says which documents --other_documents keeps")
        judged = {document for gains in self.qrels.gains.values() for document in gains}
        kept = judged | drawn((document.id for document in self.corpus if document.id not in judged), others, seed)
        corpus = Texts(self.corpus.paths, ids=kept)
        return replace(self, name=f"{self.name}+{others}", corpus=corpus, other_documents=others)

    def facts(self) -> dict[str, str | None]:
        """Return digests of corpus, queries and judgements as they are used, for the fingerprint: a name is not enough.

        Those of texts are over the files' bytes and the ids that are of interest.
        """
        judgements = digest_of_json(self.qrels.gains) if self.qrels else None
        return {"corpus": self.corpus.digest(), "queries": self.queries.digest(), "judgements": judgements}

    def check(self, strict: bool = False, complaint: Complaint | None = None) -> Check:
        """Read everything once, and return what is there and what is odd.

        Raises UsageError for ids that occur twice, for an empty corpus, for no query at all and for judgements that
        know no document of the corpus; `strict`: for every judgement of an unknown id too; `complaint` says
        what is wrong with an id of a query or a document, if anything.
        """
        return checked(self, strict, complaint)


def judged(
    paths: Sequence[Path],
    subset: frozenset[str] | None,
    min_score: float | None,
    max_score: float | None,
    stacked: bool = False,
) -> Qrels:
    """Return the judgements that are asked for. Raises UsageError where there is none, and says what left none."""
    loaded = Qrels.load(paths, stacked)
    disguise = loaded.run_in_disguise()
    if disguise is not None:
        names = ", ".join(map(str, paths))
        raise UsageError(f"{names}: has {disguise} where gains should be: it is a run; name the judgements")
    if not loaded.gains:
        raise UsageError(f"{', '.join(map(str, paths))}: holds no judgement")
    found = loaded.between(min_score, max_score)
    found = found if subset is None else found.only(subset)
    if not found.gains:
        filters = {"min_score": min_score, "max_score": max_score, "the query subset": subset}
        given = [name for name, value in filters.items() if value is not None]
        raise UsageError(
            f"{', '.join(map(str, paths))}: no judgement is left of {loaded.judgements:,}; look at {', '.join(given)}"
        )
    return found


def only_file(folder: Path, stem: str, endings: Sequence[str]) -> Path:
    """Return the one file of a name. Raises UsageError where there is none, or a choice."""
    found = [path for ending in endings if (path := folder / f"{stem}{ending}").is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{folder}: has {' and '.join(path.name for path in found)}; name the files one by one")
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:8])
    raise UsageError(f"{folder}: has no {stem}{endings[0]}, only {there or 'nothing'}")
