"""Writing the log: FMWORK lines and banners, flushed as they are made, so that a killed run keeps what it had."""

from dataclasses import replace
from typing import TextIO

from fmbench import lines
from fmbench.secrets import hidden, masked_looks, masked_values

OUTCOMES = (lines.Stat, lines.Err, lines.Pair, lines.Proc)
OUTCOME_STARTS = tuple(f"{lines.PREFIX}{kind.KIND} " for kind in OUTCOMES)


class LogWriter:
    """Writes to one stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.outcomes: list[lines.JsonLine] = []  # what a person is told at the end

    def write(self, line: lines.Line) -> None:
        """Write one FMWORK line."""
        if isinstance(line, OUTCOMES):
            self.outcomes.append(line)
        self._stream.write(without_secrets(line).format() + "\n")
        self._stream.flush()

    def text(self, text: str) -> None:
        """Pass a line on that another process wrote, its line break included."""
        if text.startswith(OUTCOME_STARTS) and isinstance(line := lines.parse_line(text), OUTCOMES):
            self.outcomes.append(line)
        self._stream.write(text)
        self._stream.flush()

    def banner(self, *words: object) -> None:
        """Write a title between two rules."""
        self._stream.write(lines.banner(*words) + "\n")
        self._stream.flush()

    def space(self) -> None:
        """Write a blank line."""
        self._stream.write("\n")
        self._stream.flush()


def without_secrets(line: lines.Line) -> lines.Line:
    """Return a line without the secrets that a library's error, or an address for a model's name, may bring into it."""
    if isinstance(line, lines.JsonLine):
        return type(line)(masked_values(line.data))
    if isinstance(line, lines.Res):
        return replace(line, model=masked_looks(line.model, hidden))
    return line
