"""Lines in, runs out: what each run measured, shape by shape, and in which setting."""

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from fmbench import lines
from fmbench.errors import UsageError
from fmbench.lines import LineError
from fmbench.measure import is_seconds
from fmbench.repetitions import WHOLE, parse_repetitions

from ..workload import installed
from .fields import CELL_FILES, CORE, place_of, without_place
from .run import MISREAD, Run
from .shape import Shape
from .shapes import Shapes
from .sources import Complaints

NO_FIGURE = "RES says {}, as fmwork does of one repetition alone: it leaves the first one out"


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
    """Collects one run at a time: what every driver says itself, and through its workload what a workload says."""

    run: Run
    line: lines.Line | None = None  # that was read last, without what was wrong in it; None where it says nothing

    def __init__(self, complaints: Complaints, repetitions: bool = True) -> None:
        self._keeps = repetitions
        self.run = self._new_run()
        self._complaints = complaints
        self._owners = {kind: workload for workload in installed().values() for kind in workload.kinds}
        self._known = {*lines.CORE, *self._owners}
        self._cut: tuple[str, str] | None = None  # a kind and a reason: a line that a kill may have cut off
        self._handlers: dict[str, Callable[[Any], None]] = {
            "LOG": self._log,
            "ARG": self._arg,
            "ENV": self._env,
            "SETUP": self._setup,
            "PHASE": self._phase,
            "REP": self._rep,
            "RES": self._res,
            "ERR": self._err,
            "CELL": self._cell,
        }

    @property
    def open(self) -> Shape | None:
        """The last shape of the run, until it is closed."""
        return self.run.shapes.open

    def open_shape(self, number: int) -> Shape:
        """Return the shape that is being measured at this line; one without sizes where no line announced any."""
        self.run.line = number
        return self.run.shapes.open or self.run.shapes.opened(number)

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
        self.run.line = number
        text = raw.decode("utf-8", "replace").rstrip("\r\n")
        exact = self.run.format is not None
        line = lines.parse_whole(text, raw.endswith(b"\n"), exact, partial(self._torn, text), self._known)
        self.line = line
        if line is None:
            self._banner(text)
            return None
        finished = self._restart() if self._begins_run(line) else None
        if self._cut is not None:
            self._blame(lines.JsonLine(self._cut[0], {}), self._cut[1])
            self._cut = None
        self.run.line, self.run.speaks = number, True
        try:
            self._take(line)
        except UsageError as error:
            raise UsageError(f"{self._complaints.name}:{number}: {error}") from None
        except (LineError, OverflowError) as error:
            self.line = None
            self._complain(line, str(error))
        return finished

    def _take(self, line: lines.Line) -> None:
        """Hand a line to whom it is for, without the fields that are not what they should be: these are complaints."""
        owner = self._owners.get(line.kind)
        refused = []
        if isinstance(line, lines.JsonLine):
            schema = CORE.get(line.kind) or (owner and owner.kinds[line.kind])
            refused = schema.refuse(line.data) if schema else []
        if owner is not None and isinstance(line, lines.JsonLine):
            owner.collect(self.run, line)
        elif line.kind in self._handlers:
            self._handlers[line.kind](line)
        for reason in refused:
            self._complain(line, reason)

    def _torn(self, text: str, kind: str, reason: str) -> None:
        """Complain about a line that is not whole, in the row too that lacks what it would have said.

        One that is cut off is no reason where its run ends with it: a kill leaves what was said before as it was.
        """
        self._complaints.add(self.run.line, f"FMWORK {kind}: {reason}")
        if kind not in self._owners:
            return
        body = text.partition(f"{lines.PREFIX}{kind}")[2].partition(lines.PREFIX)[0].strip()
        if body[:1] in ("", "{") and body[-1:] != "}":
            self._cut = kind, reason
        else:
            self._blame(lines.JsonLine(kind, {}), reason)

    def _complain(self, line: lines.Line, reason: str) -> None:
        """Say what of a line was refused, in the rows that it speaks of too."""
        self._complaints.add(self.run.line, f"FMWORK {line.kind}: {reason}")
        if isinstance(line, lines.JsonLine):
            self._blame(line, reason)
        elif self.open:
            self.open.raise_doubt(f"damaged: {line.kind}: {reason}")

    def _blame(self, line: lines.JsonLine, reason: str) -> None:
        if line.kind == "ENV" and isinstance(variant := line.data.get("variant"), str | None):
            self.run.misread.setdefault(variant, f"{MISREAD}: {reason}")
            return
        owner = self._owners.get(line.kind, installed()["speed"])  # what is every driver's may be a shape's
        owner.blame(self.run, line, f"damaged: {line.kind}: {reason}")

    def _begins_run(self, line: lines.Line) -> bool:
        """Whether a line opens a run. Logs of old have no LOG line: there, arguments do that."""
        if isinstance(line, lines.Arg):
            again = self.run.format is None and ":" not in line.key and line.key in self.run.arguments
            return again or self.run.measures or bool(self.run.shapes)
        return line.kind == "LOG"

    def _new_run(self) -> Run:
        return Run(shapes=Shapes(self._keeps))

    def _restart(self) -> Run:
        finished, self.run, self._cut = self.run.finished(), self._new_run(), None
        return finished

    def _banner(self, text: str) -> None:
        sizes = lines.parse_banner(text)
        if sizes is not None and self.run.format is None:
            self.run.shapes.announce((*sizes, None), self.run.line)

    def _log(self, line: lines.JsonLine) -> None:
        self.run.format = line.data["format"]
        if self.run.format > lines.FORMAT_VERSION:
            raise UsageError(
                f"the log has format {self.run.format}, and this fmbench reads {lines.FORMAT_VERSION}; upgrade it"
            )

    def _arg(self, line: lines.Arg) -> None:
        self.run.arguments[line.key] = line.value
        self.run.options.append(line.format().removeprefix("FMWORK ARG ").rstrip())

    def _env(self, line: lines.JsonLine) -> None:
        facts = {key: value for key, value in line.data.items() if key != "variant"}
        self.run.environments.setdefault(line.data.get("variant"), {}).update(facts)

    def _setup(self, line: lines.Setup) -> None:
        self.run.measures = True
        if not is_seconds(line.seconds):
            raise LineError(f"{line.seconds!r} is no number of seconds")
        self.run.setup = line.seconds

    def _phase(self, line: lines.JsonLine) -> None:
        place, phase = place_of(line.data), without_place(line.data)
        if not self.run.shapes:
            self.run.phases.append((place[2], phase))
        elif (shape := self.run.shapes.at(place)) is not None:
            shape.phases.append(phase)

    def _rep(self, line: lines.Rep) -> None:
        self.open_shape(self.run.line).add(line.index, line.count, line.start, line.end, line.duration)

    def _res(self, line: lines.Res) -> None:
        place = line.input_size, line.batch_size, None
        shape = self.run.shapes.end(place, line.kind, self.run.line)
        shape.result = line
        if not math.isfinite(line.latency):
            shape.failure = {"type": "NoFigure", "message": NO_FIGURE.format(line.latency)}

    def _err(self, line: lines.JsonLine) -> None:
        shape = self.run.shapes.end(place_of(line.data), line.kind, self.run.line)
        shape.failure = without_place(line.data)

    def _cell(self, line: lines.JsonLine) -> None:
        self.run.cell = {key: value for key, value in line.data.items() if key not in CELL_FILES}
