"""`fmbench retrieve precision`: the precision@k curve of a file of predicted page titles, without any model."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from fmbench import lines, session
from fmbench.console import warn
from fmbench.errors import UsageError
from fmbench.parsing import Parser, nonempty, sizes
from fmbench.ranking.pages import NONE, STEPS, normaliser, read_pages
from fmbench.ranking.precision_curve import K_VALUES, page_curve

EPILOG = """\
files:
  One question a line, titles joined by tabs: the gold file has the titles of the relevant pages, the predictions file
  those of the retrieved passages in rank order (`fmbench retrieve evaluate --predictions_path` writes one). Both must
  have as many lines.

  precision is the share of the first k that is relevant, ceiling what a perfect retriever would have. A k beyond the
  retrieved depth is refused: nothing is known there, and the figure would only fall with 1/k.

example:
  fmbench retrieve precision --gold_data_path gold.tsv --predictions_path predictions.tsv --k 1,2,3,5
"""


def precision(argv: Sequence[str]) -> int:
    """Print the curve as an IRM line."""
    parser = Parser(
        prog="fmbench retrieve precision",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Precision of page titles as k grows, under its ceiling.",
        epilog=EPILOG,
    )
    for name, text in (("gold_data_path", "titles of the relevant pages"), ("predictions_path", "retrieved titles")):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="FILE", help=text)
    parser.add_argument(
        "--k", type=sizes, metavar="K,K,...", help="where to look (default: those of "
        f"{','.join(map(str, K_VALUES))} that the longest line of the predictions is deep enough for)",
    )  # fmt: skip
    add_normalisation(parser)
    arguments = parser.parse_known(argv)
    for path in (arguments.gold_data_path, arguments.predictions_path):
        if not path.is_file():
            raise UsageError(f"{path}: no such file")
    normaliser(arguments.title_normalisation)
    predictions, gold = read_pages(arguments.predictions_path), read_pages(arguments.gold_data_path)
    ks = arguments.k or within(max(map(len, predictions), default=0))
    curve = page_curve(predictions, gold, ks, normalisation=arguments.title_normalisation)
    if curve.shortest < curve.k[-1]:
        warn(
            f"{arguments.predictions_path}: the shortest line has {curve.shortest} titles; beyond, up to k = "
            f"{curve.k[-1]}, what it does not have counts as wrong"
        )
    with session.open("retrieve") as run:
        run.begin()
        run.log.write(
            lines.JsonLine("IRM", {"dataset": arguments.predictions_path.stem, "precision_curve": curve.row()})
        )
    return 0


def within(depth: int) -> tuple[int, ...]:
    """Return the usual cutoffs that a depth allows; the first in any case, so that what is refused is said of it."""
    return tuple(k for k in K_VALUES if k <= depth) or K_VALUES[:1]


def add_normalisation(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add how titles are compared."""
    parser.add_argument(
        "--title_normalisation",
        type=nonempty,
        default=NONE,
        metavar="STEP,...",
        help=f"what makes two spellings one title: {', '.join(STEPS)} (default: none); the result says it",
    )
