"""`fmbench show`: results as a table in the terminal."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fmbench.console import run_main, warn
from fmbench.errors import UsageError, nearest
from fmbench.markdown import harmless
from fmbench.parsing import Parser
from fmbench.table import table

from . import output
from .columns import Table, text_of
from .reader import find_sources
from .records import read_records
from .results import Record
from .tables import OTHERS, SHAPES, Maker, table_of

PROGRAM = "fmbench show"

EPILOG = """\
what is shown:
  One row a shape. Latency is the median with half the width of its 95% interval; digits end where doubt begins.
  trust says "stable", or why the median should not be trusted yet, or why the shape failed.
  A data set of `fmbench retrieve` is a row of a second table: documents and queries encoded a second, milliseconds
  to encode and to search one query, and how good the ranking is. A variant of `fmbench fidelity ladder`, and an
  artifact of `fmbench fidelity compare`, is a row of a table of its own too.

  --by gives one row a group instead: the medians over the shapes of the group, how many there are, how many of
  them are in doubt (unstable, cut off, simulated), and how many failed. A key is a column of
  `process --format csv`: model, batch, variant; below environment the last part will do: platform, threads, torch.

examples:
  fmbench show run.log
  fmbench show monday.log tuesday.json results/
  fmbench show results/ --by platform,model,batch
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_main(PROGRAM, lambda: show(sys.argv[1:] if argv is None else argv))


def show(argv: Sequence[str]) -> int:
    """Print what the command line asks for."""
    arguments = build_parser().parse_known(argv)
    text = drawn(read_records(find_sources(arguments.paths), warn, repetitions=False), arguments.by)
    with output.opened(None) as stream:
        stream.write(text)
    return 0


def build_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        prog=PROGRAM,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Print results as a table.",
        epilog=EPILOG,
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="log, results in JSON, folder of them, or -")
    parser.add_argument(
        "--by", type=keys, action="extend", metavar="KEY,KEY", help="medians a group instead of a row a shape"
    )
    return parser


def keys(text: str) -> list[str]:
    """Read a comma list of keys."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found:
        raise argparse.ArgumentTypeError("no key is named")
    return list(dict.fromkeys(found))


def drawn(records: Iterable[Record], by: Sequence[str] | None, origin: str = "log") -> str:
    """Return results as a table: a row a shape, or, by some keys, a row a group. `origin` heads their sources."""
    return grouped(records, by) if by else one_by_one(records, origin)


def one_by_one(records: Iterable[Record], origin: str) -> str:
    """Return a row a shape; what other drivers measured has tables of its own."""
    others: dict[Maker, list[Record]] = {make: [] for make in OTHERS}

    def shapes() -> Iterator[Record]:
        for record in records:
            make = table_of(record.row)
            if make is SHAPES:
                yield record
            else:
                others[make].append(record)

    above, count = one_table(SHAPES, shapes(), origin)
    below = [one_table(make, found, origin)[0] for make, found in others.items() if found]
    return "\n".join([above, *below] if count or not below else below)


def one_table(make: Maker, records: Iterable[Record], origin: str) -> tuple[str, int]:
    """Return a table and how many rows it has; with the log that each is from where there are several."""
    sources: list[str] = []

    def rows() -> Iterator[dict[str, Any]]:
        for record in records:
            sources.append(record.source)
            yield record.row

    header, lines, right = make(rows())
    if len(set(sources)) > 1:
        lines = [[harmless(source), *line] for source, line in zip(sources, lines, strict=True)]
        return table([origin, *header], lines, [column + 1 for column in right]), len(sources)
    return table(header, lines, right), len(sources)


def grouped(records: Iterable[Record], by: Sequence[str]) -> str:
    """Return a row a group. Raises UsageError for a key that no result has."""
    from .pivot import pivot

    with Table(record.row for record in records) as rows:
        chosen = [resolve(key, sorted(rows.found)) for key in by] if rows.found else list(by)
        lines = pivot(rows, chosen)
    header = [*by, "latency ms", "sequences/s", "shapes", "in doubt", "failed"]
    texts = [[harmless(text_of(cell)) for cell in line] for line in lines]
    numeric = [column for column in range(len(by)) if all(is_numeric(line[column]) for line in texts)]
    return table(header, texts, [*numeric, *range(len(by), len(header))])


def is_numeric(text: str) -> bool:
    """Whether a cell is a number or empty."""
    return not text or text.replace(".", "", 1).isdigit()


def resolve(key: str, names: Sequence[str]) -> str:
    """Return the column that a key names: all of it, or its last part where that is one column's only."""
    if key in names:
        return key
    ending = [name for name in names if name.endswith(f".{key}")]
    preferred = [name for name in ending if name.startswith("environment.")] or ending
    if len(preferred) == 1:
        return preferred[0]
    if preferred:
        raise UsageError(f"--by {key}: which one: {', '.join(preferred)}?")
    words = {name.rpartition(".")[2] for name in names} | set(names)
    raise UsageError(f"--by {key}: no result has such a key{nearest(key, sorted(words))}")
