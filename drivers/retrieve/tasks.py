"""What each task does with the data sets, one after the other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from fmbench import lines, session
from fmbench.checks import Checked, check_encoder
from fmbench.collection import Dataset, Qrels
from fmbench.collection.qrels import write_qrels
from fmbench.console import warn
from fmbench.distributed import Group
from fmbench.distributed.environment import keep_stacks_out, read_launch, said_once, with_device
from fmbench.distributed.local import share_of_threads, start_ranks
from fmbench.embeddings.compressed import CompressedSearch, check_compression, quality
from fmbench.encoder import CHUNK, EncoderPlan
from fmbench.encoder.late import LateEncoder
from fmbench.errors import UsageError
from fmbench.ranking import measures
from fmbench.ranking.evaluation import Evaluation
from fmbench.ranking.measures import evaluate as judge
from fmbench.ranking.mined_files import write_mined
from fmbench.ranking.pages import as_pages, read_pages, titles_of, write_pages
from fmbench.ranking.precision_curve import Curve, document_curve, page_curve
from fmbench.search import TopK
from fmbench.search.compression import check_dimensions
from fmbench.torch_settings import spin_briefly

from .arguments import RetrieveArguments, parse_arguments
from .data import check_all, open_datasets
from .files import check_empty, check_files, folder_of, output_folder, say_written, write_json, write_rankings
from .late import LateSearched, check_late
from .mining import Scores, mined_from, pair_scores, rules_of
from .retrieval import Retrieval
from .searching import Searched
from .sparse import SparseSearched, check_sparse

Work = Callable[[Retrieval, Dataset], None]


def encode(argv: Sequence[str]) -> int:
    """Run `fmbench retrieve encode`."""
    return run("encode", encode_dataset, argv)


def search(argv: Sequence[str]) -> int:
    """Run `fmbench retrieve search`."""
    return run("search", search_dataset, argv)


def evaluate(argv: Sequence[str]) -> int:
    """Run `fmbench retrieve evaluate`."""
    return run("evaluate", evaluate_dataset, argv)


def mine(argv: Sequence[str]) -> int:
    """Run `fmbench retrieve mine`."""
    return run("mine", mine_dataset, argv)


def check(task: str, argv: Sequence[str]) -> Checked:
    """Return what the command line of a task amounts to. Raises UsageError and PlatformError."""
    arguments = parse_arguments(task, argv, f"fmbench retrieve {task}")
    rules_of(arguments)
    datasets = open_datasets(arguments)
    checked = check_encoder(arguments, arguments.recipe, table=True)
    again = () if arguments.output_dir is None else ("--overwrite_output_dir",)
    free = partial(check_empty, arguments)
    return replace(checked, model=lambda: {**checked.model(), **data_facts(datasets)}, again=again, check_free=free)


check_encode, check_search, check_evaluate, check_mine = (
    partial(check, task) for task in ("encode", "search", "evaluate", "mine")
)


def run(task: str, work: Work, argv: Sequence[str]) -> int:
    """Run a task on this rank; what is wrong with the input is said by one rank."""
    with said_once():
        return run_here(task, work, argv)


def run_here(task: str, work: Work, argv: Sequence[str]) -> int:
    """Check everything that can be checked quickly, then do the work for every data set."""
    arguments = parse_arguments(task, argv, f"fmbench retrieve {task}")
    rules_of(arguments)
    launch = read_launch()
    arguments = share_of_threads(arguments, arguments.processes, launch)
    if arguments.processes > 1 and launch.world_size == 1:
        return start_ranks(arguments.processes, ["retrieve", task, *argv])
    if launch.world_size > 1:
        keep_stacks_out()
    spin_briefly()
    datasets = open_datasets(arguments)
    if task == "evaluate":
        measures.check()
    plan = EncoderPlan.of(with_device(arguments, launch), arguments.recipe, table=True, late=True, sparse=True)
    if plan.folder.late is not None:
        check_late(arguments, plan.folder.path)
    elif plan.folder.sparse is not None:
        check_sparse(arguments, plan.folder.path)
    elif task != "encode":
        plan.similarity(arguments.similarity)
    check_dimensions(arguments.compress, plan.dimension)
    check_files(arguments)
    with (
        Group(launch) as group,  # before all that one rank alone may fail at: the others would wait for it
        output_folder(arguments, launch),
        session.open("retrieve", arguments, leads=launch.rank == 0) as run,
    ):
        check_all(datasets, arguments, quiet=group.rank > 0)
        retrieval = Retrieval.set_up(arguments, plan, run, group)
        check_compression(arguments.compress, retrieval.encoder.dimension)
        if group.rank == 0:
            run.log.write(lines.JsonLine("ENV", data_facts(datasets)))
        for dataset in datasets:
            say_idle(dataset, group)
            run.log.banner(task.upper(), dataset.name)
            work(retrieval, dataset)
        run.end(plan.platform.ask_model_facts())
    return 0


def data_facts(datasets: Sequence[Dataset]) -> dict[str, Any]:
    """Return what decides the figures of data sets."""
    return {"data": {dataset.name: dataset.facts() for dataset in datasets}}


def say_idle(dataset: Dataset, group: Group) -> None:
    """Warn of processes that have nothing to encode: the corpus is divided by chunks."""
    count = dataset.corpus.count()
    idle = group.world_size - -(-count // CHUNK)
    if group.rank == 0 and idle > 0:
        warn(f"{dataset.name}: {idle} of {group.world_size} processes have nothing to encode: of {count:,} passages, "
             f"each {CHUNK} go to one")  # fmt: skip


def encode_dataset(retrieval: Retrieval, dataset: Dataset) -> None:
    """Encode queries and corpus into the cache."""
    retrieval.embed(dataset.queries, "query", dataset.name)
    retrieval.embed(dataset.corpus, "passage", dataset.name)


def search_dataset(retrieval: Retrieval, dataset: Dataset) -> None:
    """Search, and write the rankings."""
    found = searched(retrieval, dataset)
    top = found.top(retrieval.arguments.depth)
    score_pairs(retrieval, dataset, found)
    if retrieval.group.rank == 0:
        write_rankings(retrieval.arguments, dataset, top)
    compress(retrieval, dataset, found, top, None)


def score_pairs(retrieval: Retrieval, dataset: Dataset, found: Searched) -> None:
    """Write the scores of the pairs of --special_docids, whether the search found them or not."""
    path = retrieval.arguments.special_docids
    if path is None:
        return
    pairs = Qrels.load([path])
    scores = pair_scores(found, pairs.documents(), retrieval.group)
    if retrieval.group.rank == 0:
        if (missing := pairs.judgements - sum(map(len, scores.values()))) > 0:
            warn(f"--special_docids {path}: {missing} pairs name a query or a document that {dataset.name} lacks")
        target = folder_of(retrieval.arguments, dataset) / "special_docs.tsv"
        write_qrels(scores, target)
        say_written("scores of chosen pairs", [target])


def evaluate_dataset(retrieval: Retrieval, dataset: Dataset) -> None:
    """Search, and judge the rankings."""
    search = searched(retrieval, dataset)
    top = search.top(retrieval.arguments.depth)
    score_pairs(retrieval, dataset, search)
    found = None
    if retrieval.group.rank == 0:
        found = judged(top.run(), dataset, retrieval.arguments)
        write_quality(retrieval, dataset, top, found)
    compress(retrieval, dataset, search, top, found)


def write_quality(retrieval: Retrieval, dataset: Dataset, top: TopK, found: Evaluation | None) -> None:
    """Print how good the rankings are, and write files where they are asked for."""
    arguments, run = retrieval.arguments, top.run()
    row = {"dataset": dataset.name, "ignore_identical_ids": arguments.ignore_identical_ids}
    row["other_documents"] = dataset.other_documents
    row |= found.row() if found else {}
    if arguments.k:
        row["precision_curve"] = curve_of(run, dataset, arguments).row()
    retrieval.log.write(lines.JsonLine("IRM", row))
    if found is not None:
        retrieval.log.write(lines.JsonLine("IRQ", {"dataset": dataset.name, **found.query_row()}))
    if arguments.output_dir is not None:
        write_rankings(arguments, dataset, top)
        if found is not None:
            folder = folder_of(arguments, dataset)
            write_json(folder / "metrics.json", found.means())
            write_json(folder / "metrics_by_query.json", found.by_query())


def compress(retrieval: Retrieval, dataset: Dataset, found: Searched, top: TopK, exact: Evaluation | None) -> None:
    """Search the vectors compressed as the command line asks, and print a CODE line each. Every rank takes part."""
    arguments = retrieval.arguments
    if not arguments.compress or found.documents is None:
        return
    compressed = CompressedSearch(
        queries=found.queries, documents=found.documents, reference=top, similarity=retrieval.similarity,
        depth=arguments.depth, ignore_identical_ids=arguments.ignore_identical_ids,
        latency_queries=arguments.latency_queries, group=retrieval.group, clock=retrieval.clock,
    )  # fmt: skip
    for row, ranking in compressed.results(arguments.compress, arguments.rescore):
        if retrieval.group.rank > 0:
            continue
        judgement = judged(ranking.run(), dataset, arguments) if exact is not None else None
        row |= quality(exact, judgement) if exact is not None and judgement is not None else {}
        retrieval.log.write(lines.JsonLine("CODE", {"dataset": dataset.name, **row}))
        if arguments.output_dir is not None:
            write_rankings(arguments, dataset, ranking, vectors_named(row))


def vectors_named(row: Mapping[str, Any]) -> str:
    """Return what the file of a ranking by compressed vectors is called after."""
    return f"{row['vectors']}-rescored-{row['rescore']}" if row["rescore"] else str(row["vectors"])


def judged(run: Scores, dataset: Dataset, arguments: RetrieveArguments) -> Evaluation | None:
    """Return the metrics of a run, or None where only pages are judged."""
    if dataset.qrels is None:
        return None
    return judge(
        run,
        dataset.qrels,
        arguments.ir_metrics_k_values,
        threshold=arguments.ir_metrics_relevance_threshold,
        depth=arguments.depth,
        seed=arguments.seed,
    )


def curve_of(run: Scores, dataset: Dataset, arguments: RetrieveArguments) -> Curve:
    """Return the precision curve of a run: over pages where a gold file is given, else over documents."""
    pages = retrieved_pages(run, dataset) if arguments.gold_data_path or arguments.predictions_path else []
    if arguments.predictions_path is not None:
        write_pages(pages, arguments.predictions_path)
        say_written("titles", [arguments.predictions_path])
    if arguments.gold_data_path is not None:
        gold, steps = read_pages(arguments.gold_data_path), arguments.title_normalisation
        return page_curve(pages, gold, arguments.k, normalisation=steps, depth=arguments.depth, seed=arguments.seed)
    if dataset.qrels is None:
        raise UsageError(f"{dataset.name}: no judgements")
    return document_curve(
        run,
        dataset.qrels,
        arguments.k,
        threshold=arguments.ir_metrics_relevance_threshold,
        depth=arguments.depth,
        seed=arguments.seed,
    )


def retrieved_pages(run: Scores, dataset: Dataset) -> list[list[str]]:
    """Return the titles of what was retrieved, a query an entry, in the order of the query files."""
    rankings = [list(run.get(query.id, {})) for query in dataset.queries]
    return as_pages(rankings, titles_of(dataset.corpus, {name for ranking in rankings for name in ranking}))


def mine_dataset(retrieval: Retrieval, dataset: Dataset) -> None:
    """Search, and write hard negatives."""
    arguments = retrieval.arguments
    if dataset.qrels is not None and not arguments.no_annot_in_mined_hn:
        warn("judged documents, relevant ones too, may be among the negatives: --no_annot_in_mined_hn no")
    mined = mined_from(Searched(retrieval, dataset, precompute=True), dataset, rules_of(arguments), retrieval.group)
    if retrieval.group.rank > 0:
        return
    paths = write_mined(
        mined.negatives, folder_of(arguments, dataset), dataset, arguments.output_qrel_format,
        merge=arguments.merge_mined_qrels,
    )  # fmt: skip
    retrieval.log.write(lines.JsonLine("IRM", {"dataset": dataset.name, "mined": mined.row()}))
    say_written("negatives", paths)


def searched(retrieval: Retrieval, dataset: Dataset) -> Searched:
    """Return a data set to search: encoded before, where a cache or the command line asks for it, else meanwhile."""
    arguments = retrieval.arguments
    if isinstance(retrieval.encoder, LateEncoder):
        return LateSearched(retrieval, dataset)
    if retrieval.encoder.sparse:
        return SparseSearched(retrieval, dataset)
    again = arguments.special_docids is not None or bool(arguments.compress)  # the vectors are read more than once
    before = arguments.precompute_corpus_embs or arguments.encoding_cache_dir is not None or again
    return Searched(retrieval, dataset, before)
