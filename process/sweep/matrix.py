"""From a sweep file to its cells.

A matrix is crossed, the last axis varying first; `exclude` takes combinations away, then `include` adds to what is
left: `schema.BLOCK` has the rules.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import yaml

from fmbench.checks import check_of
from fmbench.document import Document, line_of
from fmbench.errors import UsageError, nearest
from fmbench.trust import is_data

from .cell import Cell, Value, Values, arguments_of, called, joined
from .schema import FILE

STORE = "results"
SETTINGS = ("store", "run")  # what --set may replace besides arguments
FIRST = ("model_name", "platform")  # what people look for in a name
LIMIT = 20_000  # cells of a file


@dataclass(frozen=True)
class Sweep:
    """A sweep file, read: its name, its store, its cells in order."""

    name: str
    store: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Entry:
    """Arguments of an `include` or an `exclude`."""

    line: int
    values: Values

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.values.items())

    def fits(self, cell: Values, axes: Mapping[str, Sequence[Value]]) -> bool:
        """Whether a combination has all that this says of the axes."""
        return all(cell[name] == value for name, value in self.values.items() if name in axes)


@dataclass(frozen=True)
class Block:
    """One block of a file, read."""

    line: int
    run: str = ""
    fixed: Values = field(default_factory=dict)
    needs: Mapping[str, float] = field(default_factory=dict)
    axes: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    exclude: Sequence[Entry] = ()
    include: Sequence[Entry] = ()
    telling: Values = field(default_factory=dict)  # what tells it from other blocks
    lines: Mapping[tuple[str, Value], int] = field(default_factory=dict)  # of values
    run_line: int = 0

    @property
    def names(self) -> set[str]:
        """Every argument that it names."""
        return {*self.fixed, *self.axes, *(name for entry in self.include for name in entry.values)}

    def given(self, values: Values) -> "Block":
        """Return the block with values in place of its own, wherever it has them.

        An entry for another value of an axis is left out: the matrix has none of that any more.
        """

        def over(entries: Sequence[Entry]) -> list[Entry]:
            kept = [
                one
                for one in entries
                if all(one.values.get(name, values[name]) == values[name] for name in self.axes.keys() & values)
            ]
            return [replace(one, values=set_in(one.values)) for one in kept]

        def set_in(own: Values) -> dict[str, Value]:
            return {name: values.get(name, value) for name, value in own.items()}

        axes = {name: [values[name]] if name in values else found for name, found in self.axes.items()}
        return replace(self, fixed={**self.fixed, **values}, axes=axes, include=over(self.include),
                       exclude=over(self.exclude), telling=set_in(self.telling))  # fmt: skip


def read_sweep(document: Document, given: Values, trusted: bool) -> Sweep:
    """Return what a file describes, with `given` values in place of its own; `trusted` ones may be expressions.

    Raises UsageError, with file and line, for what it cannot mean.
    """
    document.check(document.root, FILE)
    store = given.get("store", scalar_at(document, document.root, "store") or STORE)
    blocks = read_blocks(document, trusted)
    arguments = {name: value for name, value in given.items() if name not in SETTINGS}
    named = {name for block in blocks for name in block.names}
    for name in arguments.keys() - named:
        raise UsageError(f"--set {name}: {document.path} has it nowhere{nearest(name, {*named, *SETTINGS})}")
    check_count(sum(math.prod(map(len, block.axes.values())) for block in blocks), document)
    cells: dict[str, Cell] = {}
    for block in blocks:
        own = {name: value for name, value in arguments.items() if name in block.names}
        block = replace(block.given(own), run=str(given.get("run", block.run)))
        if not block.run:
            raise UsageError(f"{document.path}:{block.line}: lacks the key 'run', the command that is run")
        try:
            check_of(block.run)
        except UsageError as error:
            raise UsageError(f"{'--set' if 'run' in given else f'{document.path}:{block.run_line}'}: {error}") from None
        for cell in cells_of(block, document):
            if (first := cells.setdefault(cell.id, cell)) is not cell:
                raise UsageError(f"{document.path}:{cell.line}: {cell.name}: is listed in line {first.line} already")
    check_count(len(cells), document)
    if not cells:
        raise UsageError(f"{document.path}: `exclude` leaves no cell")
    return Sweep(str(scalar_at(document, document.root, "sweep")), str(store), told_apart([*cells.values()]))


def told_apart(cells: Sequence[Cell]) -> list[Cell]:
    """Return cells whose names say what tells them from the others of their command, and that where there are several.

    Models that are called the same have their owners' names too.
    """
    if len(cells) == 1:
        return [*cells]
    members: dict[str, list[Cell]] = {}
    for cell in cells:
        members.setdefault(cell.run, []).append(cell)
    untold = {run: untelling(those) for run, those in members.items()}
    named = []
    for cell in cells:
        varying = {name: value for name, value in cell.varying.items() if name not in untold[cell.run]}
        named.append(replace(cell, varying=varying, with_command=len(members) > 1))
    times = Counter(cell.name for cell in named)
    return [replace(cell, in_full=True) if times[cell.name] > 1 else cell for cell in named]


def untelling(cells: Sequence[Cell]) -> set[str]:
    """Return the arguments that need not be said to tell cells of a command apart.

    That is what all have, and of what a block has once for all of its own, as much as leaves each cell a name of its
    own: what few cells have goes first, what people look for last.
    """
    values: dict[tuple[int, str], list[Value]] = {}
    for cell in cells:
        for name, value in cell.varying.items():
            values.setdefault((id(cell.lines), name), []).append(value)
    sizes = Counter(id(cell.lines) for cell in cells)
    several = {name for (block, name), found in values.items() if len({*found}) > 1 or len(found) < sizes[block]}
    times = Counter(name for cell in cells for name in cell.varying if name not in several)
    left_out: set[str] = set()
    for name in sorted(times, key=lambda one: (one in FIRST, times[one])):
        without = {*left_out, name}
        kinds = {frozenset((key, value) for key, value in cell.varying.items() if key not in without) for cell in cells}
        if len(kinds) == len(cells) and (frozenset() not in kinds or len(cells) == 1):
            left_out = without
    return left_out


def check_count(cells: int, document: Document) -> None:
    """Raise UsageError for more cells than a file may have."""
    if cells > LIMIT:
        raise UsageError(f"{document.path}: has {cells} cells, and a file may have {LIMIT}; make several files of it")


def read_blocks(document: Document, trusted: bool) -> list[Block]:
    """Return the blocks of a file; what stands above several of them holds for each."""
    runs, whole = document.at(document.root, "runs"), read_block(document, document.root, trusted)
    if runs is None:
        return [whole]
    for key, node in document.below(document.root):
        if key in ("matrix", "include", "exclude"):
            raise document.wrong(node, f"{key}: belongs into a block of `runs`")
    blocks = [read_block(document, node, trusted) for node in runs.value]
    return [
        replace(block, run=block.run or whole.run, run_line=block.run_line or whole.run_line,
                fixed={**whole.fixed, **block.fixed}, needs=block.needs or whole.needs, telling=block.fixed,
                lines={**whole.lines, **block.lines}) for block in blocks
    ]  # fmt: skip


def read_block(document: Document, node: yaml.MappingNode, trusted: bool) -> Block:
    """Return a block as it stands there."""

    lines: dict[tuple[str, Value], int] = {}

    def value(name: str, below: yaml.ScalarNode | yaml.SequenceNode) -> Value:
        found = value_of(document, name, below, trusted)
        lines.setdefault((name, found), line_of(below))
        return found

    def values(name: str, below: yaml.SequenceNode) -> list[Value]:
        found: list[Value] = []
        for one in below.value:
            if value(name, one) in found:
                already = lines[name, value(name, one)]
                raise document.wrong(one, f"{called(name, value(name, one))}: is listed in line {already} already")
            found.append(value(name, one))
        return found

    def arguments(below: yaml.MappingNode | None) -> dict[str, Value]:
        return {name: value(name, one) for name, one in document.below(below)}

    def entries(below: yaml.SequenceNode | None) -> list[Entry]:
        return [] if below is None else [Entry(line_of(one), arguments(one)) for one in below.value]

    matrix, fixed = document.at(node, "matrix"), arguments(document.at(node, "with"))
    for name, (key, _) in (document.pairs(matrix) if matrix else {}).items():
        if name in fixed:
            raise document.wrong(key, f"matrix: {name} is said in line {lines[name, fixed[name]]} too, by `with`")
    return Block(
        line_of(node),
        str(scalar_at(document, node, "run") or ""),
        fixed,
        {name: float(document.scalar(one)) for name, one in document.below(document.at(node, "needs"))},
        {name: values(name, one) for name, one in document.below(matrix)},
        entries(document.at(node, "exclude")),
        entries(document.at(node, "include")),
        lines=lines,
        run_line=line_of(run) if (run := document.at(node, "run")) else 0,
    )


def scalar_at(document: Document, node: yaml.MappingNode, key: str) -> str | bool | None:
    """Return the text below a key, or None."""
    found = document.at(node, key)
    return None if found is None else document.scalar(found)


def value_of(document: Document, name: str, node: yaml.ScalarNode | yaml.SequenceNode, trusted: bool) -> Value:
    """Return the value of an argument. Raises UsageError for one that could run code, unless it is trusted."""
    if isinstance(node, yaml.SequenceNode):
        value = joined(name, [str(document.scalar(one)) for one in node.value])
    else:
        value = document.scalar(node)
    if not trusted and not all(is_data(one, expressions=False) for one in arguments_of(name, value)):
        raise document.wrong(node, f"{name}: may run code, and a file is data; --trust-file says that this one may")
    return value


def cells_of(block: Block, document: Document) -> Iterator[Cell]:
    """Yield the cells of a block. Raises UsageError for an entry that fits nothing."""
    crossed = [dict(zip(block.axes, values, strict=True)) for values in itertools.product(*block.axes.values())]
    crossed = crossed if block.axes or not block.include else []
    for entry in block.exclude:
        for name in entry.values.keys() - block.axes.keys():
            hint = nearest(name, block.axes) or f" (it has {', '.join(block.axes) or 'none'})"
            raise UsageError(f"{document.path}:{entry.line}: exclude: the matrix has no {name!r}{hint}")
        if not any(entry.fits(cell, block.axes) for cell in crossed):
            raise UsageError(f"{document.path}:{entry.line}: exclude: no cell has {entry}")
        crossed = [cell for cell in crossed if not entry.fits(cell, block.axes)]
    found = [(block.line, cell) for cell in crossed]
    for entry in block.include:
        found = included(entry, found, block, document)
    for line, values in found:
        yield Cell(block.run, {**block.fixed, **values}, {**block.telling, **values}, block.needs, line, block.lines)


def included(
    entry: Entry, found: list[tuple[int, dict[str, Value]]], block: Block, document: Document
) -> list[tuple[int, dict[str, Value]]]:
    """Return cells with what an entry adds: arguments to those that it fits, or cells that the matrix has not."""
    axes = block.axes
    known = [name for name in axes if name in entry.values]
    if axes and all(entry.values[name] in axes[name] for name in known):
        fitting = [number for number, (_, cell) in enumerate(found) if entry.fits(cell, axes)]
        if not fitting or len(known) == len(entry.values):
            what = "no cell has" if not fitting else "adds nothing to the cells that have"
            raise UsageError(f"{document.path}:{entry.line}: include: {what} {entry}")
        for name, value in entry.values.items():
            for cell in (found[number][1] for number in fitting):
                if cell.get(name, value) != value:
                    first = f"line {block.lines[name, cell[name]]}"
                    raise UsageError(
                        f"{document.path}:{entry.line}: include: {entry}: {first} says {name} {cell[name]}"
                    )
        return [(entry.line, {**cell, **entry.values}) if number in fitting else (line, cell)
                for number, (line, cell) in enumerate(found)]  # fmt: skip
    others = {name: values for name, values in axes.items() if name not in entry.values}
    rows = (dict(zip(others, values, strict=True)) for values in itertools.product(*others.values()))
    return [*found, *((entry.line, {**row, **entry.values}) for row in rows)]
