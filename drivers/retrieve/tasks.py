"""What each task does with the data sets, one after the other."""

from collections.abc import Callable, Sequence
from typing import Any

from fmbench import host, lines
from fmbench.collection import Dataset
from fmbench.console import reserved_stdout, terminable, warn
from fmbench.encoder import EncoderPlan
from fmbench.errors import UsageError
from fmbench.log import LogWriter
from fmbench.ranking.measures import evaluate as judge
from fmbench.ranking.mined_files import write_mined
from fmbench.ranking.precision_curve import document_curve

from .arguments import parse_arguments
from .data import check_datasets, open_datasets
from .files import check_output, folder_of, say_written, write_json, write_rankings
from .mining import mined_from, rules_of, run_of
from .searching import Searched
from .session import Session

Work = Callable[[Session, Dataset], None]


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


def run(task: str, work: Work, argv: Sequence[str]) -> int:
    """Check everything that can be checked quickly, then do the work for every data set."""
    arguments = parse_arguments(task, argv, f"fmbench retrieve {task}")
    rules_of(arguments)
    datasets = open_datasets(arguments)
    plan = EncoderPlan.of(arguments, arguments.recipe)
    check_output(arguments)
    check_datasets(datasets, arguments.strict)
    with terminable(), reserved_stdout() as stdout:
        log = LogWriter(stdout)
        session = Session.open(arguments, plan, log)
        for dataset in datasets:
            log.banner(task.upper(), dataset.name)
            work(session, dataset)
        log.write(lines.Env({**plan.platform.model_facts(), **host.load_facts("end")}))
    return 0


def encode_dataset(session: Session, dataset: Dataset) -> None:
    """Encode queries and corpus into the cache."""
    session.embed(dataset.queries, "query", dataset.name)
    session.embed(dataset.corpus, "passage", dataset.name)


def search_dataset(session: Session, dataset: Dataset) -> None:
    """Search, and write the rankings."""
    write_rankings(session.arguments, dataset, searched(session, dataset).top(session.arguments.depth))


def evaluate_dataset(session: Session, dataset: Dataset) -> None:
    """Search, and judge the rankings."""
    arguments = session.arguments
    if dataset.qrels is None:
        raise UsageError(f"{dataset.name}: no judgements")
    top = searched(session, dataset).top(arguments.depth)
    given: Any = {
        "threshold": arguments.ir_metrics_relevance_threshold,
        "depth": arguments.depth,
        "seed": arguments.seed,
    }
    found = judge(run_of(top), dataset.qrels, arguments.ir_metrics_k_values, **given)
    row = {"dataset": dataset.name, **found.row()}
    if arguments.k:
        row["precision_curve"] = document_curve(run_of(top), dataset.qrels, arguments.k, **given).row()
    session.log.write(lines.Irm(row))
    if arguments.output_dir is not None:
        write_rankings(arguments, dataset, top)
        folder = folder_of(arguments, dataset)
        write_json(folder / "metrics.json", found.means())
        write_json(folder / "metrics_by_query.json", found.by_query())


def mine_dataset(session: Session, dataset: Dataset) -> None:
    """Search, and write hard negatives."""
    arguments = session.arguments
    if dataset.qrels is not None and not arguments.no_annot_in_mined_hn:
        warn("judged documents may be among the negatives; --no_annot_in_mined_hn leaves them out")
    mined = mined_from(Searched(session, dataset, precompute=True), dataset, rules_of(arguments))
    paths = write_mined(
        mined.negatives, folder_of(arguments, dataset), dataset, arguments.output_qrel_format,
        merge=arguments.merge_mined_qrels,
    )  # fmt: skip
    session.log.write(lines.Irm({"dataset": dataset.name, "mined": mined.row()}))
    say_written("negatives", paths)


def searched(session: Session, dataset: Dataset) -> Searched:
    """Return a data set to search: encoded before, where a cache or the command line asks for it, else meanwhile."""
    arguments = session.arguments
    return Searched(session, dataset, arguments.precompute_corpus_embs or arguments.encoding_cache_dir is not None)
