"""`fmbench sweep FILE`: many command lines, described in one file, run and kept in one store."""

import argparse
import contextlib
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmbench.console import note, run_main, warn
from fmbench.errors import UsageError
from fmbench.parsing import Parser, duration, nonempty, positive

if TYPE_CHECKING:  # with --help, none of them is imported
    from ..store.store import Store
    from .cell import Cell
    from .cluster import RayRunner
    from .keeper import Keeper
    from .kept import Kept
    from .local import LocalRunner
    from .matrix import Sweep
    from .plan import Task
    from .workplace import Workplace

PROGRAM = "fmbench sweep"
STATUS = "status"
LOCAL, RAY = "local", "ray"

EPILOG = """\
what is run:
  Every cell of the file is one command line of fmbench in a process of its own. Its log goes into the store, as by
  `fmbench results add`, with a last line (CELL) that says which cell it is of. A cell that fails, is killed or takes
  longer than --cell_timeout is a row too, and the sweep goes on.

  The same command again runs what the store lacks: a cell is done where the store has a run of the same command line
  under the same fingerprint (machine, versions, variables, model). It may be interrupted and killed at any moment.

  As many cells run at once as there are devices of the kind that they need; on the CPU one runs at a time, alone.
  `fmbench sweep status FILE` shows how far a sweep is, from another terminal.

the file:
  docs/how-to/sweep.md explains it; --schema prints its JSON Schema.

exit codes:
  0 done, 1 a cell failed or was refused (also by --dry-run), 2 the command line or the file is wrong

examples:
  fmbench sweep grid.yaml --dry-run
  fmbench sweep grid.yaml
  fmbench sweep grid.yaml --set reps=10 --set store=try
  fmbench sweep grid.yaml --redo failed --report grid.html
  fmbench sweep grid.yaml --shard 3/8                  one of eight parts, for a Slurm array
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_main(PROGRAM, lambda: sweep(sys.argv[1:] if argv is None else list(argv)))


def sweep(argv: Sequence[str]) -> int:
    """Do what the command line asks for."""
    asks_status = list(argv[:1]) == [STATUS]
    parser = build_parser()
    arguments = parser.parse_known(argv[1:] if asks_status else argv)
    if arguments.schema:
        from .schema import published_schema

        sys.stdout.write(published_schema())
        return 0
    if arguments.file is None:
        parser.error("name the sweep file")
    if arguments.address is not None and arguments.on != RAY:
        parser.error("--address is that of a Ray cluster: it goes with --on ray")
    told = None
    if asks_status:
        from .workplace import asked

        told = asked(arguments.file)
    arguments.trust_file |= asks_status  # it runs nothing
    found = read(arguments, told.pop("set", None) if told else None)
    if not found.cells:
        note(f"--shard {'{}/{}'.format(*arguments.shard)}: {arguments.file} has fewer cells, and none for this share")
        return 0
    if not asks_status and not arguments.dry_run:
        return run(found, arguments)
    return int(show_status(found, arguments, told) and not asks_status)


def read(arguments: argparse.Namespace, running: Mapping[str, Any] | None) -> "Sweep":
    """Return the sweep that a command line names: the share of its cells that --shard asks for.

    What a `running` one was told to --set counts where the command line says nothing; secrets are not kept.
    """
    from fmbench.document import Document
    from fmbench.secrets import MASK, masked_tree, sealed

    from .matrix import read_sweep

    given = dict(arguments.set)
    for key in given:
        if [name for name, _ in arguments.set].count(key) > 1:
            raise UsageError(f"--set {key}: is given twice; give it once")
    if running and not given and MASK not in str(running):
        given = dict(running)
    elif running is not None and running != (here := masked_tree(given, sealed)):
        note(f"{arguments.file}: what runs now has {as_set(running)}, and this is of {as_set(here)}: give it the same")
    found = read_sweep(Document(arguments.file), given, arguments.trust_file)
    number, shares = arguments.shard
    return replace(found, cells=found.cells[number - 1 :: shares])


def as_set(values: Mapping[str, Any]) -> str:
    """Return values as --set takes them."""
    said = {name: str(value).lower() if isinstance(value, bool) else value for name, value in values.items()}
    return " ".join(f"--set {name}={value}" for name, value in said.items()) or "no --set"


def opened(found: "Sweep", file: Path) -> tuple["Store", "Kept"]:
    """Return the store, and what it has of cells."""
    from ..store.store import Store
    from .kept import Kept, whole_entries
    from .workplace import cut

    store = Store.ready(found.store)
    return store, Kept.read(whole_entries(store, {cell.id for cell in found.cells}, warn), cut(file))


def show_status(found: "Sweep", arguments: argparse.Namespace, told: Mapping[str, Any] | None) -> bool:
    """Print a line a cell and how many are in which state, and return whether any is refused; nothing is run.

    Of a running sweep, what it was `told` counts; None for a dry run.
    """
    from ..writing import output
    from .beside import note_others
    from .keeper import Keeper
    from .overview import counts, plan_table
    from .plan import plan
    from .workplace import running

    now = running(arguments.file)
    wanted: Any = {"repeat": arguments.repeat, "redo": arguments.redo, **(told or {})}
    store, kept = opened(found, arguments.file)
    if told is None:
        Keeper(store, kept).check(arguments.report, arguments.file)
    else:
        note_others(file=arguments.file)
    tasks = plan(found.cells, kept, **wanted)
    with output.opened(None) as stream:
        stream.write(f"{plan_table(tasks, kept, now)}\n{counts(tasks, kept, now)}\n")
    refused = [task for task in tasks if task.refused and task.cell.id not in now]
    tell_refused(refused, arguments.file)
    tell_others(tasks)
    tell_new(tasks, wanted["redo"], store.name)
    return bool(refused)


def run(found: "Sweep", arguments: argparse.Namespace) -> int:
    """Run what is left, and print the record table of all cells and what failed."""
    from fmbench.secrets import masked_tree, sealed

    from .beside import announced
    from .workplace import Workplace

    asked = {"repeat": arguments.repeat, "redo": arguments.redo, "set": masked_tree(dict(arguments.set), sealed)}
    shown = announced(arguments.file) if arguments.on == LOCAL else contextlib.nullcontext()
    with Workplace.held(arguments.file, arguments.shard, **asked) as place, shown:
        return run_held(found, arguments, place)


def run_held(found: "Sweep", arguments: argparse.Namespace, place: "Workplace") -> int:
    """Run what is left in a folder that nobody else holds."""
    from .keeper import Keeper

    store, kept = opened(found, arguments.file)
    keeper = Keeper(store, kept)
    with keeper.telling_the_end():
        return run_kept(found, arguments, place, keeper)


def run_kept(found: "Sweep", arguments: argparse.Namespace, place: "Workplace", keeper: "Keeper") -> int:
    """Bring into the store what a sweep left that was killed, run what is left then, and say what came of it."""
    from .cluster import Cluster, RayRunner
    from .local import LocalRunner
    from .plan import plan, resources

    keeper.check(arguments.report, arguments.file)
    for left in itertools.chain([place], place.abandoned()):
        for log in left.leftovers():
            left.hand_over(log, keeper.keep)
    told = (arguments.cell_timeout, keeper.keep, keeper.show)
    lacking: Any = {"kept": keeper.kept, "repeat": arguments.repeat}
    if arguments.on == RAY:
        with contextlib.redirect_stdout(sys.stderr), Cluster.connected(arguments.address) as cluster:
            tasks = begun(cluster.plan(found.cells, redo=arguments.redo, **lacking), keeper, arguments, found.name)
            again = partial(cluster.plan, found.cells, redo=None, **lacking)
            refused = run_all(tasks, RayRunner(cluster, place, found.name, *told), keeper, again)
    else:
        tasks = begun(plan(found.cells, redo=arguments.redo, **lacking), keeper, arguments, found.name)
        again = partial(plan, found.cells, redo=None, **lacking)
        runner = LocalRunner(place, found.name, resources(tasks), *told, keeper.tell)
        refused = run_all(tasks, runner, keeper, again)
    tell_refused(refused, arguments.file)
    keeper.note_refused(refused, found.name)
    return int(keeper.report(arguments.report, arguments.shard) or any(task.refused for task in (*tasks, *refused)))


def run_all(
    tasks: Sequence["Task"], runner: "LocalRunner | RayRunner", keeper: "Keeper", plan: Callable[[], list["Task"]]
) -> list["Task"]:
    """Run tasks, and then those that others have given something new to read meanwhile; no cell comes back.

    Return which are refused by now, that were not: `plan` is asked for all cells, as what one may read depends on
    others.
    """
    reading = {task.cell.id for task in tasks if task.checked and task.checked.inputs and not task.refused}
    while left := [task for task in tasks if task.left and not task.stale]:
        runner.run(left)
        reading -= {task.cell.id for task in left}
        tasks = [task for task in plan() if task.cell.id in reading] if reading else []
        if any(task.left for task in tasks):
            keeper.begin(tasks)
    return [task for task in tasks if task.refused]


def begun(tasks: list["Task"], keeper: "Keeper", arguments: argparse.Namespace, sweep: str) -> list["Task"]:
    """Return tasks, after saying which are refused, to the store too, and what is left.

    Raises UsageError where none may run.
    """
    tell_refused(tasks, arguments.file)
    tell_others(tasks)
    if tasks and all(task.refused for task in tasks):
        raise UsageError(f"{arguments.file}: every cell is refused, as said above")
    tell_new(tasks, arguments.redo, keeper.store.name)
    keeper.note_refused(tasks, sweep)
    keeper.begin(tasks)
    return tasks


def tell_refused(tasks: Sequence["Task"], file: Path) -> None:
    """Warn of cells that are refused: a line a reason, with that of the file."""
    refused: dict[str, list[Cell]] = {}
    for task in tasks:
        if task.refused:
            refused.setdefault(task.refused, []).append(task.cell)
    for reason, (first, *others) in refused.items():
        more = f" and {len(others)} more" if others else ""
        warn(f"{file}:{first.line_of(reason)}: {first.name}{more}: refused: {reason}")


def tell_others(tasks: Sequence["Task"]) -> None:
    """Note which cells are done, though what they wrote is not what stands there now."""
    from .overview import cells_of, few

    if found := [task for task in tasks if task.other and not task.refused]:
        whose = "its folder holds" if len(found) == 1 else "their folders hold"
        paths = few([str(path) for task in found for path in task.outputs.paths])
        note(f"{cells_of(found)}: {whose} something else than this sweep wrote: {paths}")


def tell_new(tasks: Sequence["Task"], redo: str | None, store: str) -> None:
    """Note which cells run though nothing of them failed: whoever asks for what failed alone may not expect them."""
    from .overview import cells_of

    if found := [task for task in tasks if redo == "failed" and task.left and not task.ever]:
        note(f"--redo failed: {cells_of(found)} of which {store} has no run: to run too (--set makes other cells)")


def assignment(text: str) -> tuple[str, str | bool]:
    """Read KEY=VALUE; true and false are flags, as in the file."""
    from fmbench.document import TRUTHS

    key, sign, value = text.partition("=")
    if not key or not sign:
        raise argparse.ArgumentTypeError(f"{text!r} does not say what is set to what, as reps=10 does")
    return key.removeprefix("--"), TRUTHS.get(value, value)


def shard(text: str) -> tuple[int, int]:
    """Read I/N: one of N shares, counted from 1."""
    number, sign, shares = text.partition("/")
    found = positive(number), positive(shares) if sign else 0
    if sign and found[0] > found[1]:
        raise argparse.ArgumentTypeError(f"{text!r}: {found[0]} is above {found[1]}, how many shares there are")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is no share such as 3/8, the third of eight")
    return found


def build_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        prog=PROGRAM,
        usage=f"{PROGRAM} [status] FILE ...",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Run many command lines of fmbench, described in one file, and keep their results in one store.",
        epilog=EPILOG,
    )
    add = parser.add_argument
    add("file", nargs="?", type=Path, metavar="FILE", help="the sweep: YAML; behind `status`, that of a running sweep")
    add("--dry-run", action="store_true", help="print the cells, what each needs, which are refused and why; run none")
    add(
        "--on", choices=(LOCAL, RAY), default=LOCAL, help="this machine, or the nodes of a Ray cluster (default: local)"
    )
    add("--address", type=nonempty, metavar="ADDRESS", help="with --on ray: the cluster (default: the one Ray finds)")
    add("--set", action="append", type=assignment, default=[], metavar="KEY=VALUE",
        help="takes the place of an argument, wherever the file names it, of `store` or of `run`")  # fmt: skip
    add("--trust-file", action="store_true", help="let values of the file be expressions (@), which can run code")
    add("--cell_timeout", type=duration, metavar="S", help="end a cell that takes longer (default: none is)")
    add("--redo", choices=("failed", "all"), help="run again what failed, or everything, though the store has it")
    add("--repeat", type=positive, default=1, metavar="N", help="runs of each cell (default: 1)")
    add("--shard", type=shard, default=(1, 1), metavar="I/N", help="run a fixed share: every N-th cell, from the I-th")
    add("--report", type=Path, metavar="FILE", help="write the dashboard of all cells (HTML) in the end")
    add("--schema", action="store_true", help="print the JSON Schema of a sweep file, and stop")
    return parser


if __name__ == "__main__":
    sys.exit(main())
