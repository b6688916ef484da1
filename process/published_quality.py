"""The published results on quality: retrieval, students beside their teacher, and what fidelity commands printed."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fmbench.markdown import markdown, plain

from . import retrieval_view
from .distillation import is_distillation
from .frontier import HEADER, RIGHT, frontier_rows, plot, points_of
from .published_plots import ODD
from .retrieval_view import is_retrieval

HEADING = re.compile(r"^##? ", re.MULTILINE)
STUDENTS = """\
Kept: the share of the teacher's nDCG@10, the student's queries searching the teacher's passages, with the 95 % interval
of a bootstrap over queries, in pairs. Speed-up: of the median query, one at a time, from the text to the vector and
tokenisation included, both encoders taking turns on the same queries. A student is named by its folder, and that by the
collection whose texts it learned from. Where that is the collection that is searched, its titles and sentences stood in
for queries: such a row shows what a student keeps on a corpus that was there before the queries were, and nothing of
another corpus. The rows that learned from the other collection alone show that."""


def retrieval_sections(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the table of retrieval runs: speed and quality of one model, build and device side by side."""
    chosen = [dict(row) for row in rows if is_retrieval(dict(row)) and not is_distillation(dict(row))]
    return ["### Retrieval", markdown(*retrieval_view.cells(chosen)).rstrip("\n")] if chosen else []


def student_sections(rows: Iterable[Mapping[str, Any]], plots: Mapping[str, Path], folder: str) -> list[str]:
    """Return a table and a plot a data set. `plots` are the files by data set, in `folder`."""
    parts: list[str] = []
    for dataset, points in points_of(rows).items():
        parts += [f"### Students on {plain(dataset)}"] + ([] if parts else [STUDENTS])
        parts += [f"![{plain(plots[dataset].stem)}]({folder}/{plots[dataset].name})"]
        parts += [markdown(HEADER, frontier_rows(points), RIGHT).rstrip("\n")]
    return parts


def write_student_plots(machine: str, rows: Iterable[Mapping[str, Any]], folder: Path) -> dict[str, Path]:
    """Draw quality kept against speed-up, and return the files by data set."""
    found = {}
    for dataset, points in points_of(rows).items():
        found[dataset] = folder / f"{ODD.sub('-', f'{machine}-students-{dataset}')}.png"
        plot(points, f"{dataset}: nDCG@10 kept against speed-up", found[dataset])
    return found


def reports(folder: Path) -> list[str]:
    """Return what commands printed into a machine's folder as Markdown, below the machine's heading."""
    return [HEADING.sub("### ", path.read_text(encoding="utf-8")).rstrip("\n") for path in sorted(folder.glob("*.md"))]
