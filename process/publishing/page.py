"""`make results`: writes results/README.md and its plots from the logs of the published runs.

The same logs give the same bytes. Everything comes from results/MACHINE/RUN/driver.log.gz.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from fmbench.console import run_main, warn
from fmbench.errors import UsageError
from fmbench.markdown import plain

from ..reading.joined import joined
from ..reading.results import read_results
from ..reading.row import Result
from ..reading.sources import Source
from ..workload import workload_name
from ..writing import output
from .plots import write_machine_plots
from .quality import reports, student_sections, workload_sections, write_student_plots
from .speed_table import machine_facts, tables

PROGRAM = "python -m fmbench.process.publishing.page"
LOG = "driver.log.gz"
README = "README.md"
PLOTS = "plots"

BEGINNING = """\
# Results

Measured by this project on its own machines; nothing is copied from elsewhere. `make results` writes this page from the
logs below, which hold every repetition, and from the tables that commands printed beside them: do not edit it. `make
measure` measures the speed, and `results/measure_quality.sh` the quality, on your machine.

"""
LEGEND = """\
Speed: a row is a model as it was set up, on one input size; a column is a batch size. Random weights have the
architecture of the published ones, and a forward pass costs the same. Timed is the forward pass. Each figure is the
median repetition ± half the width of its 95 % interval; where several processes measured it, the median of theirs ±
half the width of the interval between them. One with a \\* should not be trusted: the last column says why (`fmbench
show` on the log says it in full, and [trust a figure](../docs/how-to/trust-a-figure.md) what that means).

"""
NONE = "None is published yet.\n"


@dataclass(frozen=True, slots=True)
class Published:
    """One published run: the names of its machine and of its folder, and its results."""

    machine: str
    run: str
    results: Sequence[Result]

    @property
    def speed(self) -> list[Result]:
        """The results of the speed driver."""
        return [result for result in self.results if workload_name(result.row) == "speed"]


@dataclass(frozen=True, slots=True)
class Plots:
    """The plots of one machine: of the speed driver, and of students by data set."""

    speed: Sequence[Path]
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
    """Return every run of a results folder, by machine and name. Raises UsageError for a log that cannot be read."""
    found = []
    for path in sorted(folder.glob(f"*/*/{LOG}")):
        results = list(joined(read_results([Source(path)], warn)))
        if results:
            found.append(Published(path.parent.parent.name, path.parent.name, results))
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
            write_machine_plots(machine, [result for run in members for result in run.speed], target),
            write_student_plots(machine, results_of(members), target),
        )
        for machine, members in machines_of(runs).items()
    }
    kept = {path for plots in made.values() for path in (*plots.speed, *plots.students.values())}
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
    return BEGINNING + LEGEND + "\n".join(sections)


def section(machine: str, runs: Sequence[Published], plots: Plots, said: Sequence[str]) -> str:
    """Return what is said of one machine."""
    results = results_of(runs)
    parts = [f"## {plain(machine)}", f"{plain(machine_facts(results))}. {counts(runs)}."]
    parts.append(
        "Logs: " + ", ".join(f"[{plain(run.run)}]({quote(f'{machine}/{run.run}')}/{LOG})" for run in runs) + "."
    )
    parts += [f"![{plain(path.stem)}]({PLOTS}/{path.name})" for path in plots.speed]
    speed = [(run.run, run.speed) for run in runs if run.speed]
    for title, table in tables(speed).items() if speed else ():
        parts += [f"### {title}", table.rstrip("\n")]
    parts += [*workload_sections(results), *student_sections(results, plots.students, PLOTS), *said]
    return "\n\n".join(parts) + "\n"


def counts(runs: Sequence[Published]) -> str:
    """Return how many shapes were measured, and how many of them are in doubt or failed."""
    rows = [result.row for run in runs for result in run.speed]
    failed = sum(row["status"] == "ERR" for row in rows)
    doubted = sum(row["status"] != "ERR" and (row["statistics"] or {}).get("stable") is not True for row in rows)
    return f"{len(runs)} run{'s' if len(runs) > 1 else ''}, {len(rows)} shapes: {doubted} in doubt, {failed} failed"


if __name__ == "__main__":
    sys.exit(main())
