"""Step frontier: the logs of `evaluate` as one table and one plot."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from fmbench import lines
from fmbench.console import note, warn
from fmbench.errors import UsageError, first_line
from fmbench.markdown import harmless
from fmbench.parsing import Once, Parser, nonempty
from fmbench.process.frontier import Point, frontier_table, plot

METRIC = "ndcg_cut_10"
DESCRIPTION = """\
Read logs of `fmbench distill evaluate`, one or many, and print a table a data set: what each student keeps of the
teacher's quality, and how many times faster it answers. The Pareto front is marked.
"""


def frontier(argv: Sequence[str]) -> int:
    """Run `fmbench distill frontier`: print the tables and draw the plots."""
    values = build_parser("fmbench distill frontier").parse_known(argv)
    points = list(read_points(values.logs, values.metric))
    datasets = list(dict.fromkeys(point.dataset for point in points))
    if not points:
        raise UsageError("the logs hold no result of `fmbench distill evaluate`")
    for dataset in datasets:
        chosen = [point for point in points if point.dataset == dataset]
        sys.stdout.write(f"{harmless(dataset)}, {harmless(values.metric)}\n\n{frontier_table(chosen)}\n")
        if values.plot is not None:
            target = named(values.plot, dataset, alone=len(datasets) == 1)
            draw(chosen, f"{dataset}: {values.metric}", target)
            note(f"plot: {target}")
    return 0


def build_parser(program: str) -> Parser:
    """Return the parser of this step."""
    parser = Parser(
        prog=program, allow_abbrev=False, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("logs", nargs="+", type=Path, metavar="LOG", help="logs of `fmbench distill evaluate`")
    parser.add_argument("--metric", action=Once, type=nonempty, default=METRIC, help=f"default: {METRIC}")
    parser.add_argument("--plot", action=Once, type=Path, metavar="FILE", help="PNG or SVG, one a data set")
    return parser


def read_points(logs: Iterable[Path], metric: str) -> Iterator[Point]:
    """Yield every student of every log. Raises UsageError for a file that cannot be read or lacks the metric."""
    for path in logs:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise UsageError(f"{path}: {first_line(error)}") from None
        for row in evaluations(text.splitlines(), path):
            if metric not in row["kept"]:
                raise UsageError(f"--metric {metric}: not in {path} (there are {', '.join(row['kept'])})")
            if row["kept"][metric]["share"] is None:
                warn(f"{path}: the teacher's {metric} on {row['dataset']} is zero, so nothing can be kept of it")
                continue
            yield Point.of(row, metric)


def evaluations(text: Iterable[str], path: Path) -> Iterator[dict]:
    """Yield what each DST line of `evaluate` says; a damaged line is said and passed over."""
    for number, line in enumerate(text, 1):
        try:
            found = lines.parse_line(line)
        except lines.LineError as error:
            warn(f"{path}, line {number}: {error}")
            continue
        if isinstance(found, lines.Dst) and found.data.get("stage") == "evaluate":
            yield found.data


def named(target: Path, dataset: str, alone: bool) -> Path:
    """Return the file of a data set's plot."""
    return target if alone else target.with_name(f"{target.stem}-{dataset}{target.suffix}")


def draw(points: Sequence[Point], title: str, target: Path) -> None:
    """Draw a plot. Raises UsageError for a target that cannot be written, or of an unknown kind."""
    try:
        plot(points, title, target)
    except (OSError, ValueError) as error:
        raise UsageError(f"--plot {target}: {first_line(error)}") from None
