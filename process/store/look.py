"""`fmbench results list`, `show`, `query` and `export`: what is in a store."""

import sys
from collections.abc import Sequence
from pathlib import Path

from fmbench.console import note, warn
from fmbench.errors import UsageError
from fmbench.parsing import nonempty, words
from fmbench.table import table

from ..writing import formats, output
from ..writing.columns import text_of
from ..writing.show import failed_text, tables_as_text
from ..writing.view import harmless
from . import answers
from .arguments import ENTRIES, parser_of
from .export import export
from .query import answer
from .rows import runs
from .store import Store

LIST = """\
examples:
  fmbench results list
  fmbench results list nvidia-h200                     the machines whose names begin so
  fmbench results list --format json | jq -r '.[].run'
"""

SHOW = """\
The table of `fmbench show`, from the results of entries; `fmbench show --help` explains it.

examples:
  fmbench results show
  fmbench results show nvidia-h200 --by model,batch
  fmbench results show 20251121T014300Z-embed-3f2a
"""

QUERY = """\
tables:
  results   a row a shape: machine, run, and the columns of `process --format csv`. Names with dots go in quotes:
            "statistics.p50". Facts of runs have short names too: threads is "environment.threads", as in
            `show --by threads`. DESCRIBE results lists them all.
  runs      a row an entry: machine, run, started, driver, models, platforms, results, failed, repaired (failed, and a
            newer run of the same cell stands for it), cell (of a sweep), exit_code (null: it took too long, or was
            refused), log_bytes, log_sha256, fmbench (the version that added it)

  It is DuckDB's SQL (the extra sql), on a copy: the store cannot be changed. Other files are out of reach;
  --files lets the SQL read them, and write them.

examples:
  fmbench results query "SELECT machine, model, batch, itl FROM results WHERE status = 'OK' ORDER BY itl"
  fmbench results query 'SELECT model, min("statistics.p50") AS best FROM results GROUP BY model'
  fmbench results query 'FROM runs' --format csv --out runs.csv
"""

EXPORT = """\
what is written:
  machine=NAME/results.parquet, a file a machine with a row a shape, as Spark, Trino, DuckDB and pyarrow read a
  partitioned data set. Every file has the same columns and types. What an earlier export left there is replaced.

examples:
  fmbench results export --out lake/
  fmbench results export --out s3://bucket/lake --store s3://bucket/results
"""


def list_entries(argv: Sequence[str]) -> int:
    """Print a row an entry."""
    parser = parser_of("list", "List the entries of a store.", LIST)
    parser.add_argument("entries", nargs="*", type=nonempty, metavar="ENTRY", help=ENTRIES)
    parser.add_argument("--format", choices=["table", "json"], default="table", help="how to say it (default: table)")
    arguments = parser.parse_known(argv)
    store = Store.existing(arguments.store)
    rows = list(runs(store, store.choose(arguments.entries), warn))
    with output.opened(None) as stream:
        if arguments.format == "json":
            formats.write_json(rows, stream)
        else:
            header = ["machine", "run", "models", "platforms", "results", "failed"]
            header += ["repaired"] if any(row["repaired"] for row in rows) else []
            stream.write(table(header, [[said(row[name]) for name in header] for row in rows], right=(4, 5, 6)))
    return 0


def said(value: object) -> str:
    """Return a cell as people read it."""
    return harmless(", ".join(map(text_of, value)) if isinstance(value, list) else text_of(value))


def show_entries(argv: Sequence[str]) -> int:
    """Print the results of entries as a table."""
    parser = parser_of("show", "Print the results of entries as a table.", SHOW)
    parser.add_argument("entries", nargs="*", type=nonempty, metavar="ENTRY", help=ENTRIES)
    parser.add_argument(
        "--by", type=words, action="extend", metavar="KEY,KEY", help="medians a group instead of a row a shape"
    )
    arguments = parser.parse_known(argv)
    store = Store.existing(arguments.store)
    found = list(store.results(store.choose(arguments.entries), warn))
    text = tables_as_text(found, arguments.by, origin="entry") + ("" if arguments.by else failed_text(found))
    with output.opened(None) as stream:
        stream.write(text)
    return 0


def query(argv: Sequence[str]) -> int:
    """Print what SQL gives."""
    parser = parser_of("query", "Ask a store in SQL.", QUERY)
    parser.add_argument("sql", type=nonempty, metavar="SQL", help="one statement that gives rows")
    parser.add_argument("--format", choices=list(answers.WRITERS), default="table", help="default: table")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write to a file, whole or not at all")
    parser.add_argument("--files", action="store_true", help="let the SQL read and write other files")
    arguments = parser.parse_known(argv)
    store = Store.existing(arguments.store)
    if arguments.out is not None and store.place.holds(arguments.out):
        raise UsageError(f"--out {arguments.out}: lies in the store {store.name}; name a file outside of it")
    with answer(store, arguments.sql, arguments.files, warn) as found, output.opened(arguments.out) as stream:
        answers.WRITERS[arguments.format](found, stream)
    return 0


def export_results(argv: Sequence[str]) -> int:
    """Write a Parquet data set, and print its files."""
    parser = parser_of("export", "Write the results as a partitioned Parquet data set.", EXPORT)
    parser.add_argument("--out", type=nonempty, required=True, metavar="DIR|URL", help="an empty or a new folder")
    arguments = parser.parse_known(argv)
    files = export(Store.existing(arguments.store), arguments.out, warn)
    sys.stdout.writelines(f"{arguments.out.rstrip('/')}/{file}\n" for file in files)
    if not files:
        note(f"{arguments.store}: holds no entries, so that there is nothing to export")
    return 0
