"""Step contrast: a student and hard negatives; the passage encoder stays as it is, or learns along."""

import dataclasses
import random
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import numpy as np

from fmbench.collection import Dataset, Qrels, Texts
from fmbench.collection.arguments import named_datasets
from fmbench.console import note
from fmbench.digest import digest_of_json
from fmbench.embeddings import open_or_encode
from fmbench.encoder import Encoder
from fmbench.encoder.tokens import Tokenizer
from fmbench.errors import UsageError
from fmbench.identity import digest_of_folder, identify
from fmbench.secrets import apart, masked_tree

from .arguments import DistillArguments
from .lexical import SETTINGS, bm25_negatives
from .query_encoder import load
from .steps import Run
from .tasks import Contrast, FrozenPassages, TrainedPassages
from .texts import folded, held_out
from .train import DOCUMENT, document_folder, document_prompt, finish, place, set_up, train
from .write import save_student


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
    datasets = named_datasets(arguments, judged=False)
    if len(datasets) != 1:
        raise UsageError("--dataset: contrast trains on one data set")
    dataset = datasets[0]
    pairs = gather(arguments, dataset)
    corpus = Texts(dataset.corpus.paths, ids=pairs.documents)
    student, tokenizer = load(run.students[0], length=arguments.student_length)
    student.requires_grad_(True)
    check_documents(pairs, set(ids_of(corpus)))
    document = trained(run, corpus) if arguments.train_passages else None
    passages: FrozenPassages | TrainedPassages
    names, passages = frozen(run, corpus, student.dimensions) if document is None else (ids_of(corpus), document[0])
    set_up(run)  # after the encoder, which sets the platform up for one process
    place(run, student)
    place(run, passages)
    numbers = {name: number for number, name in enumerate(names)}
    rows = np.array([[numbers[name] for name in (own, *negatives)] for _, own, negatives in pairs.rows])
    task = Contrast(
        student, passages, tokenizer([text for text, _, _ in pairs.rows]), rows, arguments.temperature,
        arguments.passage_rate, arguments.seed, plan.platform.place,
    )  # fmt: skip
    train(run, task, identity(run, pairs, corpus))
    if run.group.rank == 0:
        finish(run, student, tokenizer, save_document(run, document))


def gather(arguments: DistillArguments, dataset: Dataset) -> Pairs:
    """Return a row for each relevant document of each query, with negatives drawn by the seed.

    A query with fewer negatives than asked for has some of them twice; one without any is left out. Raises UsageError
    where none is left.
    """
    if dataset.qrels is None:
        raise UsageError(f"{dataset.name}: has no judgements, so nothing says which passage belongs to a query")
    relevant = dataset.qrels.relevant(arguments.ir_metrics_relevance_threshold)
    kept_out = set(map(folded, held_out(arguments)))
    texts = {query.id: query.text for query in dataset.queries if folded(query.text) not in kept_out}
    pools = [Qrels.load([path]).gains for path in arguments.negatives]  # each has scores of its own
    if arguments.bm25_negatives:
        asked = {query: texts[query] for query in texts if relevant.get(query)}
        pools.append(bm25_negatives(dataset.corpus, asked, relevant, arguments.bm25_negatives))
    count = arguments.negatives_per_query if pools else 0
    rows = list(drawn(texts, relevant, pools, count, arguments.seed))
    left_out = len({query for query in relevant if relevant[query]} - {query for query, _, _ in rows})
    if not rows:
        raise UsageError("no query has a relevant document and a hard negative; are --negatives of another split?")
    if left_out:
        note(f"{left_out} queries have no hard negative, or are held out; they are not trained on")
    return Pairs([(texts[query], positive, negatives) for query, positive, negatives in rows])


def drawn(
    texts: Mapping[str, str], relevant: Mapping[str, set[str]],
    pools: Sequence[Mapping[str, Mapping[str, float]]], count: int, seed: int,
) -> Iterator[tuple[str, str, tuple[str, ...]]]:  # fmt: skip
    """Yield (query id, positive, negatives); `pools` hold candidates by query."""
    for query in sorted(relevant):
        mined = {name for pool in pools for name in pool.get(query, ())}
        pool = sorted(mined - relevant[query] - {query})  # nor the query itself
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


def trained(run: Run, corpus: Texts) -> tuple[TrainedPassages, Tokenizer]:
    """Return a passage encoder that learns along, and its tokenizer."""
    encoder, tokenizer = load(run.plan, "passage")
    encoder.requires_grad_(True)
    length = min(run.arguments.passage_length, tokenizer.max_length or run.arguments.passage_length)
    shorter = Tokenizer(tokenizer.origin, tokenizer.prompt, length)
    return TrainedPassages(encoder, shorter([text.passage for text in corpus])), tokenizer


def save_document(run: Run, document: tuple[TrainedPassages, Tokenizer] | None) -> Path:
    """Return the folder of the passage encoder: the one that was given, or the one that was trained."""
    if document is None:
        return document_folder(run)
    passages, tokenizer = document
    folder = (run.arguments.output_dir or Path()) / DOCUMENT
    save_student(folder, passages.encoder.to("cpu"), tokenizer, prompts=document_prompt(run))
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
        "bm25": {"negatives": arguments.bm25_negatives, **SETTINGS} if arguments.bm25_negatives else None,
    }
