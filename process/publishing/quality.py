"""The published results on quality: retrieval, students beside their teacher, and what fidelity commands printed."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fmbench.markdown import markdown, plain

from ..frontier import HEADER, METRIC, RIGHT, Point, frontier_rows
from ..reading.row import Result
from ..workload import Table, by_workload
from .plots import ODD

OWN = ("speed", "distillation")  # workloads whose sections are more than their tables
HEADING = re.compile(r"^##? ", re.MULTILINE)
STUDENTS = """\
Kept: the share of the teacher's nDCG@10, the student's queries searching the teacher's passages, with the 95 % interval
of a bootstrap over queries, in pairs. Speed-up: of the median query, one at a time, from the text to the vector and
tokenisation included, both encoders taking turns on the same queries. A student is named by its folder, and that by the
collection whose texts it learned from. Where that is the collection that is searched, its titles and sentences stood in
for queries: such a row shows what a student keeps on a corpus that was there before the queries were, and nothing of
another corpus. The rows that learned from the other collection alone show that."""


def workload_sections(results: Iterable[Result], notes: Mapping[str, str]) -> list[str]:
    """Return the tables of each workload, a model under its name, but of those that have sections of their own.

    `notes` are the footnotes of the logs.
    """
    parts: list[str] = []
    for workload, members in by_workload(results):
        if workload.name in OWN:
            continue
        for model in dict.fromkeys(short(result.row["model"]) for result in members):
            own = [result for result in members if short(result.row["model"]) == model]
            logs = " ".join(dict.fromkeys(notes[result.source] for result in own))
            tables = map(said, workload.tables(own))
            title = titled(model, [result.row["environment"] or {} for result in own])
            parts.append("\n\n".join([f"### {title}: {workload.name}", *tables, f"From {logs}"]))
    return parts


def said(table: Table) -> str:
    """Return a table between the sentences that it opens with and those that stand below it."""
    cells = markdown(table.header, table.lines, table.right).rstrip("\n")
    title = [f"**{plain(table.title)}**"] if table.title else []
    return "\n\n".join([*title, *map(plain, table.lead), cells, *map(plain, table.notes)])


def titled(model: str | None, facts: Iterable[Mapping[str, Any]]) -> str:
    """Return what a model is called, and that its weights are random."""
    weights = {one["weights"] for one in facts if one.get("weights")}
    return short(model) + (", random weights" if weights == {"random"} else "")


def short(model: str | None) -> str:
    """Return a model's name without its folder: rows of a candidate that failed have it where others do not."""
    return (model or "unknown model").rpartition("/")[2]


def student_sections(results: Iterable[Result], plots: Mapping[str, Path], folder: str) -> list[str]:
    """Return a table and a plot a data set. `plots` are the files by data set, in `folder`."""
    parts: list[str] = []
    for dataset, members in students(results).items():
        points = [Point.of(result.row, METRIC) for result in members]
        parts += [f"### Students on {plain(dataset)}"] + ([] if parts else [STUDENTS])
        parts += [f"![{plain(plots[dataset].stem)}]({folder}/{plots[dataset].name})"]
        parts += [markdown(HEADER, frontier_rows(points), RIGHT).rstrip("\n")]
    return parts


def students(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Return the students by data set; the teacher, which is measured beside them, is no student."""
    found: dict[str, list[Result]] = {}
    for result in results:
        kept = (result.row.get("distillation") or {}).get("kept") or {}
        if kept.get(METRIC, {}).get("share"):
            found.setdefault(result.row["retrieval"]["dataset"], []).append(result)
    return found


def write_student_plots(machine: str, results: Iterable[Result], folder: Path) -> dict[str, Path]:
    """Draw quality kept against speed-up, and return the files by data set."""
    from ..plots import canvas
    from ..plots.tradeoff import kept_speed

    found = {}
    with canvas.look():
        for dataset, members in students(results).items():
            made, stem = kept_speed(members), ODD.sub("-", f"{machine}-students-{dataset}")
            if not isinstance(made, str):
                (found[dataset],) = canvas.save(made, folder, stem, ("png",))
    return found


def reports(folder: Path) -> list[str]:
    """Return what commands printed into a machine's folder as Markdown, below the machine's heading."""
    return [HEADING.sub("### ", path.read_text(encoding="utf-8")).rstrip("\n") for path in sorted(folder.glob("*.md"))]
