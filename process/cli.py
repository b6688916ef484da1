"""`process`: read logs, print their results as JSON, or in another format."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from fmbench import __version__
from fmbench.console import run_main, warn
from fmbench.errors import UsageError
from fmbench.parsing import Parser, nonempty, words

from .reading.results import read_results
from .reading.row import Result
from .reading.row_schema import published_schema
from .reading.sources import find_sources
from .record import records_of
from .trackers import report as trackers
from .writing import formats, output
from .writing.follow import follow

PROGRAM = "process"

EPILOG = """\
what is printed:
  One JSON list, one object a measured shape. A shape whose run was killed is PARTIAL, a shape that failed is ERR,
  and where the platform only simulates the hardware the figures are SIMULATED.

    timestamp    start of the first repetition, seconds since the epoch, as a string
    input batch  tokens a sequence, sequences a batch
    itl          latency: milliseconds a batch, the median after the first fifth of the repetitions
    thp          throughput: sequences a second
    statistics   spread, percentiles and a 95% interval of the median, in milliseconds, from every repetition;
                 stable says whether the median can be trusted, and reason why not
    variant pair in a run that compared variants: which one this is, and how it compares with A
    opts         the arguments of that run; environment: its facts (versions, device, threads)

  --schema describes every field. Warnings go to stderr.

formats:
  json         one list (the default); jsonl: one object a line. Both are written while the logs are read
  csv          one line a shape; columns are the keys joined by dots, such as statistics.p50
  parquet      the same columns, typed, null where nothing is known (the extra parquet)
  markdown     a table for people: the figures that matter, with units and doubts
  html         the same tables and the pictures of `process --plots`, in one page without a script
  openmetrics  gauges for the textfile collector of Prometheus: --out /var/lib/node_exporter/fmbench.prom

trackers:
  --report_to mlflow, tensorboard, wandb (each is an extra) tells them of every driver run: its
  arguments and facts, its figures (of a shape over batch size and over input size), its plots. The results are written
  as ever.
  The trackers' own variables hold: MLFLOW_TRACKING_URI, WANDB_MODE, WANDB_DIR, TENSORBOARD_LOGGING_DIR, ...

exit codes:
  0 done (an empty list included), 1 the output could not be written (a full disk) or a tracker failed,
  2 the command line or a file is wrong

examples:
  process --path run.log
  process --path run.log --metadata_id cluster-7/2025-11-20
  process --path results/ > results.json          every *.log and *.log.gz below the folder
  process --path results/ --format csv --out results.csv
  process --path speed.log --path retrieval.log --path choice.log --records
  process --path run.log --plots plots/
  process --path results/ --dashboard results.html   (the extra dashboard)
  process --path run.log --out run.json --report_to mlflow,tensorboard
  process --follow run.log                        until the run ends, or Ctrl-C
  driver ... | process --path -                   straight from a driver
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_main(PROGRAM, lambda: process(sys.argv[1:] if argv is None else argv))


def process(argv: Sequence[str]) -> int:
    """Print what the command line asks for."""
    parser = build_parser()
    arguments = parser.parse_known(argv)
    check_alone(parser, arguments)
    if arguments.schema:
        sys.stdout.write(published_schema())
    elif arguments.follow is not None:
        follow(arguments.follow, warn)
    elif not arguments.path:
        parser.error("--path is missing: name a log file, a folder of logs, or - for standard input")
    else:
        bad: list[str] = []
        sources = find_sources(arguments.path, "--path ")
        targets = {"--out": arguments.out, "--dashboard": arguments.dashboard}
        output.check_targets(targets, sources)
        alone = len(sources) == 1 and any(targets.values())  # then the file that is there stays as it is
        # Plots show the repetitions themselves, and the page compares them.
        raw = any((arguments.plots, arguments.dashboard, arguments.report_to))
        results = read_results(sources, warn, arguments.metadata_id, None if alone else bad, repetitions=raw)
        deliver(results, arguments)
        if bad:
            sys.stdout.flush()
            several = f"{len(bad)} of the logs could not be read, as said above; the output holds the others"
            raise UsageError(several if len(sources) > 1 else bad[0])
    sys.stdout.flush()
    return 0


def check_alone(parser: Parser, arguments: argparse.Namespace) -> None:
    """Refuse what would be passed over: --follow and --schema write no results, --records is one list of its own."""
    for name in ("format", "plots", "dashboard", "report_to"):
        if arguments.records and getattr(arguments, name) != parser.get_default(name):
            parser.error(f"--records is a JSON list of its own; leave out --{name}")
    for name in ("schema", "follow"):
        given = [key for key, value in vars(arguments).items() if value != parser.get_default(key)]
        if getattr(arguments, name) and given != [name]:
            others = ", ".join(f"--{key}" for key in given if key != name)
            parser.error(f"--{name} stands alone; leave out {others}")


def deliver(results: Iterable[Result], arguments: argparse.Namespace) -> None:
    """Write, draw and report the results. Trackers come last: one that fails takes nothing away."""
    if arguments.records:
        with output.opened(arguments.out) as stream:
            formats.write_json((record.as_json() for record in records_of(results)), stream)
        return
    told = trackers_of(arguments)
    if told:
        results = list(results)
    pictures = arguments.plots is not None or arguments.dashboard is not None
    if pictures:
        results = draw(results, arguments.plots, arguments.dashboard)
    if not pictures or arguments.out is not None:
        write(results, arguments.format, arguments.out)
    if told:
        sys.stdout.flush()
        trackers.report(results, told, arguments.report_project)


def trackers_of(arguments: argparse.Namespace) -> list[trackers.Tracker]:
    """Return the trackers that the command line names. Raises UsageError for one that cannot be used."""
    if not arguments.report_to:
        if arguments.report_project is not None:
            raise UsageError("--report_project is for trackers: name one with --report_to")
        return []
    return trackers.choose(name for names in arguments.report_to for name in names)


def write(results: Iterable[Result], form: str, target: Path | None) -> None:
    """Write results in a format."""
    with output.opened(target) as stream:
        formats.WRITERS[form]((result.row for result in results), stream)


def draw(results: Iterable[Result], folder: Path | None, page: Path | None) -> list[Result]:
    """Draw the plots and the dashboard, print their paths, and return the results for whoever else wants them."""
    if page is not None:
        from .dashboard.page import plotly_script, write_dashboard

        plotly_script()  # where it is missing, that is said before any log is read
    kept = list(results)
    paths: list[Path] = []
    if folder is not None:
        from .plots.draw import write_plots

        paths += write_plots(kept, folder)
    if page is not None:
        write_dashboard(kept, page)
        paths.append(page)
    sys.stdout.writelines(f"{path}\n" for path in paths)
    return kept


def build_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        prog=PROGRAM,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Turn the logs of a driver into one JSON list of results, or another format. It goes to stdout.",
        epilog=EPILOG,
    )
    parser.add_argument(
        "--path",
        action="append",
        type=nonempty,
        metavar="PATH",
        help="log, results in JSON, folder of them or - (standard input), gzip or not; may be repeated",
    )
    parser.add_argument("--metadata_id", metavar="ID", help="text that is repeated in every result, to find it by")
    parser.add_argument(
        "--format", choices=list(formats.WRITERS), default="json", help="how to write them (default: json)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write to a file, whole or not at all")
    parser.add_argument(
        "--records", action="store_true", help="one object a configuration instead: what all logs say of it, joined"
    )
    parser.add_argument(
        "--plots", type=Path, metavar="DIR", help="draw plots (PNG, SVG) and print their paths; results then need --out"
    )
    parser.add_argument(
        "--dashboard",
        type=Path,
        metavar="FILE",
        help="write a page for the browser (HTML) and print its path; results then need --out",
    )
    parser.add_argument(
        "--report_to",
        action="append",
        type=words,
        metavar="NAME,NAME",
        help="tell experiment trackers too: mlflow, tensorboard, wandb",
    )
    parser.add_argument("--report_project", type=nonempty, metavar="NAME", help="the project there (default: fmbench)")
    parser.add_argument(
        "--follow", type=nonempty, metavar="LOG", help="show a run while it goes on: a row for what ends, the time left"
    )
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of the list, and stop")
    parser.add_argument("--version", action="version", version=f"fmbench {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
