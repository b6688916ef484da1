"""`process`: read logs, print their results as JSON, or in another format."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from fmbench import __version__
from fmbench.console import run_main, warn
from fmbench.errors import UsageError
from fmbench.parsing import Parser, nonempty

from . import formats, output
from .follow import follow
from .reader import find_sources
from .records import read_records
from .results import Record, schema_text

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
  parquet      the same columns, typed, null where nothing is known (pip install 'fmbench[parquet]')
  markdown     a table for people: the figures that matter, with units and doubts
  openmetrics  gauges for the textfile collector of Prometheus: --out /var/lib/node_exporter/fmbench.prom

exit codes:
  0 done (an empty list included), 1 the output could not be written (a full disk),
  2 the command line or a file is wrong

examples:
  process --path run.log
  process --path run.log --metadata_id cluster-7/2025-11-20
  process --path results/ > results.json          every *.log and *.log.gz below the folder
  process --path results/ --format csv --out results.csv
  process --path run.log --plots plots/
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
    if arguments.schema:
        sys.stdout.write(schema_text())
    elif arguments.follow is not None:
        follow(arguments.follow, warn)
    elif not arguments.path:
        parser.error("--path is missing: name a log file, a folder of logs, or - for standard input")
    else:
        bad: list[str] = []
        sources = find_sources(arguments.path, "--path ")
        alone = len(sources) == 1 and arguments.out is not None  # then the file that is there stays as it is
        records = read_records(sources, warn, arguments.metadata_id, None if alone else bad)
        if arguments.plots is not None:
            records = plotted(records, arguments.plots)
        if arguments.plots is None or arguments.out is not None:
            write(records, arguments.format, arguments.out)
        if bad:
            sys.stdout.flush()
            several = f"{len(bad)} of the logs could not be read, as said above; the output holds the others"
            raise UsageError(several if len(sources) > 1 else bad[0])
    sys.stdout.flush()
    return 0


def write(records: Iterable[Record], form: str, target: Path | None) -> None:
    """Write results in a format."""
    with output.opened(target) as stream:
        formats.WRITERS[form]((record.row for record in records), stream)


def plotted(records: Iterable[Record], folder: Path) -> Iterator[Record]:
    """Draw the plots, print their paths, and return the results for whoever else wants them."""
    from .plots import write_plots

    kept = list(records)
    for path in write_plots(kept, folder):
        sys.stdout.write(f"{path}\n")
    return iter(kept)


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
        "--plots", type=Path, metavar="DIR", help="draw plots (PNG, SVG) and print their paths; results then need --out"
    )
    parser.add_argument("--follow", metavar="LOG", help="show a run while it goes on: a row a shape, and the time left")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of the list, and stop")
    parser.add_argument("--version", action="version", version=f"fmbench {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
