"""`fmbench retrieve fuse`: one ranking of several runs, say of a dense and a sparse model, and how good it is."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fmbench import lines, session
from fmbench.collection import Dataset
from fmbench.collection.files import some
from fmbench.console import warn
from fmbench.errors import UsageError
from fmbench.parsing import Parser, decimal, nonempty, paths, positive, sizes
from fmbench.ranking.fusion import K, Run, fuse
from fmbench.ranking.measures import K_VALUES, evaluate
from fmbench.search.runs import read_run, write_run

KINDS = ("trec", "tsv", "jsonl")
EPILOG = """\
  The sum of 1 / (k + rank) over the runs is the score of a document (Cormack, Clarke and Buettcher, 2009): scores of
  different models need not be comparable. Runs are files that `fmbench retrieve search` and `evaluate` write; their
  ranks count, their scores only have to fall with them. Sums are added in float64 and held in float32, as a run file
  has them; equal ones are ordered by document id, the last first, as everywhere here and in trec_eval.

example:
  fmbench retrieve fuse --runs dense/scifact/run.trec,sparse/scifact/run.trec --dataset data/scifact --out hybrid.trec
"""


ARGUMENTS: dict[str, dict[str, Any]] = {
    "runs": {"type": paths, "required": True, "metavar": "FILE,FILE,...", "help": "runs, in .trec, .tsv or .jsonl"},
    "dataset": {"type": Path, "required": True, "metavar": "DIR", "help": "the collection, in BEIR's layout"},
    "split": {"type": nonempty, "default": "test", "metavar": "NAME", "help": "which judgements (default: test)"},
    "rrf_k": {"type": positive, "default": K, "metavar": "K", "help": f"weakens the first ranks (default: {K})"},
    "search_topk": {"type": positive, "default": 100, "metavar": "N", "help": "documents kept a query (default: 100)"},
    "ir_metrics_k_values": {"type": sizes, "default": K_VALUES, "metavar": "K,K,...", "help": "cut-offs"},
    "ir_metrics_relevance_threshold": {
        "type": decimal, "default": 1.0, "metavar": "GAIN", "help": "least gain that is relevant (default: 1)",
    },
    "out": {"type": Path, "metavar": "FILE", "help": "write the ranking, in .trec, .tsv or .jsonl"},
}  # fmt: skip


def fusion(argv: Sequence[str]) -> int:
    """Fuse runs, print how good the result is as IRM and IRQ lines, and write it where that is asked for."""
    arguments = build_parser().parse_known(argv)
    if len(arguments.runs) < 2:
        raise UsageError("--runs: name two runs at least, as in --runs dense.trec,sparse.trec")
    if len(set(arguments.runs)) < len(arguments.runs):
        raise UsageError("--runs: one file is named twice; its ranks would count twice")
    if arguments.out is not None and arguments.out.suffix.removeprefix(".") not in KINDS:
        raise UsageError(f"--out {arguments.out}: end it in .trec, .tsv or .jsonl, which says its format")
    if arguments.out is not None and arguments.out.resolve() in [path.resolve() for path in arguments.runs]:
        raise UsageError(f"--out {arguments.out}: is one of --runs; name another file")
    dataset = Dataset.from_folder(arguments.dataset, arguments.split)
    if dataset.qrels is None:
        raise UsageError(f"{dataset.name}: has no folder qrels; without judgements nothing can be said of quality")
    runs = {path: read_run(path) for path in arguments.runs}
    check_runs(runs, dataset)
    top = fuse(list(runs.values()), arguments.search_topk, arguments.rrf_k)
    found = evaluate(top.run(), dataset.qrels, arguments.ir_metrics_k_values,
                     threshold=arguments.ir_metrics_relevance_threshold, depth=arguments.search_topk)  # fmt: skip
    with session.open("retrieve") as run:
        run.begin()
        run.log.write(lines.JsonLine("ENV", {
            "task": "fuse", "runs": [path.name for path in arguments.runs], "rrf_k": arguments.rrf_k,
            "depth": arguments.search_topk, "data": {dataset.name: dataset.facts()},
        }))  # fmt: skip
        run.log.write(lines.JsonLine("IRM", {"dataset": dataset.name, **found.row()}))
        run.log.write(lines.JsonLine("IRQ", {"dataset": dataset.name, **found.query_row()}))
    if arguments.out is not None:
        write_run(arguments.out, top, arguments.out.suffix.removeprefix("."))
    return 0


def check_runs(runs: Mapping[Path, Run], dataset: Dataset) -> None:
    """Warn of queries that a run does not rank or ranks to another depth, and of documents that the corpus lacks.

    Raises UsageError for a run that has no query, or no document, of the collection.
    """
    queries = {query.id for query in dataset.queries}
    named = {path: {name for names in run.values() for name in names} for path, run in runs.items()}
    unknown = set().union(*named.values()).difference(document.id for document in dataset.corpus)
    for path, run in runs.items():
        lost, strange = len(queries - run.keys()), sorted(named[path] & unknown)
        if lost == len(queries):
            raise UsageError(f"--runs {path}: none of its queries is one of {dataset.name}'s that are judged")
        if len(strange) == len(named[path]):
            raise UsageError(f"--runs {path}: none of its documents is in the corpus of {dataset.name}")
        if lost:
            warn(f"{path}: queries of {dataset.name} that it does not rank: {lost:,} of {len(queries):,}")
        if strange:
            warn(f"{path}: documents that are not in the corpus of {dataset.name}: {len(strange):,} ({some(strange)})")
    uneven = sum(len({len(run[query]) for run in runs.values() if query in run}) > 1 for query in queries)
    if uneven:
        depths = ", ".join(f"{path} {max(map(len, run.values()))}" for path, run in runs.items())
        warn(f"queries that the runs do not rank to one depth: {uneven:,} of {len(queries):,} (the deepest: {depths}); "
             "a document below the end of the shorter one gets nothing from it")  # fmt: skip


def build_parser() -> Parser:
    """Return the parser."""
    parser = Parser(
        prog="fmbench retrieve fuse", allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Fuse several rankings of the same queries by reciprocal ranks, and judge the result.",
        epilog=EPILOG,
    )  # fmt: skip
    for name, options in ARGUMENTS.items():
        parser.add_argument(f"--{name}", **options)
    return parser
