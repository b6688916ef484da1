"""The log of one cell: ended so that it says how its command ended, whatever that was."""

import re
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmbench import lines
from fmbench.checks import Checked
from fmbench.children import killed_by
from fmbench.secrets import sealed
from fmbench.session import LogWriter, Session, write_head

from ..reading.results import read_source
from ..reading.run import shapes_asked
from ..reading.sources import Source
from ..store.adding import cell_of
from .cell import MODEL, Cell
from .kept import known_facts

ERROR = ": error: "
SET_UP = re.compile(rb'FMWORK ENV .*"platform": ')  # its model was set up, or one of its variants
TAIL = 2**14  # bytes of what a command said


@dataclass(frozen=True, slots=True)
class Ended:
    """How a cell's process ended, that started then (ns since the epoch): after so many seconds, with an exit code.

    That is None where its time was over. `inputs` and `outputs` are the digests of what it read and wrote, by path;
    where it `resumed`, an earlier process had begun its log.
    """

    start: int
    seconds: float
    exit_code: int | None
    allowed: float | None = None
    inputs: Mapping[str, str | None] = field(default_factory=dict)
    outputs: Mapping[str, str | None] = field(default_factory=dict)
    resumed: bool = False

    @property
    def failure(self) -> dict[str, Any] | None:
        """What an ERR line says of it; None where it exited with 0, or with 1, and says itself what failed."""
        if self.exit_code is None:
            return {"type": "Timeout", "message": f"ran longer than --cell_timeout {self.allowed:g} s, and was ended"}
        if self.exit_code < 0:
            name = signal.Signals(-self.exit_code).name
            return {"type": "Killed", "message": f"the process was {killed_by(-self.exit_code)}", "signal": name}
        return {"type": "Failed", "message": f"the command exited with {self.exit_code}"} if self.exit_code else None


def close_log(log: Path, said: Path, cell: Cell, checked: Checked, sweep: str, ended: Ended) -> None:
    """Write what a log lacks: its head and facts where the command did not get so far, what failed, and the CELL line.

    `said` is what the command wrote to stderr. A log that has its CELL line is whole.
    """
    text = log.read_bytes()
    with log.open("a", encoding="utf-8") as stream:
        stream.write("" if text.endswith(b"\n") or not text else "\n")
        writer = LogWriter(stream)
        if b"FMWORK LOG " not in text:
            Session(writer, cell.run, checked.arguments).begin()
        if ended.exit_code != 0:
            for line in missing(log, text, said, checked, ended):
                writer.write(line)
        writer.write(lines.JsonLine("CELL", {
            "sweep": sweep, "id": cell.id, "run": cell.run, "exit_code": ended.exit_code,
            "start": lines.format_time(ended.start), "seconds": round(ended.seconds, 3),
            **{name: getattr(ended, name) for name in ("inputs", "outputs", "resumed") if getattr(ended, name)},
        }))  # fmt: skip


def write_refusal(log: Path, cell: Cell, sweep: str, reason: str) -> None:
    """Write the log of a cell that does not run, so that its store knows of it."""
    known = {"platform": cell.values.get("platform"), "model": cell.values.get(MODEL)}
    with log.open("w", encoding="utf-8") as stream:
        writer = LogWriter(stream)
        write_head(writer, cell.run, cell.command.masked(sealed).given)
        writer.write(lines.JsonLine("ENV", {**known_facts(), **{key: one for key, one in known.items() if one}}))
        asked: list[tuple[int | None, int | None]] = [*sorted(shapes_asked(dict(cell.command.given)))]
        for size, batch in asked or [(None, None)]:
            shape = {"input_size": size, "batch_size": batch}
            writer.write(lines.JsonLine("ERR", {**shape, "type": "Refused", "message": reason, "where": None}))
        writer.write(lines.JsonLine("CELL", {
            "sweep": sweep, "id": cell.id, "run": cell.run, "exit_code": None,
            "start": lines.format_time(time.time_ns()), "seconds": 0.0, "refused": True,
        }))  # fmt: skip


def missing(log: Path, text: bytes, said: Path, checked: Checked, ended: Ended) -> Iterator[lines.Line]:
    """Yield what a log of a cell that failed does not say: which shapes have no result, and why."""
    rows = [result.row for result in read_source(Source(log), lambda _: None, repetitions=False)] if text else []
    if not SET_UP.search(text):
        known = {} if b"FMWORK ENV " in text else known_facts(checked.platform.distributions)
        yield lines.JsonLine("ENV", {**known, "platform": checked.platform.name, "model": checked.arguments.model_name})
    failure = ended.failure
    if failure is None or (ended.exit_code == 1 and any(row["status"] == "ERR" for row in rows)):
        return
    if failure["type"] == "Failed" and (last := last_error(said)):
        failure = {**failure, "message": last}
    done = {(row["input"], row["batch"]) for row in rows if row["status"] != "PARTIAL"}
    shapes: list[tuple[int | None, int | None]] = [one for one in checked.arguments.shapes if one not in done]
    for size, batch in shapes or [(None, None)]:
        yield lines.JsonLine("ERR", {"input_size": size, "batch_size": batch, **failure, "where": None})


def last_error(said: Path) -> str | None:
    """Return the last error of what a command said, or its last line."""
    with said.open("rb") as stream:
        stream.seek(max(0, said.stat().st_size - TAIL))
        found = [line for line in stream.read().decode("utf-8", "replace").splitlines() if line.strip()]
    errors = [line.partition(ERROR)[2] for line in found if ERROR in line]
    return [*found, *errors][-1] if found else None


def is_closed(log: Path) -> bool:
    """Whether a log has its CELL line: its cell is done, and only its way into the store was not."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - TAIL))
        return cell_of(stream.read()) is not None
