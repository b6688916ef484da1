"""Lines in, runs out: what each run measured, shape by shape, and in which setting."""

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fmbench import lines
from fmbench.errors import UsageError
from fmbench.lines import LineError

from . import fields
from .fields import Check, Place
from .reader import Complaints
from .shape import Shape
from .spool import Spool

RECOMPILED_AT = "recompiled_at"  # positions, from 0, of the repetitions in which the compiler ran
LOAD = "load"  # the phase that SETUP repeats
# What a reader that needs no repetitions has in memory at most.
REPETITIONS = 2**20
SHAPES = 20_000


@dataclass(slots=True)
class Run:
    """One run of a driver: its arguments and facts, and every shape that it came to, in order.

    Facts and ceilings are kept by variant; those of None hold for all of them.
    """

    arguments: dict[str, str] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    environments: dict[str | None, dict[str, Any]] = field(default_factory=dict)
    ceilings: dict[str | None, dict[str, Any]] = field(default_factory=dict)
    phases: list[tuple[str | None, dict[str, Any]]] = field(default_factory=list)
    setup: float | None = None
    shapes: list[Shape] = field(default_factory=list)
    retrievals: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)  # by data set, then part
    earlier: Spool | None = None  # the shapes before these, where there are too many
    distillations: list[dict[str, Any]] = field(default_factory=list)  # what was measured of each query encoder
    fidelities: dict[str, dict[str, Any]] = field(default_factory=dict)  # by artifact, what was said of it last
    format: int | None = None
    speaks: bool = False  # a FMWORK line was read, not only a banner that any program may print
    measures: bool = False  # it is past its arguments

    def every_shape(self) -> Iterable[Shape]:
        """Return all shapes in order."""
        return itertools.chain(self.earlier or (), self.shapes)

    def environment_of(self, variant: str | None) -> dict[str, Any]:
        """Return the facts that hold for a variant's shapes."""
        return {**self.environments.get(None, {}), **self.environments.get(variant, {})}

    def ceiling_of(self, variant: str | None) -> dict[str, Any] | None:
        """Return the ceilings that hold for a variant's shapes."""
        return self.ceilings.get(variant, self.ceilings.get(None))

    def phases_of(self, variant: str | None) -> list[dict[str, Any]]:
        """Return what was done once for the run, and for this variant, in order."""
        return [phase for owner, phase in self.phases if owner in (None, variant)]

    def setup_of(self, variant: str | None) -> float | None:
        """Return the seconds of loading a variant: its own phase, since SETUP speaks of the first variant."""
        loads = [phase for owner, phase in self.phases if owner == variant and phase["name"] == LOAD]
        return self.setup if variant is None or not loads else float(loads[-1]["seconds"])

    def finished(self) -> "Run":
        """Drop the shapes of which nothing was read, but for a last one: the run was killed in its warm-up."""
        measured = [shape for shape in self.shapes if not shape.empty]
        if self.shapes and self.shapes[-1].empty and (self.speaks or measured or self.earlier):
            measured.append(self.shapes[-1])
        self.shapes = measured
        return self


def read_runs(raw_lines: Iterable[bytes], complaints: Complaints, repetitions: bool = True) -> Iterator[Run]:
    """Yield the runs of one log, each when it has ended: facts that a run prints late hold for all its shapes.

    Without `repetitions`, those of a shape are summarised when it is over, and what is too much for memory waits on
    disk. Raises UsageError for a log of a newer format; every other line that does not parse is a complaint.
    """
    reader = RunReader(complaints, repetitions)
    most = sys.maxsize if repetitions else REPETITIONS
    parse_rep = lines.parse_rep
    for number, raw in enumerate(raw_lines, start=1):
        repetition = parse_rep(raw)
        if repetition is not None:  # a million times: few calls
            _, count, start, _, duration = repetition
            shape = reader.open or reader.open_shape()
            try:
                shape.add(count, start, duration)
            except OverflowError as error:
                complaints.add(number, f"FMWORK REP: {error}")
            if len(shape.durations) >= most:
                shape.unload()
        elif b"FMWORK " in raw or b"RUN " in raw:
            finished = reader.read(number, raw)
            if finished is not None:
                yield finished
    complaints.close()
    yield reader.run.finished()


class RunReader:
    """Collects one run at a time. Repetitions belong to the shape that was opened last; RES and ERR close it."""

    run: Run
    open: Shape | None  # the last shape of the run, until it is closed

    def __init__(self, complaints: Complaints, repetitions: bool = True) -> None:
        self.run, self.open = Run(), None
        self._keeps, self._held = repetitions, 0
        self._by_place: dict[Place, Shape] = {}
        self._complaints = complaints
        self._handlers: dict[type, Callable[[Any], None]] = {
            lines.Log: self._log,
            lines.Arg: self._arg,
            lines.Env: self._env,
            lines.Setup: self._setup,
            lines.Case: self._case,
            lines.Phase: self._phase,
            lines.Rep: self._rep,
            lines.Res: self._res,
            lines.Err: self._err,
            lines.Stat: self._stat,
            lines.Mem: self._mem,
            lines.Energy: self._energy,
            lines.Ceil: self._ceil,
            lines.Pair: self._pair,
            lines.Enc: self._enc,
            lines.Search: self._search,
            lines.Irm: self._irm,
            lines.Dst: self._dst,
            lines.Fid: self._fid,
        }

    def read(self, number: int, raw: bytes) -> Run | None:
        """Take one line in; return the run before it where this line begins another."""
        text = raw.decode("utf-8", "replace").rstrip("\r\n")
        line = self._parse(number, text, whole=raw.endswith(b"\n"))
        if line is None:
            self._banner(text)
            return None
        finished = self._restart() if self._begins_run(line) else None
        self.run.speaks = True
        handler = self._handlers.get(type(line))
        if handler is not None:
            try:
                handler(line)
            except UsageError as error:
                raise UsageError(f"{self._complaints.name}:{number}: {error}") from None
            except (LineError, OverflowError) as error:
                self._complaints.add(number, f"FMWORK {line.KIND}: {error}")
        return finished

    def open_shape(self) -> Shape:
        """Return the shape that is being measured; one without sizes where no line announced any."""
        return self.open or self._new_shape()

    def _new_shape(self) -> Shape:
        if self.run.shapes and not self._keeps:
            self._held += self.run.shapes[-1].repetitions
            self._make_room()
        self.open = Shape()
        self.run.shapes.append(self.open)
        return self.open

    def _make_room(self) -> None:
        """Summarise repetitions, and move the oldest shapes to disk: later lines that speak of these are too late."""
        if self._held >= REPETITIONS:
            self._held = 0
            for shape in self.run.shapes:
                shape.settle()
        if len(self.run.shapes) < SHAPES:
            return
        self.run.earlier = self.run.earlier or Spool()
        for shape in self.run.shapes[: SHAPES // 2]:
            if self._by_place.get(shape.place) is shape:
                del self._by_place[shape.place]
            if not shape.empty:
                self.run.earlier.append(shape)
        del self.run.shapes[: SHAPES // 2]

    def _parse(self, number: int, text: str, whole: bool) -> lines.Line | None:
        """Return the first FMWORK line in a text that parses, with a complaint about what comes before it.

        A killed run leaves half a line, and the next run in the same file begins right behind it.
        """
        while found := lines.FIRST.search(text):
            try:
                line = lines.parse_line(text)
                if line is None or whole or isinstance(line, lines.JsonLine) or text.rstrip().endswith(line.format()):
                    return line
                raise LineError(f"{found[0]}: the log ends within the line")
            except LineError as error:
                self._complaints.add(number, str(error))
                text = text[found.end() :]
        return None

    def _begins_run(self, line: lines.Line) -> bool:
        """Whether a line opens a run. Logs of old have no LOG line: there, arguments do that."""
        if isinstance(line, lines.Arg):
            again = self.run.format is None and ":" not in line.key and line.key in self.run.arguments
            return again or self.run.measures or bool(self.run.shapes)
        return isinstance(line, lines.Log)

    def _restart(self) -> Run:
        finished = self.run.finished()
        self.run, self.open = Run(), None
        self._by_place.clear()
        self._held = 0
        return finished

    def _close_shape(self, place: Place) -> Shape:
        """Close and return the open shape where it has this place, else a new one: figures never change shapes."""
        shape = self.open_shape()
        if not shape.matches(place):
            shape = self._new_shape()
        self._put(shape, place)
        self.open = None
        return shape

    def _announce(self, place: Place) -> Shape:
        """Open a shape. One of the same place that was announced just before (banner, then CASE) is the same."""
        shape = self.open_shape()
        if not shape.empty or not shape.matches(place):
            shape = self._new_shape()
        self._put(shape, place)
        return shape

    def _put(self, shape: Shape, place: Place) -> None:
        shape.take_place(place)
        self._by_place[shape.place] = shape

    def _banner(self, text: str) -> None:
        sizes = lines.parse_banner(text)
        if sizes is not None and self.run.format is None:
            self._announce((*sizes, None))

    def _log(self, line: lines.Log) -> None:
        self.run.format = line.data["format"]
        if self.run.format > lines.FORMAT_VERSION:
            raise UsageError(
                f"the log has format {self.run.format}, and this fmbench reads formats up to {lines.FORMAT_VERSION}; "
                "upgrade it: pip install --upgrade fmbench"
            )

    def _arg(self, line: lines.Arg) -> None:
        self.run.arguments[line.key] = line.value
        self.run.options.append(line.format().removeprefix("FMWORK ARG ").rstrip())

    def _env(self, line: lines.Env) -> None:
        variant = fields.text(line.data, "variant")
        facts = {key: value for key, value in line.data.items() if key != "variant"}
        self.run.environments.setdefault(variant, {}).update(facts)

    def _setup(self, line: lines.Setup) -> None:
        self.run.measures = True
        self.run.setup = fields.checked_seconds(line.seconds)

    def _case(self, line: lines.Case) -> None:
        place = fields.place_of(line.data)
        if place[0] is None or place[1] is None:
            raise LineError("no sizes")
        shape = self._announce(place)
        shape.requested = fields.whole_number(line.data, "reps")

    def _phase(self, line: lines.Phase) -> None:
        fields.known_text(line.data, "name")
        fields.seconds(line.data, "seconds")
        place, phase = fields.place_of(line.data), fields.without_place(line.data)
        if not self.run.shapes:
            self.run.phases.append((place[2], phase))
        elif (shape := self._shape_at(place)) is not None:
            shape.phases.append(phase)

    def _rep(self, line: lines.Rep) -> None:
        self.open_shape().add(line.count, line.start, line.duration)

    def _res(self, line: lines.Res) -> None:
        self._close_shape((line.input_size, line.batch_size, None)).result = line

    def _err(self, line: lines.Err) -> None:
        self._close_shape(fields.place_of(line.data)).failure = fields.without_place(line.data)

    def _stat(self, line: lines.Stat) -> None:
        shape, said = self._said(line, fields.STATISTICS)
        recompiled = fields.positions(said, RECOMPILED_AT)
        if shape is not None:
            known = {key: value for key, value in said.items() if value is not None and key != RECOMPILED_AT}
            shape.statistics, shape.recompiled = known, recompiled

    def _mem(self, line: lines.Mem) -> None:
        shape, said = self._said(line, fields.MEMORY)
        if shape is not None:
            shape.memory = said

    def _energy(self, line: lines.Energy) -> None:
        shape, said = self._said(line, fields.ENERGY)
        if shape is not None:
            shape.energy = said

    def _ceil(self, line: lines.Ceil) -> None:
        place = fields.place_of(line.data)
        if place[:2] == (None, None):
            fields.check(line.data, fields.CEILING)
            self.run.ceilings[place[2]] = fields.without_place(line.data)
            return
        shape, said = self._said(line, fields.STANDING)
        if shape is not None:
            shape.standing = said

    def _pair(self, line: lines.Pair) -> None:
        fields.check(line.data, fields.PAIR)
        input_size, batch_size, _ = fields.place_of(line.data)
        b = fields.known_text(line.data, "b")
        shape = self._shape_at((input_size, batch_size, b))
        if shape is not None and shape.variant == b:
            shape.pair = fields.without_place(line.data)

    def _enc(self, line: lines.Enc) -> None:
        self._take_retrieval(line, fields.ENCODING, "queries" if line.data.get("role") == "query" else "passages")

    def _search(self, line: lines.Search) -> None:
        self._take_retrieval(line, fields.SEARCHING, "search")

    def _irm(self, line: lines.Irm) -> None:
        self._take_retrieval(line, fields.QUALITY, "quality")

    def _dst(self, line: lines.Dst) -> None:
        fields.check(line.data, fields.STAGE)
        if line.data["stage"] in ("reference", "evaluate"):
            fields.check(line.data, fields.QUERY_ENCODER)
            self.run.distillations.append(line.data)

    def _fid(self, line: lines.Fid) -> None:
        fields.check(line.data, fields.ARTIFACT)
        if line.data["kind"] == "variant":
            fields.check(line.data, fields.VARIANT)
        self.run.fidelities[line.data["artifact"]] = line.data

    def _take_retrieval(self, line: lines.JsonLine, checks: dict[str, Check], part: str) -> None:
        fields.check(line.data, checks)
        said = {key: value for key, value in line.data.items() if key not in ("dataset", "role")}
        self.run.retrievals.setdefault(line.data["dataset"], {})[part] = said

    def _said(self, line: lines.JsonLine, checks: dict[str, Check]) -> tuple[Shape | None, dict[str, Any]]:
        """Return the shape that a line speaks of and what it says of it. Raises LineError for a field that is wrong."""
        fields.check(line.data, checks)
        return self._shape_at(fields.place_of(line.data)), fields.without_place(line.data)

    def _shape_at(self, place: Place) -> Shape | None:
        """Return the last shape that a line before or after its result speaks of, or None where there is none."""
        last = self.run.shapes[-1] if self.run.shapes else None
        return last if last is not None and last.matches(place) else self._by_place.get(place)
