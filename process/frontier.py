"""Query encoders side by side: what each keeps of the teacher's quality, and how much faster it is.

`fmbench distill frontier` prints it of logs, and the published results have it.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmbench.console import note, warn
from fmbench.errors import UsageError, first_line
from fmbench.markdown import harmless
from fmbench.parsing import Parser, nonempty
from fmbench.table import table

from .reading.results import read_results
from .reading.row import Result
from .reading.sources import find_sources

METRIC = "ndcg_cut_10"
DESCRIPTION = """\
Read logs of `fmbench distill evaluate`, one or many, and print a table a data set: what each student keeps of the
teacher's quality, and how many times faster it answers. The Pareto front is marked.
"""
HEADER = ("student", "kept", "95% interval", "speed-up", "95% interval", "p50 ms", "p99 ms", "parameters", "Pareto")
RIGHT = (1, 3, 5, 6, 7)


@dataclass(frozen=True)
class Point:
    """One student on one data set: shares of the teacher's quality kept, times faster, each with its interval."""

    name: str
    dataset: str
    kept: float
    kept_interval: tuple[float, float] | None
    speed_up: float
    speed_up_interval: tuple[float, float] | None
    latency_ms: dict[str, float]
    parameters: int

    @classmethod
    def of(cls, row: Mapping[str, Any], metric: str) -> "Point":
        """Take a result of `fmbench distill evaluate`. Raises KeyError for one without this metric."""
        said = row["distillation"]
        kept, pair = said["kept"][metric], said["pair"]
        ratio_interval = pair.get("interval")
        return cls(
            name=row["model"],
            dataset=row["retrieval"]["dataset"],
            kept=kept["share"],
            kept_interval=tuple(kept["interval"]) if kept["interval"] else None,
            speed_up=1 / pair["ratio"],
            speed_up_interval=(1 / ratio_interval[1], 1 / ratio_interval[0]) if ratio_interval else None,
            latency_ms=said["latency_ms"],
            parameters=said["parameters"],
        )


def points_of(rows: Iterable[Mapping[str, Any]], metric: str = METRIC) -> dict[str, list[Point]]:
    """Return the query encoders by data set, the teacher among them; results without this metric have no place."""
    found: dict[str, list[Point]] = {}
    for row in rows:
        said = row.get("distillation") or {}
        if said.get("pair") and (said.get("kept") or {}).get(metric, {}).get("share") is not None:
            found.setdefault(row["retrieval"]["dataset"], []).append(Point.of(row, metric))
    return found


def on_front(points: Sequence[Point]) -> list[bool]:
    """Say which points no other beats: at least as good and as fast, and better in one of the two (Pareto)."""
    return [
        not any(
            other.kept >= point.kept
            and other.speed_up >= point.speed_up
            and (other.kept, other.speed_up) != (point.kept, point.speed_up)
            for other in points
        )
        for point in points
    ]


def frontier_rows(points: Sequence[Point]) -> list[tuple[str, ...]]:
    """Return the rows of one data set's students, the fastest first; the last cell marks the Pareto front."""
    marks = dict(zip(map(id, points), on_front(points), strict=True))
    return [
        (
            point.name,
            f"{point.kept:.1%}",
            interval(point.kept_interval, "{:.1%}"),
            f"{point.speed_up:.1f}",
            interval(point.speed_up_interval, "{:.1f}"),
            f"{point.latency_ms['p50']:.3f}",
            f"{point.latency_ms['p99']:.3f}",
            f"{point.parameters:,}",
            "front" if marks[id(point)] else "",
        )
        for point in sorted(points, key=lambda point: -point.speed_up)
    ]


def interval(ends: tuple[float, float] | None, form: str) -> str:
    """Return an interval as text."""
    return "" if ends is None else f"{form.format(ends[0])} to {form.format(ends[1])}"


def main(argv: Sequence[str]) -> int:
    """Run `fmbench distill frontier`: print the tables and draw the plots."""
    values = build_parser("fmbench distill frontier").parse_known(argv)
    results = students(values.logs, values.metric)
    found = points_of((result.row for result in results), values.metric)
    if not results:
        raise UsageError("the logs hold no result of `fmbench distill evaluate`")
    for dataset, points in found.items():
        drawn = table(HEADER, frontier_rows(points), right=RIGHT)
        sys.stdout.write(f"{harmless(dataset)}, {harmless(values.metric)}\n\n{drawn}\n")
        if values.plot is not None:
            members = [result for result in results if result.row["retrieval"]["dataset"] == dataset]
            draw(members, file_of(values.plot, dataset, alone=len(found) == 1))
    return 0


def build_parser(program: str) -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        prog=program, allow_abbrev=False, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("logs", nargs="+", type=nonempty, metavar="LOG", help="logs of `fmbench distill evaluate`")
    parser.add_argument("--metric", type=nonempty, default=METRIC, help=f"default: {METRIC}")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="PNG or SVG, one a data set")
    return parser


def students(logs: Sequence[str], metric: str) -> list[Result]:
    """Return the results of every log but the teachers' own. Raises UsageError for a log without the metric."""
    found: list[Result] = []
    for result in read_results(find_sources(logs), warn, repetitions=False):
        said = result.row["distillation"]
        if said is None or not said["kept"] or not said["pair"] or said["pair"]["a"] == said["pair"]["b"]:
            continue
        if metric not in said["kept"]:
            raise UsageError(f"--metric {metric}: not in {result.source} (there are {', '.join(said['kept'])})")
        if said["kept"][metric]["share"] is None:
            dataset = result.row["retrieval"]["dataset"]
            warn(f"{result.source}: the teacher's {metric} on {dataset} is zero, so nothing can be kept of it")
        found.append(result)
    return found


def file_of(target: Path, dataset: str, alone: bool) -> Path:
    """Return the file of a data set's plot."""
    return target if alone else target.with_name(f"{target.stem}-{dataset}{target.suffix}")


def draw(results: Sequence[Result], target: Path) -> None:
    """Draw quality kept against speed-up. Raises UsageError for a target that cannot be written, or of no such kind."""
    from .plots import canvas
    from .plots.tradeoff import kept_speed

    with canvas.look():
        made = kept_speed(results)
        if isinstance(made, str):
            raise UsageError(f"--plot {target}: {made}")
        try:
            made.savefig(target, dpi=150)
        except (OSError, ValueError) as error:
            raise UsageError(f"--plot {target}: {first_line(error)}") from None
    note(f"plot: {target}")
