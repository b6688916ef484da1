"""`fmbench show`: results as a table in the terminal."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fmbench.console import run_main, warn
from fmbench.markdown import harmless
from fmbench.parsing import Parser
from fmbench.table import table

from ..reading.results import read_results
from ..reading.row import Result
from ..reading.sources import find_sources
from ..workload import Table as Drawn
from ..workloads.fidelity import Fidelity
from . import output
from .columns import Table, text_of
from .tables import OTHERS, SHAPES, Maker, table_of
from .view import Fastest, by_speed
from .vocabulary import resolve

PROGRAM = "fmbench show"
LONGEST = 64  # letters of a log's path in a table

EPILOG = """\
what is shown:
  One row a shape. Latency is the median with half the width of its 95% interval; digits end where doubt begins.
  trust says "stable", or why the median should not be trusted yet, or why the shape failed.
  A data set of `fmbench retrieve` is a row of a second table: documents and queries encoded a second, milliseconds
  to encode and to search one query, and how good the ranking is. `fmbench fidelity` has tables of its own: variants
  of a ladder, comparisons, rankings, and of the tensors those that differ.
  Of the configuration, model, platform and precision are always shown; machine, dtype (of the weights), compile,
  threads, attention, options and others where they tell rows apart. The variants of --vs are called after what they
  override and stand in the order of their speed, with their speed against that of A; a sentence names the fastest.

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
    text = drawn(read_results(find_sources(arguments.paths), warn, repetitions=False), arguments.by)
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


def drawn(results: Iterable[Result], by: Sequence[str] | None, origin: str = "log") -> str:
    """Return results as a table: a row a shape, or, by some keys, a row a group. `origin` heads their sources."""
    return grouped(results, by) if by else one_by_one(results, origin)


def one_by_one(results: Iterable[Result], origin: str) -> str:
    """Return a row a shape; what other drivers measured has tables of its own."""
    others: dict[Maker, list[Result]] = {make: [] for make in OTHERS}
    fidelity: list[Result] = []

    def shapes() -> Iterator[Result]:
        for result in results:
            make = table_of(result.row)
            if make is SHAPES:
                yield result
            else:
                (fidelity if make is None else others[make]).append(result)

    fastest = Fastest()
    speed = fastest.watched(shapes(), lambda result: result.row, lambda result: result.source)
    above, count = one_table(SHAPES, by_speed(speed, lambda result: result.row), origin)
    said = [f"{line}\n" for line in fastest.lines()]
    below = [one_table(make, found, origin)[0] for make, found in others.items() if found]
    below += [as_text(found, origin) for found in Fidelity().tables(fidelity)]
    return "\n".join([above, *said, *below] if count or not below else below)


def as_text(found: Drawn, origin: str) -> str:
    """Return a table under its title, with the log that each row is from where there are several."""
    header, lines, right = list(found.header), found.lines, found.right
    if len(set(found.sources)) > 1:
        short = without_common(found.sources)
        lines = [[short[source], *line] for source, line in zip(found.sources, found.lines, strict=True)]
        header, right = [origin, *header], [column + 1 for column in right]
    title = [f"{found.title}\n"] if found.title else []
    return "".join([*title, table(header, lines, right), *(f"{harmless(said)}\n" for said in found.notes)])


def one_table(make: Maker, results: Iterable[Result], origin: str) -> tuple[str, int]:
    """Return a table and how many rows it has; with the log that each is from where there are several."""
    sources: list[str] = []

    def rows() -> Iterator[dict[str, Any]]:
        for result in results:
            sources.append(result.source)
            yield result.row

    header, lines, right = make(rows())
    if len(set(sources)) > 1:
        short = without_common(sources)
        lines = [[harmless(short[source]), *line] for source, line in zip(sources, lines, strict=True)]
        return table([origin, *header], lines, [column + 1 for column in right]), len(sources)
    return table(header, lines, right), len(sources)


def without_common(paths: Iterable[str]) -> dict[str, str]:
    """Return paths without the folders that all of them begin with, and without what all of them end with."""
    parts = {path: path.split("/") for path in paths}
    for step in (1, -1):
        while min(map(len, parts.values())) > 1 and len({words[::step][0] for words in parts.values()}) == 1:
            parts = {path: words[1:] if step == 1 else words[:-1] for path, words in parts.items()}
    found = {path: "/".join(words) for path, words in parts.items()}
    cut = {
        path: text if len(text) <= LONGEST else f"\N{HORIZONTAL ELLIPSIS}{text[1 - LONGEST :]}"
        for path, text in found.items()
    }
    return cut if len(set(cut.values())) == len(cut) else found


def grouped(results: Iterable[Result], by: Sequence[str]) -> str:
    """Return a row a group. Raises UsageError for a key that no result has."""
    from .pivot import pivot

    with Table(result.row for result in results) as rows:
        chosen = [resolve(key, sorted(rows.found)) for key in by] if rows.found else list(by)
        lines = pivot(rows, chosen)
    header = [*by, "latency ms", "sequences/s", "shapes", "in doubt", "failed"]
    texts = [[harmless(text_of(cell)) for cell in line] for line in lines]
    numeric = [column for column in range(len(by)) if all(is_numeric(line[column]) for line in texts)]
    return table(header, texts, [*numeric, *range(len(by), len(header))])


def is_numeric(text: str) -> bool:
    """Whether a cell is a number or empty."""
    return not text or text.replace(".", "", 1).isdigit()
