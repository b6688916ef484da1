"""FMWORK lines: the only module that knows their text.

Every line is a frozen dataclass with `format()` and `parse()`. Five kinds are positional, as tools in the field have
always read them, a class each; the others carry one JSON object, and what is in it is for the reader to say. All times
are integers, nanoseconds since the epoch.
"""

import json
import math
import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeGuard

from fmbench.markdown import CONTROLS

FORMAT_VERSION = 1
PREFIX = "FMWORK "
RULE = "-" * 80

BREAKS = re.compile(rf"{CONTROLS.pattern}|[\n\ud800-\udfff]|%(?=[0-9A-Fa-f]{{2}})|^ | $")  # a terminal obeys them, too
BLANKS = re.compile(r"\s|" + BREAKS.pattern)
ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2})*")


class LineError(ValueError):
    """A line of a known kind whose fields do not parse."""


def escape(text: str, characters: re.Pattern[str]) -> str:
    """Percent-encode (UTF-8) what `characters` matches, and every `%` that would otherwise decode."""
    return characters.sub(
        lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass")), text
    )


def unescape(text: str) -> str:
    """Undo `escape`; what is no UTF-8 (a foreign log) stays as it is."""
    try:
        return ESCAPED.sub(
            lambda match: bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "surrogatepass"), text
        )
    except UnicodeDecodeError:
        return text


def format_time(nanoseconds: int) -> str:
    """Return seconds with nine decimals, exactly."""
    sign, magnitude = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    return f"{sign}{magnitude // 1_000_000_000}.{magnitude % 1_000_000_000:09d}"


def parse_time(text: str) -> int:
    """Return the nanoseconds of a decimal number of seconds, exactly (further decimals are cut)."""
    if text[-10:-9] == ".":  # nine decimals, as every FMWORK line has them
        return int(text[:-10] + text[-9:])
    whole, _, decimals = text.partition(".")
    return int(whole + decimals[:9].ljust(9, "0"))


@dataclass(frozen=True, slots=True)
class Arg:
    """One command-line argument: `--key value`."""

    kind: ClassVar[str] = "ARG"
    key: str
    value: str

    def format(self) -> str:
        """Return the line."""
        return f"FMWORK ARG --{escape(self.key, BLANKS)} {escape(self.value, BREAKS)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what follows the kind."""
        key, _, value = text.partition(" ")
        if not key.startswith("--"):
            raise LineError(f"an argument begins with --, not {key!r}")
        return cls(unescape(key[2:]), unescape(value))


@dataclass(frozen=True, slots=True)
class Setup:
    """Seconds that loading the model and wrapping it for compilation took."""

    kind: ClassVar[str] = "SETUP"
    seconds: float

    def format(self) -> str:
        """Return the line."""
        return f"FMWORK SETUP {self.seconds:.6f}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what follows the kind."""
        (seconds,) = fields(text, 1)
        return cls(float(seconds))


@dataclass(frozen=True, slots=True)
class Rep:
    """One repetition: its number, how many were asked for, start, end and duration."""

    kind: ClassVar[str] = "REP"
    index: int
    count: int
    start: int
    end: int
    duration: int

    def format(self) -> str:
        """Return the line."""
        times = f"{format_time(self.start)} {format_time(self.end)} {format_time(self.duration)}"
        return f"FMWORK REP {self.index} {self.count} {times}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what follows the kind."""
        index, count, start, end, duration = fields(text, 5)
        return cls(int(index), int(count), parse_time(start), parse_time(end), parse_time(duration))


@dataclass(frozen=True, slots=True)
class Res:
    """The result of one shape: latency in milliseconds a batch, throughput in sequences a second."""

    kind: ClassVar[str] = "RES"
    start: int
    end: int
    model: str
    model_class: str
    input_size: int
    batch_size: int
    latency: float
    throughput: float

    def format(self) -> str:
        """Return the line."""
        names = f"{escape(self.model, BLANKS)} {escape(self.model_class, BLANKS)}"
        figures = f"{self.input_size} {self.batch_size} {self.latency:.3f} {self.throughput:.1f}"
        return f"FMWORK RES {format_time(self.start)} {format_time(self.end)} {names} {figures}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what follows the kind."""
        start, end, model, model_class, *numbers = fields(text, 8)
        return cls(
            parse_time(start), parse_time(end), unescape(model), unescape(model_class),
            int(numbers[0]), int(numbers[1]), float(numbers[2]), float(numbers[3]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exp:
    """An environment variable that was set for the experiment."""

    kind: ClassVar[str] = "EXP"
    key: str
    value: str

    def format(self) -> str:
        """Return the line."""
        return f"FMWORK EXP {escape(self.key, BLANKS)}={escape(self.value, BREAKS)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what follows the kind."""
        key, assigned, value = text.partition("=")
        if not key or not assigned:
            raise LineError("an experiment variable is KEY=VALUE")
        return cls(unescape(key), unescape(value))


@dataclass(frozen=True, slots=True)
class JsonLine:
    """A kind whose body is one JSON object. All but those of CORE are a workload's; CELL is a sweep's."""

    kind: str
    data: dict[str, Any]

    def format(self) -> str:
        """Return the line."""
        return f"FMWORK {self.kind} {json.dumps(self.data, allow_nan=False)}"

    @classmethod
    def parse(cls, kind: str, text: str) -> Self:
        """Read what follows the kind."""
        try:
            data = json.loads(text, parse_float=finite, parse_constant=finite)
        except (ValueError, RecursionError) as error:
            raise LineError(f"no JSON object ({error})") from None
        if not isinstance(data, dict):
            raise LineError("no JSON object")
        if kind == "LOG" and not isinstance(data.get("format"), int):
            raise LineError("no format version")
        return cls(kind, data)


Line = Arg | Setup | Rep | Res | Exp | JsonLine
EXACT = (Rep, Res)  # their last figure has so many decimals and no others
POSITIONAL: dict[str, type[Any]] = {kind.kind: kind for kind in (Arg, Setup, Rep, Res, Exp)}
CORE = ("LOG", "ENV", "PHASE", "ERR", "CELL")
# The kind is no part of the match: another line may begin in what looks like one.
FIRST = re.compile(r"FMWORK (?=([A-Z][A-Z0-9_]*)(?: |$))")
UTF16 = re.compile(rb"\xff\xfe[\x01-\x7f]\x00|\xfe\xff\x00[\x01-\x7f]")  # a byte order mark, and a plain letter
VARIABLE = re.compile(r"FMWORK ENV (?!\{)")  # of fmwork's runner, which lists its whole environment before the log
BANNER = re.compile(r"^RUN (\d{1,12}) / (\d{1,12})$")


def fields(text: str, count: int) -> list[str]:
    """Split the body of a positional line, or raise LineError where it has another number of fields."""
    parts = text.split()
    if len(parts) != count:
        raise LineError(f"{len(parts)} fields where {count} belong")
    return parts


def finite(text: str) -> float:
    """Return a decimal number, or raise LineError for NaN and infinity, which JSON cannot say."""
    number = float(text)
    if not math.isfinite(number):
        raise LineError(f"{text} is no finite number")
    return number


def is_json(line: Line | None, *kinds: str) -> TypeGuard[JsonLine]:
    """Whether a line is one of these kinds, which carry JSON."""
    return isinstance(line, JsonLine) and line.kind in kinds


def parse_line(text: str, known: Container[str] = CORE) -> Line | None:
    """Return the first FMWORK line that `text` holds, or None where it holds none.

    What another program printed before the line's start is passed over, and so is a kind that is neither positional
    nor `known` where no JSON object follows it. Raises LineError where a kind is known and its fields do not parse.
    """
    for found in FIRST.finditer(text):
        try:
            line = parse_body(text, found, known)
        except LineError as error:
            raise LineError(f"{PREFIX}{found[1]}: {error}") from None
        if line is not None:
            return line
    return None


def parse_whole(
    text: str, ended: bool, exact: bool, complain: Callable[[str, str], None], known: Container[str] = CORE
) -> Line | None:
    """Return the first FMWORK line of a text that is whole, or None.

    A killed run leaves half a line, and the next run begins right behind it. `ended` says that the text has its line
    end, `exact` that the log is one of ours, where a line's last figure has all its decimals (`270.9` may be cut).
    `complain` hears the kind of a line before it that is not whole, and why, but of VARIABLE in a log that is none of
    ours; `known` is as for `parse_line`.
    """
    for found in FIRST.finditer(text):
        try:
            line = parse_body(text, found, known)
            if line is None:
                continue
            if isinstance(line, JsonLine):
                return line
            said, whole = text.rstrip(), line.format()
            torn = exact and isinstance(line, EXACT) and said.split()[-1] != whole.split()[-1]
            if said.endswith(whole) or (ended and not torn):
                return line
            raise LineError("the figures are cut off" if ended else "the log ends within the line")
        except LineError as error:
            if exact or not VARIABLE.match(text, found.start()):
                complain(found[1], str(error))
    return None


def parse_body(text: str, found: re.Match[str], known: Container[str]) -> Line | None:
    """Return the line that begins where FIRST found one; None for a kind that is not known and carries no JSON."""
    kind, body = found[1], text[found.end(1) + 1 :].rstrip("\r\n")
    try:
        return POSITIONAL[kind].parse(body) if kind in POSITIONAL else JsonLine.parse(kind, body)
    except LineError:
        if kind in POSITIONAL or kind in known:
            raise
        return None
    except ValueError as error:
        raise LineError(f"a field is no number ({error})") from None


def parse_rep(raw: bytes) -> tuple[int, int, int, int, int] | None:
    """Read `FMWORK REP ...` from undecoded bytes, fast, as (index, count, start, end, duration).

    Returns None for anything but a whole REP line at the start of `raw`; `parse_line` then says what it is.
    """
    parts = raw.split()
    if len(parts) != 7:
        return None
    prefix, kind, index, count, start, end, duration = parts
    if kind != b"REP" or prefix != b"FMWORK":
        return None
    if not (start[-10:-9] == end[-10:-9] == duration[-10:-9] == b"."):
        return None
    try:
        times = (int(start.replace(b".", b"", 1)), int(end.replace(b".", b"", 1)), int(duration.replace(b".", b"", 1)))
        return (int(index), int(count), *times)
    except ValueError:
        return None


def parse_banner(text: str) -> tuple[int, int] | None:
    """Return (input size, batch size) of a `RUN input / batch` banner, which logs of old have instead of CASE."""
    found = BANNER.match(text.strip())
    return (int(found[1]), int(found[2])) if found else None


def banner(*words: object) -> str:
    """Return a banner: a title between two rules, with a blank line around it."""
    return f"\n{RULE}\n{' '.join(map(str, words))}\n{RULE}\n"
