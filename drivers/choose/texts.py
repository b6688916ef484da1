"""The texts of a choice: a collection to judge on, and those that the candidates race on."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from fmbench import cached
from fmbench.collection import Dataset, Document, Qrels
from fmbench.collection.files import full_lines_of
from fmbench.collection.subset import drawn
from fmbench.console import note
from fmbench.digest import digest_of_json
from fmbench.encoder import Encoder
from fmbench.errors import UsageError
from fmbench.quantisation import TEXTS
from fmbench.tasks import Named, prepare, read_named
from fmbench.whole_file import write_whole

from .arguments import ChooseArguments

SAMPLE = 2048  # passages that the race draws from
QUERIES = 32  # texts that are asked where there are no queries


@dataclass(frozen=True)
class Lines:
    """Texts in memory, as the embedding cache reads a corpus: ids are places."""

    texts: Sequence[str]

    def __iter__(self) -> Iterator[Document]:
        return (Document(str(place), text) for place, text in enumerate(self.texts))

    def digest(self) -> str:
        """Return what tells these texts from others."""
        return digest_of_json(list(self.texts))

    def count(self) -> int:
        """Return how many there are."""
        return len(self.texts)


@dataclass(frozen=True)
class Plain:
    """A file of texts as a collection without judgements: the first ones are the queries too."""

    corpus: Lines
    queries: Lines
    qrels: Qrels | None = None
    other_documents: int | None = None  # all are judged on


@dataclass(frozen=True)
class Subject:
    """What is encoded: `collection` in the end, `queries` and `passages` in the race."""

    collection: Dataset | Plain
    queries: Sequence[str]
    passages: Sequence[str]
    tasks: Sequence[Named] = ()

    @property
    def judged(self) -> bool:
        """Whether there are judgements."""
        return self.collection.qrels is not None

    def texts(self, profile: str) -> Sequence[str]:
        """Return what is encoded in a profile's race."""
        return self.queries if profile == "online" else self.passages

    def round(self, profile: str, number: int, size: int) -> list[str]:
        """Return the texts of a round of a profile; after the last one comes the first."""
        every = self.texts(profile)
        return [every[place % len(every)] for place in range(number * size, (number + 1) * size)]

    def asking(self, length: int, encoder: Encoder) -> "Subject":
        """Return the same with queries of so many tokens, no more, made of the passages' first words."""
        queries = []
        for passage in self.passages[:QUERIES]:
            words = passage.split()
            words = (words * -(-length // len(words)))[:length]
            while (over := int(encoder.tokenise([" ".join(words)], "query").lengths[0]) - length) > 0 and len(
                words
            ) > 1:
                del words[-max(1, over // 2) :]
            queries.append(" ".join(words))
        return replace(self, queries=queries)

    def facts(self) -> dict[str, Any]:
        """Return which texts these are, for the fingerprint."""
        corpus, queries = self.collection.corpus, self.collection.queries
        digests = [corpus.digest(), queries.digest(), list(self.queries), list(self.passages)]
        found = {"passages": corpus.count(), "queries": queries.count(), "texts": digest_of_json(digests)}
        return found | ({"tasks": [task.facts() for task in self.tasks]} if self.tasks else {})

    @cached_property
    def calibration(self) -> Path:
        """A file of passages of the corpus, drawn whatever is judged, for those who round after texts."""
        rows = [json.dumps({"_id": str(place), "text": text}) for place, text in enumerate(self.passages[:TEXTS])]
        path = cached.root() / f"calibration-{digest_of_json(rows)[:16]}.jsonl"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, "".join(f"{row}\n" for row in rows).encode())
        return path


def read(arguments: ChooseArguments) -> Subject:
    """Read the texts, and the tasks. Raises UsageError for files that cannot be read or hold none."""
    subject = read_texts(arguments)
    if arguments.tasks is None:
        return subject
    tasks = read_named(arguments.tasks)
    prepare(tasks)
    return replace(subject, tasks=tasks)


def read_texts(arguments: ChooseArguments) -> Subject:
    """Read the texts. Raises UsageError."""
    if arguments.texts is not None:
        return plain(arguments.texts)
    if arguments.dataset is None:
        raise ValueError("no texts are named")
    dataset = Dataset.from_folder(arguments.dataset, arguments.split)
    if dataset.qrels is None and arguments.keep is not None and arguments.tasks is None:
        raise UsageError(f"--keep: {dataset.name} has no judgements; say --keep_cosine")
    if arguments.documents is not None:
        dataset = sample(dataset, arguments.documents, arguments.seed)
    dataset.check()
    ids = drawn((document.id for document in dataset.corpus), SAMPLE, arguments.seed)
    passages = [document.passage for document in dataset.corpus if document.id in ids and document.passage]
    queries = [query.text for query in dataset.queries if query.text.strip()]
    return Subject(dataset, queries, passages)


def plain(path: Path) -> Subject:
    """Read a text a line; blank ones are left out. Raises UsageError."""
    try:
        texts = [row.strip() for _, row in full_lines_of(path)]
    except UsageError as error:
        raise UsageError(f"--texts {error}") from None
    if not texts or texts[0].startswith('{"'):
        held = "JSON" if texts else "no text"
        raise UsageError(f"--texts {path}: holds {held}; write one plain text a line, or name a collection: --dataset")
    return Subject(Plain(Lines(texts), Lines(texts[:QUERIES])), texts[:QUERIES], texts[:SAMPLE])


def sample(dataset: Dataset, documents: int, seed: int) -> Dataset:
    """Return the data set with so many documents, the judged ones among them, and say what that does."""
    if dataset.qrels is None:
        raise UsageError(f"--documents: {dataset.name} has no judgements, so nothing says which documents to keep")
    judged = {document for gains in dataset.qrels.gains.values() for document in gains}
    found = dataset.cut(max(0, documents - len(judged)), seed)
    note(
        f"--documents {documents}: judges on {found.corpus.count():,} documents, the judged ones among them: nDCG is "
        "higher than on all, and differences between candidates may be smaller"
    )
    return found
