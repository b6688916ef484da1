"""Lines in, runs out: what each run measured, shape by shape, and in which setting."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from fmbench import lines
from fmbench.errors import UsageError
from fmbench.lines import LineError
from fmbench.repetitions import WHOLE, parse_repetitions

from . import fields
from .doubts import processes_doubt
from .fields import Check, Place
from .reader import Complaints
from .run import Run
from .shape import Shape

RECOMPILED_AT = "recompiled_at"  # positions, from 0, of the repetitions in which the compiler ran
OF_DATASET = (lines.Enc, lines.Search, lines.Irm, lines.Dst)


def read_runs(blocks: Iterable[bytes], complaints: Complaints, repetitions: bool = True) -> Iterator[Run]:
    """Yield the runs of one log, each when it has ended: facts that a run prints late hold for all its shapes.

    A block is one line or many. Without `repetitions`, those of a shape are summarised when the next one begins.
    Raises UsageError for a log of a newer format; every other line that does not parse is a complaint.
    """
    reader = RunReader(complaints, repetitions)
    number = 1
    for block in blocks:
        place = 0
        while place < len(block):
            if found := WHOLE.match(block, place):
                table = parse_repetitions(found[0])
                reader.open_shape(number).extend(table)
                number, place = number + len(table), found.end()
                continue
            end = block.find(b"\n", place) + 1 or len(block)
            if (finished := reader.take(number, block[place:end])) is not None:
                yield finished
            number, place = number + 1, end
    complaints.close()
    yield reader.run.finished()


class RunReader:
    """Collects one run at a time. Repetitions belong to the shape that was opened last; RES and ERR close it."""

    run: Run
    open: Shape | None  # the last shape of the run, until it is closed

    def __init__(self, complaints: Complaints, repetitions: bool = True) -> None:
        self.run, self.open = Run(), None
        self._keeps, self._number = repetitions, 0
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
            lines.Proc: self._proc,
            lines.Enc: self._enc,
            lines.Search: self._search,
            lines.Irm: self._irm,
            lines.Dst: self._dst,
            lines.Fid: self._fid,
        }

    def take(self, number: int, raw: bytes) -> Run | None:
        """Take one line in, if it may be one of ours; return the run before it where this line begins another."""
        repetition = lines.parse_rep(raw) if b" REP " in raw else None
        if repetition is None:
            return self.read(number, raw) if b"FMWORK " in raw or b"RUN " in raw else None
        try:
            self.open_shape(number).add(*repetition)
        except OverflowError as error:
            self._complaints.add(number, f"FMWORK REP: {error}")
        return None

    def read(self, number: int, raw: bytes) -> Run | None:
        """Take one line in; return the run before it where this line begins another."""
        self._number = number
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
                self._blame(line, str(error))
        return finished

    def open_shape(self, number: int) -> Shape:
        """Return the shape that is being measured at this line; one without sizes where no line announced any."""
        self._number = number
        return self.open or self._new_shape()

    def _new_shape(self) -> Shape:
        if self.run.shapes and not self._keeps:
            self.run.shapes[-1].settle()
        self.open = Shape(line=self._number)
        self.run.shapes.append(self.open)
        return self.open

    def _parse(self, number: int, text: str, whole: bool) -> lines.Line | None:
        """Return the first FMWORK line in a text that is whole, with a complaint about what comes before it."""
        return lines.parse_whole(text, whole, self.run.format is not None, partial(self._complaints.add, number))

    def _blame(self, line: lines.Line, reason: str) -> None:
        """Say it in the rows that a line speaks of that something of it was refused."""
        reason = f"damaged: {line.KIND}: {reason}"
        if isinstance(line, OF_DATASET):
            if isinstance(dataset := line.data.get("dataset"), str):
                self.run.doubts.setdefault(dataset, reason)
            else:
                self.run.raise_doubt(reason)
            return
        try:
            shape = self._shape_at(fields.place_of(line.data)) if isinstance(line, lines.JsonLine) else self.open
        except LineError:
            shape = self.run.shapes[-1] if self.run.shapes else None
        if shape:
            shape.raise_doubt(reason)

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
        return finished

    def _close_shape(self, place: Place, kind: str) -> Shape:
        """Close and return the open shape where it has this place, else a new one: figures never change shapes."""
        shape = self.open_shape(self._number)
        if not shape.matches(place):
            reason = f"mixed: {kind} of {place[0]} / {place[1]} stands behind CASE of "
            reason += f"{shape.input_size} / {shape.batch_size}"
            if shape.repetitions:
                shape.raise_doubt(reason)
            shape = self._new_shape()
            shape.raise_doubt(reason)
        self._put(shape, place)
        self.open = None
        return shape

    def _announce(self, place: Place) -> Shape:
        """Open a shape. One of the same place that was announced just before (banner, then CASE) is the same."""
        shape = self.open_shape(self._number)
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
        self._refuse(line, fields.FACTS)
        facts = {key: value for key, value in line.data.items() if key != "variant"}
        self.run.environments.setdefault(variant, {}).update(facts)

    def _setup(self, line: lines.Setup) -> None:
        self.run.measures = True
        self.run.setup = fields.checked_seconds(line.seconds)

    def _case(self, line: lines.Case) -> None:
        place = fields.place_of(line.data)
        refused = fields.refuse(line.data, fields.CASE)
        shape = self._announce(place)
        if line.data.get("overrides") is not None:
            self.run.overrides[place[2]] = line.data["overrides"]
        self.run.announces = True
        shape.requested, shape.announced = line.data.get("reps"), fields.without_place(line.data)
        self._tell(line, refused)

    def _phase(self, line: lines.Phase) -> None:
        self._refuse(line, fields.PHASE)
        place, phase = fields.place_of(line.data), fields.without_place(line.data)
        if not self.run.shapes:
            self.run.phases.append((place[2], phase))
        elif (shape := self._shape_at(place)) is not None:
            shape.phases.append(phase)

    def _rep(self, line: lines.Rep) -> None:
        self.open_shape(self._number).add(line.index, line.count, line.start, line.end, line.duration)

    def _res(self, line: lines.Res) -> None:
        self._close_shape((line.input_size, line.batch_size, None), line.KIND).result = line

    def _err(self, line: lines.Err) -> None:
        place = fields.place_of(line.data)
        refused = fields.refuse(line.data, fields.FAILURE)
        self._close_shape(place, line.KIND).failure = fields.without_place(line.data)
        self._tell(line, refused)

    def _stat(self, line: lines.Stat) -> None:
        shape, said = self._said(line, fields.STATISTICS)
        recompiled = said.get(RECOMPILED_AT) or []
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
            self._refuse(line, fields.CEILING)
            self.run.ceilings[place[2]] = fields.without_place(line.data)
            return
        shape, said = self._said(line, fields.STANDING)
        if shape is not None:
            shape.standing = said

    def _pair(self, line: lines.Pair) -> None:
        input_size, batch_size, _ = fields.place_of(line.data)
        b = fields.known_text(line.data, "b")
        refused = fields.refuse(line.data, fields.PAIR)
        if line.data.get("overrides") is not None:
            self.run.overrides[b] = line.data["overrides"]
        shape = self._shape_at((input_size, batch_size, b))
        if shape is not None and shape.variant == b:
            other = self._by_place.get((input_size, batch_size, line.data.get("a")))
            shape.take_pair(fields.without_place(line.data), other)
        self._tell(line, refused)

    def _proc(self, line: lines.Proc) -> None:
        self._refuse(line, fields.PROCESSES)
        place, said = fields.place_of(line.data), fields.without_place(line.data)
        medians = said.pop("medians", None)  # each is its process's own
        measured = [shape for shape in self.run.shapes if shape.place == place and shape.result is not None]
        theirs = measured[max(0, len(measured) - said["n"]) :]
        doubt = processes_doubt(said, medians, [shape.statistics or {} for shape in theirs])
        for shape in theirs:
            shape.processes = said
            if doubt is not None:
                shape.raise_doubt(doubt)

    def _enc(self, line: lines.Enc) -> None:
        self._take_retrieval(line, fields.ENCODING, "queries" if line.data.get("role") == "query" else "passages")

    def _search(self, line: lines.Search) -> None:
        self._take_retrieval(line, fields.SEARCHING, "search")

    def _irm(self, line: lines.Irm) -> None:
        self._take_retrieval(line, fields.QUALITY, "quality")

    def _dst(self, line: lines.Dst) -> None:
        self._refuse(line, fields.STAGE)
        if line.data["stage"] in ("reference", "evaluate"):
            self._refuse(line, fields.QUERY_ENCODER)
            self.run.distillations.append(line.data)

    def _fid(self, line: lines.Fid) -> None:
        self._refuse(line, fields.ARTIFACT)
        if line.data["kind"] == "variant":
            self._refuse(line, fields.VARIANT)
        self.run.fidelities[line.data["artifact"]] = line.data

    def _take_retrieval(self, line: lines.JsonLine, checks: dict[str, Check], part: str) -> None:
        self._refuse(line, checks)
        said = {key: value for key, value in line.data.items() if key not in ("dataset", "role")}
        dataset = line.data["dataset"]
        self.run.starts.setdefault(dataset, self._number)
        parts = self.run.retrievals.setdefault(dataset, {})
        if part in parts:
            self.run.doubts.setdefault(dataset, f"mixed: {line.KIND} of {dataset} comes twice")
        parts[part] = said

    def _said(self, line: lines.JsonLine, checks: dict[str, Check]) -> tuple[Shape | None, dict[str, Any]]:
        """Return the shape that a line speaks of and what it says of it. Raises LineError for a field that is wrong."""
        place = fields.place_of(line.data)
        self._refuse(line, checks)
        shape = self._shape_at(place)
        if shape is None and self.run.format is not None and self.run.shapes:
            other = f"{place[0]} / {place[1]}"
            self.run.shapes[-1].raise_doubt(f"mixed: {line.KIND} of {other} stands where no such shape was measured")
        return shape, fields.without_place(line.data)

    def _refuse(self, line: lines.JsonLine, checks: dict[str, Check]) -> None:
        """Take out of a line what is wrong, and say so, in its row too."""
        self._tell(line, fields.refuse(line.data, checks))

    def _tell(self, line: lines.JsonLine, refused: list[str]) -> None:
        for reason in refused:
            self._complaints.add(self._number, f"FMWORK {line.KIND}: {reason}")
            self._blame(line, reason)

    def _shape_at(self, place: Place) -> Shape | None:
        """Return the last shape that a line before or after its result speaks of, or None where there is none."""
        last = self.run.shapes[-1] if self.run.shapes else None
        return last if last is not None and last.matches(place) else self._by_place.get(place)
