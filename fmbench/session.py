"""One run of a driver: its log, and what the log opens with: the command line, and the facts of the run.

Lines are flushed as they are made, so that a killed run keeps what it had.
"""

import contextlib
import fcntl
import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO

from fmbench import __version__, facts, host, lines, placement, plugins, torch_settings
from fmbench.backend import Backend
from fmbench.claim import lock_handle
from fmbench.console import note, reserved_stdout
from fmbench.errors import UsageError, first_line
from fmbench.history import FIRST_VARIANT, History, ignore
from fmbench.measure import Clock
from fmbench.options import Arguments
from fmbench.precision import of_weights
from fmbench.secrets import hidden, masked, masked_looks, masked_values, sealed
from fmbench.whole_file import written

if TYPE_CHECKING:
    from fmbench.encoder import Encoder

OUTCOMES = ("STAT", "ERR", "PAIR", "PROC")
REPETITION = f"{lines.PREFIX}{lines.Rep.kind} "


class Session:
    """What every driver works with: the log, one clock, and the log that the run goes on with, if any."""

    def __init__(
        self, log: "LogWriter", driver: str, arguments: Arguments | None = None, history: History | None = None
    ) -> None:
        self.log, self.clock = log, Clock()
        self._driver, self._arguments, self._history = driver, arguments, history

    def begin(self) -> None:
        """Print what every log begins with: the LOG line, and the arguments as typed, secrets sealed."""
        if self._arguments is None:  # a command without a model
            self.log.write(head(self._driver))
            return
        write_head(self.log, self._driver, given(self._arguments))
        if self._arguments.options["compile"] and ("compile", "True") not in self._arguments.given:
            note("a --compile: option was given, so --compile is on")

    def describe(self, found: Mapping[str, Any]) -> None:
        """Print the fingerprint of the run. Raises UsageError where the log that it goes on with has another one."""
        self.log.write(lines.JsonLine("ENV", {**found, **host.load_facts("start")}))
        self.check(found)

    def check(self, found: Mapping[str, Any], variant: str = FIRST_VARIANT) -> None:
        """Raise UsageError where the log that the run goes on with has other facts of a variant."""
        if self._history is not None:
            self._history.check_facts(found, variant)

    def end(self, found: Mapping[str, Any] | None = None) -> None:
        """Print what is known only now, and how busy the machine was."""
        self.log.write(lines.JsonLine("ENV", {**(found or {}), **host.load_facts("end")}))


@contextlib.contextmanager
def open(
    driver: str, arguments: Arguments | None = None, history: History | None = None, leads: bool = True
) -> Iterator[Session]:
    """Yield a run whose log is standard output, or the end of the log that it goes on with.

    Of several ranks one `leads`; the others print nowhere. Raises UsageError where another driver writes to the log.
    """
    with log_stream(history) if leads else nowhere() as stream:
        yield Session(LogWriter(stream), driver, arguments, history)


@contextlib.contextmanager
def open_with_tables(driver: str, arguments: Arguments | None = None) -> Iterator[Session]:
    """Yield a run whose log is standard output; what `fmbench show` makes of it goes to stderr, after Ctrl-C too."""
    with (
        log_stream(None) as stdout,
        tempfile.TemporaryDirectory() as folder,
        (Path(folder) / "run.log").open("w", encoding="utf-8") as copy,
    ):
        run = Session(LogWriter(stdout, copy, f"fmbench {driver}"), driver, arguments)
        try:
            yield run
        except KeyboardInterrupt:
            run.log.tell("show")
            raise
        run.log.tell("show")


@contextlib.contextmanager
def nowhere() -> Iterator[TextIO]:
    """Yield where the log of a rank goes that does not lead."""
    with reserved_stdout(), Path(os.devnull).open("w", encoding="utf-8") as stream:
        yield stream


@contextlib.contextmanager
def log_stream(history: History | None) -> Iterator[TextIO]:
    """Yield where a log goes. A file is this driver's for as long as it writes.

    What shares the shell's redirect with it (the ranks of a launcher, the next command of a script) shares that.
    """
    with reserved_stdout() as stdout:
        if history is None:
            claimed = claim(stdout, "standard output")
            try:
                yield stdout
            finally:
                if claimed:
                    fcntl.flock(stdout, fcntl.LOCK_UN)
            return
        try:
            stream = history.path.open("a", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--resume {history.path}: {first_line(error)}") from None
        with stream:
            claim(stream, f"--resume {history.path}")
            history.check_size(stream)
            if history.torn:
                stream.write("\n")
            try:
                yield stream
            except UsageError:
                history.restore(stream)
                raise


def claim(stream: IO[str], name: str) -> bool:
    """Make a file the caller's own, and return whether it is one that can be.

    Raises UsageError, with what messages call it, where another driver has it.
    """
    try:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            return False
    except OSError:  # no file at all
        return False
    return lock_handle(stream.fileno(), name, "wait, or use a log of its own")


class Renamed:
    """A stream on which a file that its user never had is called something else."""

    def __init__(self, stream: TextIO, path: str, name: str) -> None:
        self._stream, self._path, self._name = stream, path, name

    def write(self, text: str) -> int:
        """Write a text."""
        return self._stream.write(text.replace(self._path, self._name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class LogWriter:
    """Writes to one stream. Raises FmbenchError where it cannot be written to (a full disk)."""

    def __init__(self, stream: TextIO, copy: TextIO | None = None, called: str | None = None) -> None:
        """Take where it goes; a `copy` is for `tell`, and `called` something else where nobody knows its path."""
        self._stream, self._copy, self._called = stream, copy, called
        self.outcomes: list[lines.JsonLine] = []  # what a person is told at the end
        self.simulated: dict[str, str] = {}  # of each variant whose figures are no hardware's: why

    def write(self, line: lines.Line) -> None:
        """Write one FMWORK line."""
        self._heed(line)
        self._put(without_secrets(line).format() + "\n")

    def text(self, text: str) -> lines.Line | None:
        """Pass a line on that another process wrote, its line break included, and return what it says.

        Of a repetition, and of a line that is torn, that is nothing.
        """
        line = None
        if not text.startswith(REPETITION):
            line = lines.parse_whole(text.rstrip("\r\n"), text.endswith("\n"), True, ignore)
        self._heed(line)
        self._put(text)
        return line

    def _heed(self, line: lines.Line | None) -> None:
        """Keep what a person is told at the end."""
        if lines.is_json(line, *OUTCOMES):
            self.outcomes.append(line)
        elif lines.is_json(line, "ENV") and line.data.get("simulated"):
            self.simulated[line.data.get("variant", FIRST_VARIANT)] = line.data["simulated"]

    def banner(self, *words: object) -> None:
        """Write a title between two rules."""
        self._put(lines.banner(*words) + "\n")

    def space(self) -> None:
        """Write a blank line."""
        self._put("\n")

    def tell(self, command: str, *words: str) -> int:
        """Run a command of fmbench on what was written, its output on stderr, and return its exit code.

        The command is found by name, as the one that a user types: what draws a log is no part of what measures.
        """
        if self._copy is None:
            raise ValueError("the writer keeps no copy")
        found, _ = plugins.discover("fmbench.commands")
        path = str(self._copy.name)
        stderr = Renamed(sys.stderr, path, self._called or path)
        with contextlib.redirect_stdout(stderr), contextlib.redirect_stderr(stderr):
            return int(found[command].load()([*words, path]))

    def _put(self, text: str) -> None:
        """Write at once. Raises FmbenchError where there is no room: what was written before is a log still."""
        name = getattr(self._stream, "name", None)
        named = name if isinstance(name, str) and name[:1] != "<" else "the log"
        with written(named, "what was written before is kept"):
            for stream in filter(None, (self._stream, self._copy)):
                stream.write(text)
                stream.flush()


def without_secrets(line: lines.Line) -> lines.Line:
    """Return a line without the secrets that a library's error, or an address for a model's name, may bring into it."""
    if isinstance(line, lines.JsonLine):
        return replace(line, data=masked_values(line.data))
    if isinstance(line, lines.Res):
        return replace(line, model=masked_looks(line.model, hidden))
    return line


def head(driver: str) -> lines.JsonLine:
    """Return the line that a log begins with."""
    return lines.JsonLine(
        "LOG", {"format": lines.FORMAT_VERSION, "program": f"fmbench {__version__}", "driver": driver}
    )


def write_head(log: LogWriter, driver: str, typed: Iterable[tuple[str, str]]) -> None:
    """Write the line that a log begins with, and the arguments as typed, secrets sealed."""
    log.write(head(driver))
    log.banner("ARGS")
    for name, value in typed:
        log.write(lines.Arg(name, value))


def given(arguments: Arguments) -> list[tuple[str, str]]:
    """Return the arguments as typed, secrets sealed: a log is published."""
    return [(name, masked(name, value, sealed)) for name, value in arguments.given]


def run_facts(arguments: Arguments, distributions: Iterable[str], timed: str) -> dict[str, Any]:
    """Return what identifies software, host and seed, what is timed, and who ran it where that may be said."""
    disclosed = facts.disclosed_facts() if arguments.disclose else {}
    software = {**facts.software_facts(tuple(distributions)), "variables": facts.variables()}
    return {**software, **host.host_facts(), **disclosed, "timed": timed, "seed": arguments.seed}


def platform_facts(platform: Backend, arguments: Arguments) -> dict[str, Any]:
    """Return what a platform and the options of the command line are. Imports torch."""
    import torch

    found = {
        "platform": platform.name,
        "threads": torch.get_num_threads(),
        **placement.facts(),
        "gradients": torch.is_grad_enabled() and not arguments.inference,
        "compile": platform.compiles(arguments),
        "options": [f"--{name} {value}" for name, value in given(arguments) if ":" in name],
        "torch_settings": torch_settings.settings(),
        **device_facts(platform, arguments),
    }
    return found if arguments.disclose else facts.discreet(found)


def device_facts(platform: Backend, arguments: Arguments) -> dict[str, Any]:
    """Return what a platform says of its device, and which one `--device` chose where it does not say that itself.

    Or the figures of several devices would be those of one.
    """
    found, number = platform.ask_facts(), arguments.device
    device = str(found.get("device", platform.name))
    return {**found, "device": f"{device}:{number}"} if number and not device.endswith(f":{number}") else found


def note_precision(platform: Backend, found: Mapping[str, Any]) -> None:
    """Say where a platform computes in another type than the weights have: such figures compare with no others.

    `found` are the facts of a model.
    """
    weights = found["dtype"].partition(",")[0]
    computed = platform.computes_in(of_weights(found))
    if computed != weights:
        note(f"{platform.name} computes these {weights} weights in {computed}")


def facts_of(encoder: "Encoder") -> dict[str, Any]:
    """Return what decides an encoder's figures, its settings being in force."""
    platform = encoder.platform
    software = facts.software_facts(tuple(platform.distributions))
    return {**software, **platform_facts(platform, encoder.arguments), **encoder.facts, **encoder.recipe_facts()}
