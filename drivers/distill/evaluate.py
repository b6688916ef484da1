"""Step evaluate: query encoders against the teacher, in quality on every data set and in latency, in one run.

Latency is measured query by query in turns, so that what disturbs one encoder disturbs all.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from fmbench import backend, lines, stats
from fmbench.collection import Dataset, Qrels
from fmbench.collection.arguments import check_datasets, named_datasets
from fmbench.console import Progress
from fmbench.embeddings import Embeddings, open_or_encode
from fmbench.encoder import Encoder, EncoderPlan
from fmbench.encoder.folder import TABLE
from fmbench.encoder.network import RecurrentNetwork
from fmbench.encoder.table import TableEncoder
from fmbench.errors import UsageError
from fmbench.identity import digest_of_folder
from fmbench.measure import Clock, Subject, nothing, repeat
from fmbench.pairs import Pair
from fmbench.ranking.evaluation import Evaluation
from fmbench.ranking.measures import evaluate as judge
from fmbench.ranking.paired import compare
from fmbench.search import Block, Latency, choose_engine, search

from .arguments import DistillArguments
from .query_encoder import QueryEncoder, load
from .steps import Run
from .students import size

PLAIN_NAMES = ("query", "pair")  # a student's folder is called after what holds these
ROWS = 65_536  # documents that are searched at once
THROUGHPUT_BATCH = 64


@dataclass
class Contestant:
    """A query encoder under test; the teacher is the first one."""

    name: str
    encoder: QueryEncoder | TableEncoder
    computed_by: str
    size: dict[str, int]


@dataclass(frozen=True)
class Timed:
    """What is timed on a query: `call`, on what `prepare` made of the text outside of the timed region."""

    call: Callable[[Any], Any]
    prepare: Callable[[str], Any] = str

    def after_another(self, texts: tuple[str, str]) -> Any:
        """Return the first text as it is timed, after the second one was answered."""
        self.call(self.prepare(texts[1]))
        return self.prepare(texts[0])


def evaluate(run: Run) -> None:
    """Measure every data set and print its lines."""
    arguments = run.arguments
    datasets = named_datasets(arguments, judged=True)
    check_datasets(datasets, arguments, quiet=False)
    for dataset in datasets:
        if not any(query.text.strip() for query in dataset.queries):
            raise UsageError(f"{dataset.name}: every query is empty")
    teacher = Encoder(run.plan)
    run.facts(teacher.arguments)
    students = {called(folder): digest_of_folder(folder) for folder in arguments.query_model}
    data = {dataset.name: dataset.facts() for dataset in datasets}
    run.log.write(
        lines.JsonLine("ENV", {**teacher.facts, **teacher.recipe_facts(), "query_models": students, "data": data})
    )
    contestants = [contestant_of(arguments, teacher.name, run.plan)]  # on the same short way as every student
    for folder, plan in zip(arguments.query_model, run.students, strict=True):
        contestants.append(contestant_of(arguments, called(folder), plan))
        check_dimensions(contestants[-1], teacher.dimension)
    for dataset in datasets:
        run.log.banner("EVALUATE", dataset.name)
        quality = judged(run, dataset, teacher, contestants)
        times = timed(run, [query.text for query in dataset.queries], contestants)
        report(run, dataset, contestants, quality, times)


def called(folder: Path) -> str:
    """Return what a student is called in tables: its folder's name, or that of the folder above."""
    path = folder.resolve()
    return path.parent.name if path.name in PLAIN_NAMES else path.name


def contestant_of(arguments: DistillArguments, name: str, plan: EncoderPlan) -> Contestant:
    """Return a query encoder on a platform of its own; a table of tokens is looked up on the host, whatever that is."""
    if plan.folder.kind == TABLE:
        table = TableEncoder.load(plan)
        return Contestant(name, table, "numpy", {"parameters": table.rows.size, "bytes": table.rows.nbytes})
    network, tokenizer = load(plan)
    measured = size(network)
    platform = backend.find(arguments.platform)
    platform.setup(arguments)
    return Contestant(name, QueryEncoder(network, tokenizer, platform, arguments.evaluated()), platform.name, measured)


def check_dimensions(contestant: Contestant, dimensions: int) -> None:
    """Raise UsageError for vectors that cannot be compared with the passages'."""
    own = contestant.encoder.dimensions
    if own != dimensions:
        fix = (
            "train it with --projection linear"
            if own < dimensions
            else "leave --truncate_dim out, or train it for this"
        )
        raise UsageError(f"{contestant.name}: its vectors have {own} dimensions and the passages' {dimensions}; {fix}")


def judged(run: Run, dataset: Dataset, teacher: Encoder, contestants: Sequence[Contestant]) -> list[Evaluation]:
    """Return the quality of every contestant's rankings, from one exact search over the teacher's passages."""
    arguments = run.arguments
    progress = Progress()
    passages = open_or_encode(
        arguments.encoding_cache_dir, dataset.corpus, teacher, "passage",
        progress=lambda done, count: progress.count(
            done, count, f"{dataset.name}: {done:,} of {count:,} passages encoded"
        ),
    )  # fmt: skip
    progress.clear()
    queries = list(dataset.queries)
    texts, names = [query.text for query in queries], [query.id for query in queries]
    found = []
    for contestant in contestants:
        first = contestant is contestants[0]
        vectors = teacher.encode(texts, "query") if first else contestant.encoder.many(texts)
        found.append(ranked(run, vectors, names, passages, dataset.qrels or Qrels({})))
    return found


def ranked(run: Run, vectors: np.ndarray, names: Sequence[str], passages: Embeddings, qrels: Qrels) -> Evaluation:
    """Search, and judge the rankings."""
    arguments, platform = run.arguments, run.plan.platform
    engine = choose_engine(platform, passages.dim)
    similarity = run.plan.similarity(arguments.similarity)  # checked before the model was loaded
    blocks = (Block(block.ids, block.vectors) for block in passages.blocks(ROWS))
    depth = max(arguments.ir_metrics_k_values)
    top = search(
        vectors, names, blocks, depth, similarity, engine=engine, ignore_identical_ids=arguments.ignore_identical_ids
    )
    return judge(
        top.run(), qrels, arguments.ir_metrics_k_values, threshold=arguments.ir_metrics_relevance_threshold,
        depth=depth, seed=arguments.seed,
    )  # fmt: skip


def timed(run: Run, texts: Sequence[str], contestants: Sequence[Contestant]) -> list[list[int]]:
    """Return nanoseconds from text to vector of every contestant, query by query in turns.

    Queries are repeated where there are fewer than asked for. Behind the contestants come, in their order, the
    incremental ones once more: from the last word to the vector.
    """
    count = run.arguments.latency_queries
    chosen = [texts[number % len(texts)] for number in range(count)]
    plain = [Timed(contestant.encoder) for contestant in contestants]
    rest = [Timed(one.encoder.finish, one.encoder.begin) for one in contestants if incremental(one.encoder)]
    return measure([*plain, *rest], chosen, run.clock, run.arguments.seed)


def measure(encoders: Sequence[Timed], texts: Sequence[str], clock: Clock, seed: int = 0) -> list[list[int]]:
    """Return the nanoseconds of every encoder on every text, in the order of the texts.

    Each text goes through all encoders, in random order, before the next one comes. Each encoder has answered the text
    before it just then, untimed: in service it follows itself. Right after a large encoder, whose weights fill the
    caches, a small one would be timed at what that left behind.
    """
    queue = zip(texts, [texts[-1], *texts[:-1]], strict=True)
    subjects = [Subject(call=one.call, place=one.after_another, synchronize=nothing) for one in encoders]
    rounds = islice(repeat(subjects, lambda: next(queue), clock, seed), len(texts))
    durations = [[repetition.duration for repetition in timed] for timed in rounds]
    return [list(column) for column in zip(*durations, strict=True)]


def incremental(encoder: QueryEncoder | TableEncoder) -> TypeGuard[QueryEncoder]:
    """Say whether a query encoder reads a query while it is typed."""
    return isinstance(encoder, QueryEncoder) and isinstance(encoder.network, RecurrentNetwork)


def throughput(run: Run, encoder: QueryEncoder | TableEncoder, texts: Sequence[str]) -> float:
    """Return queries a second, tokenisation included, in batches; the best of three passes."""
    seconds = []
    for _ in range(3):
        start = run.clock.now()
        encoder.many(texts, THROUGHPUT_BATCH)
        seconds.append((run.clock.now() - start) / 1e9)
    return len(texts) / min(seconds)


def report(
    run: Run, dataset: Dataset, contestants: Sequence[Contestant], quality: Sequence[Evaluation],
    times: Sequence[Sequence[int]],
) -> None:  # fmt: skip
    """Print what every contestant is worth: a PAIR line against the teacher, and a DST line with everything."""
    texts = [query.text for query in dataset.queries]
    after = iter(times[len(contestants) :])
    for contestant, found, durations in zip(contestants, quality, times, strict=False):
        names = {"a": contestants[0].name, "b": contestant.name}
        pair = {**names, **paired(times[0], durations, run.arguments.seed)}
        rest = next(after) if incremental(contestant.encoder) else None
        if contestant is not contestants[0]:
            run.log.write(lines.JsonLine("PAIR", pair))
        run.say("evaluate" if contestant is not contestants[0] else "reference", {
            "dataset": dataset.name,
            "query_model": contestant.name,
            "start": run.start,
            "ignore_identical_ids": run.arguments.ignore_identical_ids,
            **found.row(),
            "kept": kept(quality[0], found, run.arguments.seed),
            "latency_ms": settled(durations).percentiles(),
            "after_last_word_ms": settled(rest).percentiles() if rest else None,
            "pair": pair,
            "queries_per_second": round(throughput(run, contestant.encoder, texts), 3),
            "tokens_at_most": contestant.encoder.max_length,
            "computed_by": contestant.computed_by,
            **contestant.size,
            "nanoseconds": list(durations),
        })  # fmt: skip


def paired(a: Sequence[int], b: Sequence[int], seed: int) -> dict[str, Any]:
    """Return B's latency against A's."""
    pair = Pair.of(a, b, seed)
    found = dataclasses.asdict(pair) | ({"reason": pair.reason} if pair.reason else {})
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def kept(a: Evaluation, b: Evaluation, seed: int) -> dict[str, Any]:
    """Return, for every metric, the share of A that B keeps, with its paired interval and the test's p."""
    return {
        name: {"share": one.share, "interval": one.share_interval, "p": one.p}
        for name, one in compare(a, b, seed).items()
    }


def settled(durations: Sequence[int]) -> Latency:
    """Return what counts of an encoder's nanoseconds: what came after the first fifth."""
    return Latency(tuple(durations[stats.dropped(len(durations)) :]))
