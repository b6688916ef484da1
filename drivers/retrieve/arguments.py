"""The command lines of the retrieval driver: one parser a task, one dataclass for all of them."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Literal, get_args

from fmbench import __version__
from fmbench.collection.arguments import (
    SIMILARITIES,
    DataArguments,
    add_data_arguments,
    add_identical_arguments,
    check_data,
)
from fmbench.encoder import add_encoder_arguments, take_recipe
from fmbench.encoder.recipe import flag as yes_or_no
from fmbench.errors import UsageError
from fmbench.options import SUBOPTION_HELP, add_model_arguments, read
from fmbench.parsing import Parser, adder, decimal, flag, natural, positive, sizes
from fmbench.search.compression import Compression, add_compression_arguments, check_rescore

from .precision import add_normalisation

DEPTH = 100  # documents retrieved a query, where no k asks for more or less
RunFormat = Literal["trec", "tsv", "jsonl"]
QRELS_FORMATS = ("tsv", "grouped")

DESCRIPTIONS = {
    "encode": "Encode a corpus and its queries into an embedding cache, on one platform. The log goes to stdout.",
    "search": "Find the k nearest documents of every query, exactly. The log goes to stdout.",
    "evaluate": "Measure how good a model's rankings are, and how fast it encodes and searches, in one record.",
    "mine": "Find hard negatives for training: documents that rank high and are not relevant.",
}

EXAMPLES = {
    "encode": "fmbench retrieve encode --platform cpu --model_name models/minilm --dataset data/scifact \\\n"
    "      --encoding_cache_dir cache",
    "search": "fmbench retrieve search --platform cpu --model_name models/minilm --dataset data/scifact \\\n"
    "      --search_topk 100 --output_dir runs/minilm",
    "evaluate": "fmbench retrieve evaluate --platform cpu --model_name models/minilm --dataset data/scifact\n"
    "  torchrun --nproc_per_node 2 -m fmbench retrieve evaluate ...   # the corpus is divided over the processes",
    "mine": "fmbench retrieve mine --platform cpu --model_name models/minilm --dataset data/scifact --split train \\\n"
    "      --search_topk 20 --relative_margin 0.05 --output_dir negatives",
}


@dataclass(frozen=True, kw_only=True)
class RetrieveArguments(DataArguments):
    """One command line of the retrieval driver, read. What a task does not ask has its default."""

    search_topk: int | None = None
    per_device_matmul_batch_size: int | None = None
    precompute_corpus_embs: bool = False
    processes: int = 1
    fair_sharding: bool = False
    compress: tuple[Compression, ...] = ()
    rescore: int | None = None
    k: tuple[int, ...] = ()
    gold_data_path: Path | None = None
    predictions_path: Path | None = None
    title_normalisation: str = "none"
    overwrite_output_dir: bool = False
    run_format: RunFormat = "trec"
    no_annot_in_mined_hn: bool = True
    special_docids: Path | None = None
    merge_mined_qrels: bool = False
    output_qrel_format: Literal["tsv", "grouped"] = "tsv"
    skip_first: int = 0
    max_negative_score: float | None = None
    absolute_margin: float | None = None
    relative_margin: float | None = None
    sample: int | None = None

    @property
    def depth(self) -> int:
        """Documents retrieved a query."""
        asked = (*self.ir_metrics_k_values, *self.k) if self.task == "evaluate" else (DEPTH,)
        return self.search_topk or max(asked)


@cache
def build_parser(task: str, program: str) -> Parser:
    """Return the parser of one task."""
    parser = Parser(
        prog=program,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=DESCRIPTIONS[task],
        epilog=f"{SUBOPTION_HELP}\nexample:\n  {EXAMPLES[task]}\n",
    )
    add_model_arguments(parser)
    add_encoder_arguments(parser)
    if task in ("encode", "evaluate"):
        add_processes(parser)
    for add in GROUPS[task]:
        add(parser)
    parser.add_argument("--version", action="version", version=f"fmbench {__version__}")
    return parser


def add_processes(parser: Parser) -> None:
    """Add how many processes encode."""
    adder(parser.add_argument_group("processes"))(
        "--processes", type=positive, metavar="N",
        help="divide the corpus over N processes, which share --threads (default: 1)",
    )  # fmt: skip


def add_search_arguments(parser: Parser, depth: str = str(DEPTH)) -> None:
    """Add how to search; `depth` is the default of --search_topk in words."""
    group = parser.add_argument_group("search")
    add = adder(group)
    add(
        "--search_topk",
        type=positive,
        metavar="K",
        help=f"documents retrieved a query (default: {depth})",
    )
    add("--similarity", choices=SIMILARITIES, help="default: what the model's folder says, else cosine")
    add("--per_device_matmul_batch_size", type=positive, metavar="N", help="documents compared at once")
    flag(group, "--precompute_corpus_embs", "encode the whole corpus before the search; else both go hand in hand")
    flag(group, "--fair_sharding", "under torchrun, give faster devices more documents, by measured throughput")
    add("--latency_queries", type=natural, metavar="N", help="queries timed one by one (default: 100; 0: none)")


def add_output_arguments(parser: Parser, need: str = "required: ") -> None:
    """Add where files go; `need` begins the help of what some tasks cannot do without."""
    group = parser.add_argument_group("output")
    add = adder(group)
    add("--output_dir", type=Path, metavar="DIR", help=f"{need}write files below this folder, one folder a data set")
    flag(group, "--overwrite_output_dir", "write into a folder that holds something already")


def add_run_arguments(parser: Parser) -> None:
    """Add how rankings are written."""
    add = adder(parser.add_argument_group("rankings"))
    add(
        "--run_format",
        choices=get_args(RunFormat),
        help="trec (default), tsv: qid, pid, rank, score; jsonl: one object a query",
    )
    add("--special_docids", type=Path, metavar="FILE", help="write the scores of these pairs of query and document "
        "too, found or not: a file as of --qrels")  # fmt: skip


def add_metric_arguments(parser: Parser) -> None:
    """Add what is computed from a ranking."""
    group = parser.add_argument_group("quality")
    add = adder(group)
    add("--ir_metrics_k_values", type=sizes, metavar="K,K,...", help="cut-offs of nDCG, MAP, Recall, P, MRR, Success "
        "(default: 1,3,5,10,100)")  # fmt: skip
    add("--ir_metrics_relevance_threshold", type=decimal, metavar="GAIN", help="least gain that is relevant (default: "
        "1); nDCG takes every gain as it is")  # fmt: skip
    add("--k", type=sizes, metavar="K,K,...", help="precision@k curve with its ceiling, from the one search")
    add("--gold_data_path", type=Path, metavar="FILE", help="with --k: relevant page titles, a query a line, joined by "
        "tabs; the curve is then over pages")  # fmt: skip
    add("--predictions_path", type=Path, metavar="FILE", help="write the retrieved titles in that format")
    add_normalisation(group)


def add_mining_arguments(parser: Parser) -> None:
    """Add which documents are hard negatives."""
    group = parser.add_argument_group("negatives")
    add = adder(group)
    add("--no_annot_in_mined_hn", nargs="?", const=True, type=yes_or_no, metavar="yes|no", help="leave out every "
        "judged document, those of gain 0 too; no lets relevant ones in (default: yes)")  # fmt: skip
    flag(group, "--merge_mined_qrels", "one file a data set, not one a pair of query file and corpus file")
    add("--output_qrel_format", choices=QRELS_FORMATS, help="tsv (default) or grouped JSON lines")
    add("--skip_first", type=natural, metavar="N", help="leave the N best out: they may be unjudged positives")
    add("--max_negative_score", type=decimal, metavar="SCORE", help="leave out what scores higher")
    add("--absolute_margin", type=decimal, metavar="SCORE", help="least distance below the positive's score")
    add("--relative_margin", type=decimal, metavar="SHARE", help="the same, as a share of the positive's score")
    add("--sample", type=positive, metavar="N", help="draw N of those that are left at random, instead of the best")


GROUPS: dict[str, tuple[Callable[[Parser], None], ...]] = {
    "encode": (partial(add_data_arguments, cache="required: "),),
    "search": (
        add_data_arguments, add_search_arguments, add_identical_arguments, add_compression_arguments,
        add_output_arguments, add_run_arguments,
    ),
    "evaluate": (
        add_data_arguments, partial(add_search_arguments, depth="the largest k asked for"), add_identical_arguments,
        add_compression_arguments, add_metric_arguments, partial(add_output_arguments, need=""), add_run_arguments,
    ),
    "mine": (add_data_arguments, add_search_arguments, add_mining_arguments, add_output_arguments),
}  # fmt: skip


def parse_arguments(task: str, argv: Sequence[str], program: str) -> RetrieveArguments:
    """Read the command line of one task without importing torch. Raises UsageError."""
    values = read(build_parser(task, program), argv)
    arguments = RetrieveArguments(task=task, recipe=take_recipe(values), **values)
    check(arguments)
    return arguments


def check(arguments: RetrieveArguments) -> None:
    """Raise UsageError for arguments that do not go together."""
    check_data(arguments)
    files = not arguments.dataset
    if files and not (arguments.corpus and arguments.queries):
        raise UsageError("--corpus and --queries belong together")
    if arguments.task == "evaluate" and files and not (arguments.qrels or arguments.gold_data_path):
        raise UsageError("evaluate needs --qrels: without judgements nothing can be said of quality")
    if arguments.gold_data_path is not None and not arguments.k:
        raise UsageError("--gold_data_path: say where to look with --k 1,2,3,5,10")
    if arguments.predictions_path is not None and not arguments.k:
        raise UsageError("--predictions_path: titles are written with the curve that --k 1,2,3,5,10 asks for")
    check_rescore(arguments.compress, arguments.rescore, arguments.depth, " (--search_topk)")
    if arguments.task == "encode" and arguments.encoding_cache_dir is None:
        raise UsageError("encode keeps its vectors in --encoding_cache_dir DIR; name it")
    if arguments.special_docids is not None and arguments.output_dir is None:
        raise UsageError("--special_docids: the scores go into a file; name its folder with --output_dir DIR")
    if arguments.task in ("search", "mine") and arguments.output_dir is None:
        raise UsageError(f"{arguments.task} writes files; name their folder with --output_dir DIR")
    deepest = max((*arguments.ir_metrics_k_values, *arguments.k), default=1)
    if arguments.task == "evaluate" and arguments.depth < deepest:
        raise UsageError(f"--search_topk {arguments.depth}: k = {deepest} is asked for, and nothing is known beyond "
                         "the depth of the search; raise it")  # fmt: skip


def check_passing(arguments: RetrieveArguments, model: str, kept: Mapping[str, str]) -> None:
    """Raise UsageError for what needs vectors that stay; of this model they pass by. `kept` says why, by option."""
    if arguments.task not in ("evaluate", "search"):
        raise UsageError(
            f"{model}: `retrieve evaluate` and `retrieve search` take it, `retrieve {arguments.task}` does not"
        )
    for name, why in kept.items():
        if getattr(arguments, name):
            raise UsageError(f"--{name}: {model}, and {why}; leave it out")
