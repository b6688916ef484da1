"""Step contrast: a student and hard negatives; the passage encoder stays as it is, or learns along."""

import dataclasses
import random
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import numpy as np

from fmbench.collection import Dataset, Qrels, Texts
from fmbench.console import note
from fmbench.digest import digest_of_json
from fmbench.embeddings import open_or_encode
from fmbench.encoder import Encoder
from fmbench.errors import UsageError
from fmbench.identity import digest_of_folder, identify
from fmbench.secrets import apart, masked_tree

from ..retrieve.data import open_datasets
from .arguments import DistillArguments
from .design import load_teacher
from .folder import save_student
from .held_out import held_out
from .loading import load_query_encoder
from .passages import FrozenPassages, TrainedPassages
from .pseudo_queries import folded
from .steps import Run, pooling_of
from .tasks import Contrast, Example
from .tokens import QueryTokenizer
from .train import (
    DOCUMENT,
    check_output,
    document_folder,
    document_prompt,
    finish,
    normalises,
    place,
    set_up,
    train,
)


@dataclasses.dataclass(frozen=True)
class Pairs:
    """What there is to learn from: (query text, positive's id, negatives' ids), all with as many negatives."""

    rows: Sequence[tuple[str, str, tuple[str, ...]]]

    @property
    def documents(self) -> frozenset[str]:
        """Every document that is named."""
        return frozenset(name for _, positive, negatives in self.rows for name in (positive, *negatives))


def contrast(run: Run) -> None:
    """Train a student on with hard negatives, and write it and its pair."""
    arguments, plan = run.arguments, run.plan
    check_output(arguments)
    datasets = open_datasets(arguments)
    if len(datasets) != 1:
        raise UsageError("--dataset: contrast trains on one data set")
    dataset = datasets[0]
    pairs = gather(arguments, dataset)
    corpus = Texts(dataset.corpus.paths, ids=pairs.documents)
    student, tokenizer = load_query_encoder(arguments.query_model[0], arguments.student_length)
    student.requires_grad_(True)
    check_documents(pairs, set(ids_of(corpus)))
    document = trained(run, corpus) if arguments.train_passages else None
    passages: FrozenPassages | TrainedPassages
    names, passages = frozen(run, corpus, student.dimensions) if document is None else (ids_of(corpus), document[0])
    ranks = set_up(run)  # after the encoder, which sets the platform up for one process
    place(run, student)
    place(run, passages)
    rows = {name: number for number, name in enumerate(names)}
    ids = tokenizer.all_ids([text for text, _, _ in pairs.rows])
    examples = [
        Example(query, rows[positive], tuple(rows[name] for name in negatives))
        for query, (_, positive, negatives) in zip(ids, pairs.rows, strict=True)
    ]
    task = Contrast(
        student, passages, examples, arguments.temperature, arguments.passage_rate, arguments.seed, plan.platform.place
    )
    train(run, task, identity(run, pairs, corpus), ranks)
    if ranks.leads:
        finish(run, student, tokenizer, save_document(run, document))


def gather(arguments: DistillArguments, dataset: Dataset) -> Pairs:
    """Return a row for each relevant document of each query, with negatives drawn by the seed.

    A query with fewer negatives than asked for has some of them twice; one without any is left out. Raises UsageError
    where none is left.
    """
    if dataset.qrels is None:
        raise UsageError(f"{dataset.name}: has no judgements, so nothing says which passage belongs to a query")
    relevant = dataset.qrels.relevant(arguments.ir_metrics_relevance_threshold)
    mined = Qrels.load(arguments.negatives).gains if arguments.negatives else {}
    count = arguments.negatives_per_query if arguments.negatives else 0
    kept_out = set(map(folded, held_out(arguments)))
    texts = {query.id: query.text for query in dataset.queries if folded(query.text) not in kept_out}
    rows = list(drawn(texts, relevant, mined, count, arguments.seed))
    left_out = len({query for query in relevant if relevant[query]} - {query for query, _, _ in rows})
    if not rows:
        raise UsageError("no query has a relevant document and a hard negative; are --negatives of another split?")
    if left_out:
        note(f"{left_out} queries have no hard negative, or are held out; they are not trained on")
    return Pairs([(texts[query], positive, negatives) for query, positive, negatives in rows])


def drawn(
    texts: Mapping[str, str], relevant: Mapping[str, set[str]], mined: Mapping[str, Mapping[str, float]],
    count: int, seed: int,
) -> Iterator[tuple[str, str, tuple[str, ...]]]:  # fmt: skip
    """Yield (query id, positive, negatives)."""
    for query in sorted(relevant):
        pool = sorted(mined.get(query, {}).keys() - relevant[query] - {query})  # nor the query itself
        if query not in texts or (count and not pool):
            continue
        draw = random.Random(f"{seed}:{query}")  # noqa: S311 (a sample, no secret)
        for positive in sorted(relevant[query]):
            chosen = draw.sample(pool, count) if len(pool) >= count else draw.choices(pool, k=count)
            yield query, positive, tuple(chosen)


def ids_of(texts: Texts) -> list[str]:
    """Return the ids of texts, in order."""
    return [text.id for text in texts]


def check_documents(pairs: Pairs, there: AbstractSet[str]) -> None:
    """Raise UsageError where a document is not in the corpus."""
    missing = sorted(pairs.documents - there)
    if missing:
        raise UsageError(f"{len(missing)} documents that are judged or mined are not in the corpus: {missing[0]}, ...")


def frozen(run: Run, corpus: Texts, dimensions: int) -> tuple[list[str], FrozenPassages]:
    """Return the passages' ids and vectors, from the cache or encoded now."""
    encoder = Encoder(run.plan)
    if encoder.dimension != dimensions:
        raise UsageError(
            f"the student's vectors have {dimensions} dimensions and the passages' {encoder.dimension}: align a "
            "student with --projection linear first"
        )
    found = open_or_encode(run.arguments.encoding_cache_dir, corpus, encoder, "passage")
    return found.ids, FrozenPassages(np.array(found.as_array(), dtype=np.float32))


def trained(run: Run, corpus: Texts) -> tuple[TrainedPassages, QueryTokenizer]:
    """Return a passage encoder that learns along, and its tokenizer."""
    folder = run.plan.folder
    encoder, _ = load_teacher(folder.path, pooling_of(run.arguments))
    encoder.requires_grad_(True)
    tokenizer = QueryTokenizer.from_folder(folder.path, run.arguments.passage_length)
    tokenizer.begin_with(run.plan.prompt("passage"))
    ids = tokenizer.all_ids([text.passage for text in corpus])
    return TrainedPassages(encoder, ids, normalise=normalises(run)), tokenizer


def save_document(run: Run, document: tuple[TrainedPassages, QueryTokenizer] | None) -> Path:
    """Return the folder of the passage encoder: the one that was given, or the one that was trained."""
    if document is None:
        return document_folder(run)
    passages, tokenizer = document
    folder = (run.arguments.output_dir or Path()) / DOCUMENT
    tokenizer.length = run.plan.folder.max_length or tokenizer.length
    save_student(folder, passages.encoder.to("cpu"), tokenizer, passages.normalise, document_prompt(run))
    return folder


def identity(run: Run, pairs: Pairs, corpus: Texts) -> dict[str, object]:
    """Return what a checkpoint must agree with."""
    arguments, evaluated = run.arguments, run.arguments.evaluated()
    return {
        "student": digest_of_folder(arguments.query_model[0]),
        "pairs": digest_of_json([list(row) for row in pairs.rows]),
        "corpus": corpus.digest(),
        "teacher": identify(run.plan.source, evaluated, run.plan.folder.path).digest,
        "recipe": digest_of_json([dataclasses.asdict(arguments.recipe), masked_tree(evaluated.options, apart)]),
        "temperature": arguments.temperature,
        "passages": [arguments.train_passages, arguments.passage_length, arguments.passage_rate],
        "length": arguments.student_length,
    }
