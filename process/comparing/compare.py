"""`fmbench compare`: is the new one slower, and how sure is that?"""

import argparse
import dataclasses
import itertools
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from fmbench.console import run_main, warn
from fmbench.errors import UsageError
from fmbench.parsing import Parser, nonempty, words

from ..reading.copies import in_words
from ..reading.early_ends import recognised
from ..reading.results import read_results
from ..reading.row import Result
from ..reading.shared import Shared, counted_once, in_both
from ..reading.sources import Source, find_sources
from ..store.entry import LOG
from ..store.store import MARKER, Store, is_url
from ..workload import Row
from ..writing import output
from . import report
from .answers import Answers, answers_between, as_text, chosen_among
from .comparison import Comparison, compare_sides
from .quality import QualityChange
from .sides import Facts, NothingInCommonError, Side, check_comparable, is_timed, known_names, sides_of, tell_unsaid
from .sight import unseen
from .uncompared import uncompared
from .verdicts import THRESHOLD, Change

PROGRAM = "fmbench compare"
FAILURES: Mapping[str, Callable[[Comparison], bool]] = {
    "regression": lambda comparison: comparison.count("regression") > 0,
    "missing": lambda comparison: bool(comparison.missing or comparison.unfinished or comparison.unsound),
    "answer": lambda comparison: False,  # of choices
}
DRAW = {"table": report.as_table, "markdown": report.as_markdown, "json": report.as_json}

EPILOG = """\
what is compared:
  The same shapes (model, class, input size, batch size, variant) of both logs, on their raw repetitions without the
  first fifth; where either side has several processes a shape (--repeat), or several runs under one fingerprint (as a
  store has), on the medians of these. Variants of --vs
  are the same where they override the same, whatever their letters; A is what a run without --vs measures. Each row has
  the ratio of the medians, new over base, with a 95% bootstrap interval, and a verdict: regression or improvement where
  the Mann-Whitney U test says so (p below 5%, Holm-corrected over all shapes) and the ratio is beyond --threshold; else
  no significant difference, with the smallest change that could have been seen where that is above --threshold. On a
  busy machine repetitions are correlated: interval and test count as many as they are worth. A shape that was measured
  and fails now is a regression. The overall ratio is the geometric mean.

  Logs of different fingerprints (device, versions, threads, dtype, options, ...) are refused, naming what differs.
  --across names the facts that may differ: threads, device, torch_version, packages (all below it), or all; also
  model, model_class and variant, which then need not match.

  Where a side holds several configurations of a shape, as a store of results does, shapes are matched by their
  configuration too, without the facts that --across names.

  Rankings of `fmbench retrieve evaluate` are compared query by query: nDCG@10 and Recall@100 of the same queries in
  pairs, by the randomisation test, Holm-corrected over all of them; --threshold is not for these.
  Their speeds are one figure a run: with several runs of both (`fmbench sweep --repeat`) they are judged as processes
  are, unless a machine was busy.

  With more than one new log, each is compared with the first, and a matrix sets all against all.

exit codes:
  0 done, 1 what --fail-on names, 2 the command line or a file is wrong, or the logs are not comparable (a BASE that
  holds no results is comparable with nothing, and lacks nothing)
  --fail-on regression: a shape regressed; missing: NEW lacks a result of BASE, of any kind, was killed in the
  middle of one, or contradicts itself in one (what failed in BASE is no result); answer: of two choices, what BASE
  says to run is not what to run in NEW

  Logs of `fmbench choose` are compared by their answers: is what to run the same, or as fast, does it keep enough, and
  is it as many times as fast as the reference? Facts may differ, and are named: that is what an upgrade changes.
  Stores that hold choices and other logs are compared by both.

examples:
  fmbench compare main.log branch.log
  fmbench compare main.log branch.log --threshold 5% --fail-on regression,missing
  fmbench compare main.log branch.log --format markdown > comment.md
  fmbench compare torch-2.12.log torch-2.13.log --across torch_version
  fmbench compare cpu.log openvino.log cuda.log --across all
  fmbench compare choice.json choice-after.log --fail-on answer
  fmbench compare results-october/ results/ --across packages
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_main(PROGRAM, lambda: compare(sys.argv[1:] if argv is None else argv))


def compare(argv: Sequence[str]) -> int:
    """Compare what the command line names; return 1 for a regression where that was asked for."""
    arguments = build_parser().parse_known(argv)
    paths = (arguments.base, *arguments.new)
    check_named_once(arguments.new)
    sources = {path: sources_of(path) for path in paths if not is_url(path)}
    output.check_targets({"--out": arguments.out}, [source for found in sources.values() for source in found])
    read_all = [list(read_results(sources[path], warn)) if path in sources else read(path) for path in paths]
    found = [recognised(results, itertools.chain.from_iterable(read_all)) for results in read_all]
    same_runs = tell_same(paths, read_all)
    chosen = [chosen_among(results) for results in found]
    timed = [[one for one in results if is_timed(one)] for results in found]
    answers: list[Answers] = []
    comparisons: list[Comparison] = []
    try:
        if not found[0]:
            raise NothingInCommonError(f"{paths[0]}: holds no results, so there is nothing to compare with")
        check_kinds(paths, chosen, timed)
        check_failures(arguments.fail_on, paths, chosen, timed)
        if all(chosen):
            answers = [Answers(paths[0], path, answers_between(chosen[0], rows, arguments.threshold))
                       for path, rows in zip(paths[1:], chosen[1:], strict=True)]  # fmt: skip
        if all(timed) or not any(chosen):
            sides = sides_of(paths, timed, arguments.across, warn)
            comparisons = [
                dataclasses.replace(comparison, same_runs=same)
                for comparison, same in zip(
                    compare_sides(sides, checked(sides, arguments.across), arguments.threshold), same_runs, strict=True
                )
            ]
        for comparison in comparisons:
            complain(comparison)
    except NothingInCommonError as error:
        if "missing" not in arguments.fail_on or not is_missing(paths, found, comparisons, arguments.across):
            raise
        warn(str(error))
        return 1
    if "regression" in arguments.fail_on:
        tell_unseen(comparisons, arguments.threshold)
    lacking = [tell_uncompared(paths, found, number, arguments.across, not comparisons)
               for number in range(1, len(paths))]  # fmt: skip
    with output.opened(arguments.out) as stream:
        stream.write(drawn(answers, comparisons, arguments))
    changed = any(not one.holds for among in answers for one in among.answers)
    failed = any(FAILURES[name](comparison) for name in arguments.fail_on for comparison in comparisons)
    failed |= any(lacking) and "missing" in arguments.fail_on
    return int(failed or (changed and "answer" in arguments.fail_on))


def check_named_once(paths: Sequence[str]) -> None:
    """Raise UsageError where two of the sides to judge are one: it would count twice among all that are compared."""
    places = [path if is_url(path) else Path(path).resolve() for path in paths]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise UsageError(f"{paths[number]}: is named twice among what is compared with the first; name it once")


def tell_same(paths: Sequence[str], read_all: Sequence[Sequence[Result]]) -> list[list[Shared]]:
    """Warn of the results that two sides have; return those that each other side has of the first."""
    found: list[list[Shared]] = []
    sides = enumerate(zip(paths, read_all, strict=True))
    for (place, (base, ours)), (_, (new, theirs)) in itertools.combinations(sides, 2):
        same = in_both(ours, theirs)
        found += [same] if place == 0 else []
        if same:
            what = "is compared with itself" if place == 0 else f"is compared with {paths[0]} twice"
            warn(f"{new} and {base}: hold the same runs; what nothing else measured {what}: {in_words(same)}")
    return found


def tell_unseen(comparisons: Sequence[Comparison], threshold: float) -> None:
    """Warn of what no regression could have been seen in."""
    for comparison in comparisons:
        for text in unseen(comparison, threshold):
            warn(f"{comparison.new.name} against {comparison.base.name}: {text}")


def is_missing(
    paths: Sequence[str], found: Sequence[Sequence[Result]], comparisons: Sequence[Comparison], across: Collection[str]
) -> bool:
    """Warn of all that the first path has and others lack, though nothing could be compared; return whether any do."""
    lacking = [tell_uncompared(paths, found, number, across, timed=True) for number in range(1, len(paths))]
    return any(lacking) or any(FAILURES["missing"](comparison) for comparison in comparisons)


def tell_uncompared(
    paths: Sequence[str], found: Sequence[Sequence[Result]], number: int, across: Collection[str], timed: bool
) -> bool:
    """Warn of what is not compared, and return whether a path lacks any of it that the base has."""
    lacking, both = uncompared(found[0], found[number], across, timed)
    if lacking:
        warn(f"{paths[number]}: lacks results of {paths[0]}: {lacking}")
    if both:
        warn(f"{paths[number]} and {paths[0]}: hold results that are not compared: {both}")
    return bool(lacking)


def check_kinds(paths: Sequence[str], chosen: Sequence[Sequence[Row]], timed: Sequence[Sequence[Result]]) -> None:
    """Raise UsageError where neither choices nor shapes and rankings are in every path; warn of what is in some."""
    if not any(chosen) and not any(timed):
        raise NothingInCommonError(
            f"{paths[0]}: no shape could be compared (no repetitions, no metrics by query and no choice: compare the "
            "log itself, since its JSON has none; captures: `fmbench fidelity compare`, tasks: `fmbench quality --vs`)"
        )
    for what, sides, others in (("choice", chosen, timed), ("shape and no ranking", timed, chosen)):
        without = [path for path, found in zip(paths, sides, strict=True) if not found]
        if without and any(sides) and any(chosen):
            said = f"{without[0]}: holds no {what}, and another one does"
            if not all(others):
                raise NothingInCommonError(f"{said}; compare paths that hold the same")
            warn(f"{said}: not compared")


def check_failures(
    fail_on: Collection[str], paths: Sequence[str], chosen: Sequence[Sequence[Row]], timed: Sequence[Sequence[Result]]
) -> None:
    """Raise UsageError where nothing that is compared could fail what was asked for; warn where some of it could not.

    Choices answer; shapes and rankings have regressions.
    """
    if "answer" in fail_on and not all(chosen):
        raise UsageError(f"--fail-on answer: {paths[0]} and what it is compared with hold no choice; leave it out")
    if all(chosen) and "regression" in fail_on and "answer" not in fail_on:
        said = f"--fail-on regression: what {paths[0]} says to run may change without failing that"
        if not all(timed):
            raise UsageError(f"{said}; give --fail-on answer")
        warn(f"{said}; answer fails it too")


def drawn(answers: Sequence[Answers], comparisons: Sequence[Comparison], arguments: argparse.Namespace) -> str:
    """Return what became of answers and of shapes in the form that was asked for; in JSON, of both as one object."""
    if arguments.format == "json" and comparisons:
        return report.as_json(comparisons, arguments.threshold, [among.as_object() for among in answers])
    parts = [as_text(among, arguments.threshold, arguments.format) for among in answers]
    return "\n".join([*parts, *([DRAW[arguments.format](comparisons, arguments.threshold)] if comparisons else [])])


def sources_of(path: str) -> list[Source]:
    """Return the logs of a local path; of a store that holds nothing yet, none."""
    empty = Path(path, MARKER).is_file() and not Store.ready(path).names()
    return [] if empty else find_sources([path])


def read(path: str) -> list[Result]:
    """Return the results of a store at a URL with their repetitions, log by log."""
    store = Store.existing(path)
    found: list[list[Result]] = []
    for name in store.counted(store.names(), warn):
        with store.place.file(f"{name}/{LOG}") as log:
            found.append(list(read_results([Source(log, f"{store.name}/{name}/{LOG}")], warn)))
    return list(itertools.chain.from_iterable(counted_once(found, warn)))


def checked(sides: Sequence[Side], across: Collection[str]) -> list[Facts]:
    """Return how each side's facts differ from the first side's, all of them allowed."""
    named = known_names(sides, across, warn)
    for side in sides[1:]:
        tell_unsaid(sides[0], side, warn)
    return [check_comparable(sides[0], side, named) for side in sides[1:]]


def complain(comparison: Comparison) -> None:
    """Warn of shapes that are missing. Raises NothingInCommonError where nothing could be compared."""
    every: list[Change | QualityChange] = [*comparison.changes, *comparison.quality]
    unknown = [change for change in every if change.verdict is None]
    base, new = comparison.base.name, comparison.new.name
    failed = len(comparison.only_base) - len(comparison.missing)
    for count, what, of in (
        (len(comparison.missing), "lacks", f"of {base}"),
        (failed, "does not have", f"that failed in {base} already"),
        (len(comparison.unfinished), "was killed in the middle of", f"of {base}"),
        (len(comparison.unsound), "is not to be believed in", f"of {base}"),
    ):
        if count:
            warn(f"{new}: {what} {'1 shape' if count == 1 else f'{count} shapes'} {of}")
    if len(unknown) == len(every):
        raise NothingInCommonError(f"{base} and {new}: no shape could be compared ({unknown[0].reason})")


def failures(text: str) -> tuple[str, ...]:
    """Read what makes a comparison fail."""
    found = words(text)
    if not found or set(found) - set(FAILURES):
        raise argparse.ArgumentTypeError(f"{text!r} is not among {', '.join(FAILURES)}")
    return found


def build_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        prog=PROGRAM,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Compare logs shape by shape, and say which differences are real.",
        epilog=EPILOG,
    )
    parser.add_argument(
        "base", type=nonempty, metavar="BASE",
        help="log to compare with, or a folder of logs, or a store, at a URL too",
    )  # fmt: skip
    parser.add_argument("new", nargs="+", type=nonempty, metavar="NEW", help="log to judge; several make a matrix")
    parser.add_argument(
        "--threshold", type=threshold, default=THRESHOLD, metavar="SHARE", help="what is no concern (default: 3%%)"
    )
    parser.add_argument(
        "--fail-on", type=failures, default=(), metavar="WHAT,...", help="exit with 1 for: regression, missing, answer"
    )
    parser.add_argument(
        "--across", type=words, default=(), metavar="FACT,FACT", help="facts of the fingerprint that may differ"
    )
    parser.add_argument("--format", choices=list(DRAW), default="table", help="how to say it (default: table)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write to a file, whole or not at all")
    return parser


def threshold(text: str) -> float:
    """Read a share from zero to below one: `3%` or `0.03`."""
    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no share such as 3%") from None
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0% and 100%")
    return number
