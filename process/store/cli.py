"""`fmbench results ...`: keep logs and results, find them again, ask them questions."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from fmbench.console import run_main
from fmbench.errors import UsageError, nearest
from fmbench.options import Parser

from . import keep, look
from .arguments import PROGRAM

COMMANDS: Mapping[str, Callable[[Sequence[str]], int]] = {
    "add": keep.add_logs,
    "list": look.list_entries,
    "show": look.show_entries,
    "query": look.query,
    "export": look.export_results,
    "check": keep.check,
    "remove": keep.remove,
}

EPILOG = """\
commands:
  add LOG...     keep logs: each is packed, and its results are computed; one that is there already stays as it is
  list           a row an entry: where, when, what, how many results
  show           the results of entries as a table, or the medians of groups (--by)
  query SQL      ask in SQL: the tables `results` (a row a shape) and `runs` (a row an entry)
  export         the results as a Parquet data set that Spark, Trino and DuckDB read
  check          is every file what it was?
  remove ENTRY   remove one entry

  `fmbench results COMMAND --help` says more.

a store:
  A folder, or a URL such as s3://bucket/results (pip install 'fmbench[remote]'), named with --store; ./results if not.
  One entry a log: MACHINE/RUN/driver.log.gz, results.json (what `process` makes of the log) and environment.json (the
  facts of the run, and the digests of the files). MACHINE is named after the hardware that the log speaks of, RUN
  after its time, its driver and its content. Other commands read it as it is: fmbench show results/

examples:
  fmbench results add run.log
  fmbench results list
  fmbench results query 'SELECT model, batch, itl FROM results ORDER BY itl'
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    program = f"{PROGRAM} {words[0]}" if words and words[0] in COMMANDS else PROGRAM
    return run_main(program, lambda: results(words))


def results(argv: Sequence[str]) -> int:
    """Find the command and hand it the rest of the command line."""
    if not argv or argv[0].startswith("-"):
        build_parser().parse_known(argv)
        raise UsageError(f"name a command: {', '.join(COMMANDS)} (see {PROGRAM} --help)")
    name, *rest = argv
    if name not in COMMANDS:
        raise UsageError(f"unknown command {name!r}{nearest(name, COMMANDS)} (commands: {', '.join(COMMANDS)})")
    return COMMANDS[name](rest)


def build_parser() -> Parser:
    """Return the parser of a command line that names no command."""
    return Parser(
        prog=PROGRAM,
        usage=f"{PROGRAM} COMMAND ...",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Keep logs with their results, find them again, ask them questions.",
        epilog=EPILOG,
    )


if __name__ == "__main__":
    sys.exit(main())
