"""`make results`: writes results/README.md and its plots from the logs of the published runs.

The same logs give the same bytes. Everything comes from results/MACHINE/RUN/driver.log.gz.
"""

import html
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from fmbench.console import run_main, warn
from fmbench.errors import UsageError
from fmbench.markdown import markdown, plain

from ..advice import advice_of
from ..reading.joined import joined
from ..reading.results import read_results
from ..reading.row import Result
from ..reading.sources import Source
from ..record import Record, comparable, records_of
from ..record import table_of as record_tables
from ..writing import output
from .narrow import narrow
from .plots import write_machine_plots
from .quality import reports, student_sections, titled, workload_sections, write_student_plots
from .speed_table import machine_facts, tables

PROGRAM = "python -m fmbench.process.publishing.page"
LOG = "driver.log.gz"
LOOSE = "*/*.log.gz"
README = "README.md"
PLOTS = "plots"

BEGINNING = """\
# Results

Measured by fmbench on the machines below; nothing is copied from elsewhere. `make results` writes this page from the
logs below, which hold every repetition, and from the tables that commands printed beside them: do not edit it. `make
measure` measures the speed, `fmbench sweep results/choice.yaml` what to run, and `results/quality.yaml` the quality, on
your machine.

"""
LEGEND = """\
A line of a table is a configuration: a model as it was set up, with all that was measured of it. Figures in a column
are of the same shape or data set: the median ± half the width of its 95 % interval, over repetitions, processes or
queries. One with a \\* is in doubt ([trust a figure](../docs/how-to/trust-a-figure.md)); the details say why. Random
weights have the architecture of the published ones, and a forward pass costs the same. Where such a model read texts,
as for a choice, the tokenizer was that of all-MiniLM-L6-v2; its cosines say that a configuration computes what float32
does with these weights, and nothing of how well it retrieves.

Below float32 a vector depends a little on the texts that share its batch: commands that divide the texts differently
differ by some ten-thousandths of nDCG in one precision, as bfloat16 and OpenVINO do here, and not at all in float32.

"""
NONE = "None is published yet.\n"


@dataclass(frozen=True, slots=True)
class Published:
    """One published run: the names of its machine and of its folder, its log, and its results."""

    machine: str
    run: str
    path: Path
    results: Sequence[Result]

    @property
    def speed(self) -> list[Result]:
        """The results of the speed driver."""
        return [result for result in self.results if result.row["workload"] == "speed"]


@dataclass(frozen=True, slots=True)
class Plots:
    """The plots of one machine: by model, and of students by data set."""

    models: Mapping[str, Sequence[Path]]
    students: Mapping[str, Path]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_main(PROGRAM, lambda: publish(sys.argv[1:] if argv is None else argv))


def publish(argv: Sequence[str]) -> int:
    """Write the page of a results folder, and its plots. Raises UsageError for what is none."""
    if len(argv) != 1 or argv[0].startswith("-"):
        raise UsageError("name the results folder, and nothing else: python -m fmbench.process.publishing.page results")
    folder = Path(argv[0])
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    runs = published_runs(folder)
    plots = write_plots(folder, runs)
    text = page(folder, runs, plots)
    with output.opened(folder / README) as stream:
        stream.write(text)
    return 0


def published_runs(folder: Path) -> list[Published]:
    """Return every run of a results folder, by machine and name. Raises UsageError for a log that cannot be read.

    A log that a command wrote beside the runs of a machine (LOOSE) is a run too.
    """
    found = []
    for path in sorted([*folder.glob(f"*/*/{LOG}"), *folder.glob(LOOSE)]):
        results = list(joined(read_results([Source(path)], warn)))
        if results:
            place = path.parent if path.name == LOG else path
            found.append(Published(place.parent.name, place.name.removesuffix(".log.gz"), path, results))
    return found


def machines_of(runs: Iterable[Published]) -> dict[str, list[Published]]:
    """Return the runs of each machine."""
    found: dict[str, list[Published]] = {}
    for run in runs:
        found.setdefault(run.machine, []).append(run)
    return found


def write_plots(folder: Path, runs: Sequence[Published]) -> dict[str, Plots]:
    """Draw the plots of each machine and return their paths; those of runs that are gone are removed."""
    target = folder / PLOTS
    if runs:
        target.mkdir(exist_ok=True)
    made = {
        machine: Plots(
            write_machine_plots(machine, results_of(members), target),
            write_student_plots(machine, results_of(members), target),
        )
        for machine, members in machines_of(runs).items()
    }
    kept = {
        path for plots in made.values() for paths in (*plots.models.values(), plots.students.values()) for path in paths
    }
    for path in target.glob("*.png"):
        if path not in kept:
            path.unlink(missing_ok=True)
    return made


def results_of(runs: Iterable[Published]) -> list[Result]:
    """Return the results of some runs."""
    return [result for run in runs for result in run.results]


def page(folder: Path, runs: Sequence[Published], plots: Mapping[str, Plots]) -> str:
    """Return the text of the page."""
    if not runs:
        return BEGINNING + NONE
    sections = [
        section(machine, members, plots[machine], reports(folder / machine))
        for machine, members in machines_of(runs).items()
    ]
    return narrow(BEGINNING + LEGEND + "\n".join(sections))


def section(machine: str, runs: Sequence[Published], plots: Plots, said: Sequence[str]) -> str:
    """Return what is said of one machine: its records, its plots, and folded below them the details."""
    results = [result for run in runs for result in run.results]
    details: list[str] = []
    prefix = "".join(letter for letter in machine[-8:] if letter.isalnum()) + "-"  # one list of notes on the page
    records = records_of(results)
    notes = {run.run: f"[^{prefix}{number}]" for number, run in enumerate(runs, start=1)}
    said_of = f"{plain(machine_facts(results))}. {counts(runs)}. The logs: {' '.join(notes.values())}"
    parts = [f"## {plain(machine)}", said_of]
    for (model, _), members in comparable(records).items():
        title = titled(model, [one.configuration.facts for one in members])
        speed = [(notes[run.run], [one for one in run.speed if one.row["model"] == model]) for run in runs]
        parts += [f"### {plain(title)}", record_table(members), *advice_lines(members, results)]
        parts += [f"![{plain(path.stem)}]({PLOTS}/{path.name})" for path in plots.models.get(model, ())]
        names = {one.configuration.id: one.name for one in members}
        details += [folded(f"{title}: {what}", text) for what, text in tables(speed, names).items()]
    logs = {str(run.path): notes[run.run] for run in runs}
    details += [folded(*cut(text)) for text in [*workload_sections(results, logs), *said]]
    parts += [*student_sections(results, plots.students, PLOTS), *details]
    return "\n\n".join([*parts, *(f"{notes[run.run]}: [{plain(run.run)}]({link(run)})" for run in runs)]) + "\n"


def advice_lines(records: Sequence[Record], results: Sequence[Result]) -> list[str]:
    """Return what to run, where that can be said."""
    said = advice_of(records, results).rstrip(".")
    return [f"**{plain(said[0].upper() + said[1:])}.**"] if said else []


def record_table(records: Sequence[Record]) -> str:
    """Return the records of one model as Markdown."""
    made = record_tables(records)
    return markdown(made.header, made.lines, made.right).rstrip("\n")


def link(run: Published) -> str:
    """Return the address of a run's log, from the page."""
    return quote("/".join(run.path.parts[-2 if run.path.name != LOG else -3 :]))


def folded(title: str, text: str) -> str:
    """Return a part that a reader opens."""
    return f"<details><summary>{html.escape(title)}</summary>\n\n{text.strip()}\n\n</details>"


def cut(text: str) -> tuple[str, str]:
    """Return the heading of a part without its sign, and what is below it."""
    heading, _, below = text.partition("\n")
    return heading.lstrip("# "), below


def counts(runs: Sequence[Published]) -> str:
    """Return how many shapes were measured, and how many of them are in doubt or failed."""
    rows = [result.row for run in runs for result in run.speed]
    failed = sum(row["status"] == "ERR" for row in rows)
    doubted = sum(row["status"] != "ERR" and (row["statistics"] or {}).get("stable") is not True for row in rows)
    return f"{len(runs)} run{'s' if len(runs) > 1 else ''}, {len(rows)} shapes: {doubted} in doubt, {failed} failed"


if __name__ == "__main__":
    sys.exit(main())
