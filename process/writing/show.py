"""`fmbench show`: results as a table in the terminal."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence

from fmbench.console import run_main, warn
from fmbench.markdown import harmless, visible
from fmbench.parsing import Parser, nonempty, words
from fmbench.table import table

from ..advice import advice_of
from ..reading.repairs import standing
from ..reading.results import read_results
from ..reading.row import Result
from ..reading.sources import find_sources
from ..record import belongs, comparable, records_of
from ..record import table_of as record_table
from ..workload import Table, tables_of, workload_of
from . import output
from .groups import group_table

PROGRAM = "fmbench show"
DETAIL = (
    "`fmbench show --detail LOG` shows every row; a configuration's id is in the key `configuration` of `process`\n"
)
OUTSIDE = "their log contradicts itself (`process` says how), or does not say what computed it"
UNKNOWN = "an unknown machine"
LONGEST = 64  # letters of a log's path in a table

EPILOG = """\
what is shown:
  Where logs of several drivers are given (speed, retrieval, fidelity): one row a configuration, with all that they say
  of it. Figures stand in one column where they are of the same shape or data set, * marks one that is in doubt. A
  sentence says what to run. --detail adds the tables below; with logs of one driver, these are all. The last line says
  how many results failed: what a newer run of the same cell of a sweep stands for is no failure, here and with --by.

  One row a shape. Latency is the median with half the width of its 95% interval; digits end where doubt begins.
  trust says "stable", or why the median should not be trusted yet, or why the shape failed.
  A data set of `fmbench retrieve` is a row of a second table: documents and queries encoded a second, milliseconds
  to encode and to search one query, and how good the ranking is. A query encoder of `fmbench distill evaluate`, a
  variant of `fmbench choose`, an artifact of `fmbench fidelity compare`, and whatever else a workload that is
  installed measures, is a row of a table of its own too.
  Of the configuration, model, platform and precision are always shown; machine, dtype (of the weights), compile,
  threads, attention, options and others where they tell rows apart. The variants of --vs are called after what they
  override and stand in the order of their speed, with their speed against that of A; a sentence names the fastest.

  --by gives one row a group instead: the medians over the shapes of the group, how many there are, how many of
  them are in doubt (unstable, cut off, simulated), and how many failed. A key is a column of
  `process --format csv`: model, batch; below environment the last part will do: platform, threads, torch. Variants of
  --vs (variant) are grouped by what they override, whatever letters their runs gave them.

examples:
  fmbench show run.log
  fmbench show monday.log tuesday.json results/
  fmbench show speed.log retrieval.log choice.log
  fmbench show results/ --by platform,model,batch
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_main(PROGRAM, lambda: show(sys.argv[1:] if argv is None else argv))


def show(argv: Sequence[str]) -> int:
    """Print what the command line asks for."""
    arguments = build_parser().parse_known(argv)
    results = read_results(find_sources(arguments.paths), warn, repetitions=False)
    text = (
        tables_as_text(results, arguments.by)
        if arguments.by
        else overview(list(results), arguments.detail, arguments.brief)
    )
    with output.opened(None) as stream:
        stream.write(text)
    return 0


def overview(results: Sequence[Result], detail: bool, brief: bool = False) -> str:
    """Return what was chosen first, then records of all; then, or with `detail`, the other tables.

    What the log of a choice holds besides is a part of it. A `brief` one does not say what shows more.
    """
    chosen = [result for result in results if workload_of(result.row).answers]
    others = [result for result in results if not workload_of(result.row).answers]
    told = {result.source for result in chosen}
    joined = record_tables(results) if any(result.source not in told for result in others) else ""
    whole = detail or not (chosen or joined)
    joined += tables_as_text(others) if whole else ""
    hints = not (whole or brief)
    joined += failed_text(results, hint=": `fmbench show --detail LOG` shows each, and why" if hints else "")
    joined += DETAIL if others and hints else ""
    return "\n".join(filter(None, [tables_as_text(chosen) if chosen else "", joined]))


def failed_text(results: Sequence[Result], hint: str = "") -> str:
    """Return a line on how many results failed, and on how many of these a newer run stands for; none for none."""
    every, failed = ([one for one in found if is_failure(one)] for found in (results, standing(results)))
    kinds = Counter((result.row["error"] or {}).get("type") or "unknown" for result in failed)
    named = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    logs = len({result.source for result in failed})
    said = [f"{counted(len(failed), 'result')} failed, in {counted(logs, 'log')} ({named}){hint}"] if failed else []
    if repaired := len(every) - len(failed):
        said.append(f"{counted(repaired, 'result')} failed, and a newer run of the same cell stands for that")
    return "".join(f"{harmless(line)}\n" for line in said)


def counted(count: int, what: str) -> str:
    """Return a number of things."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def is_failure(result: Result) -> bool:
    """Whether a result failed; of the candidates of a choice, its own table says which cannot run."""
    return result.row["status"] == "ERR" and not workload_of(result.row).answers


def build_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        prog=PROGRAM,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Print results as a table.",
        epilog=EPILOG,
    )
    parser.add_argument(
        "paths", nargs="+", type=nonempty, metavar="PATH", help="log, results in JSON, folder of them, or -"
    )
    parser.add_argument("--detail", action="store_true", help="below the records, every row that they are of")
    parser.add_argument("--brief", action="store_true", help="do not say what shows more, as where the log is not kept")
    parser.add_argument(
        "--by", type=words, action="extend", metavar="KEY,KEY", help="medians a group instead of a row a shape"
    )
    return parser


def record_tables(results: Sequence[Result]) -> str:
    """Return a table a model with a line a configuration; nothing where all results are of one workload."""
    if len({workload_of(result.row) for result in results}) < 2:
        return ""
    said = []
    outside = sum(not belongs(result) and result.row["status"] != "ERR" for result in results)
    for (model, machine), records in comparable(records_of(results)).items():
        made = record_table(records)
        again = sum(record.again for record in records)
        notes = [f"{again} figures were measured again later; the newest counts"] if again else []
        notes += ["* is in doubt; --detail says why"] if any(one.doubtful for one in records) else []
        advice = advice_of(records, results)
        said.append(
            "\n".join(
                [
                    f"{harmless(f'{model} on {machine or UNKNOWN}')}\n",
                    table(made.header, made.lines, made.right),
                    *([f"{advice}\n"] if advice else []),
                    *(f"{note}\n" for note in notes),
                ]
            )
        )
    if outside:
        said.append(f"{outside} results are in no line: {OUTSIDE}\n")
    return "\n".join(said)


def tables_as_text(results: Iterable[Result], by: Sequence[str] | None = None, origin: str = "log") -> str:
    """Return results as tables: a row each, or, by some keys, a row a group. `origin` heads their sources."""
    tables = [group_table(standing(results), by)] if by else tables_of(results)
    return "\n".join(as_text(found, origin) for found in tables)


def as_text(found: Table, origin: str) -> str:
    """Return a table with title and notes, and the log that each row is from where there are several."""
    header, lines, right = list(found.header), found.lines, found.right
    if len(set(found.sources)) > 1:
        short = without_common(found.sources)
        lines = [[short[source], *line] for source, line in zip(found.sources, found.lines, strict=True)]
        header, right = [origin, *header], [column + 1 for column in right]
    title = [f"{harmless(text)}\n" for text in (found.title, *found.lead) if text]
    below = [f"\n{harmless(note)}\n" for note in found.notes] + [f"\n{visible(text).rstrip()}\n" for text in found.code]
    return "".join([*title, table(header, lines, right), *below])


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
