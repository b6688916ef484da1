"""Writing the log: FMWORK lines and banners, flushed as they are made, so that a killed run keeps what it had."""

from typing import TextIO

from fmbench import lines
from fmbench.whole_file import written

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
        self._put(line.format() + "\n")

    def text(self, text: str) -> None:
        """Pass a line on that another process wrote, its line break included."""
        if text.startswith(OUTCOME_STARTS) and isinstance(line := lines.parse_line(text), OUTCOMES):
            self.outcomes.append(line)
        self._put(text)

    def banner(self, *words: object) -> None:
        """Write a title between two rules."""
        self._put(lines.banner(*words) + "\n")

    def space(self) -> None:
        """Write a blank line."""
        self._put("\n")

    def _put(self, text: str) -> None:
        """Write at once. Raises FmbenchError where there is no room: what was written before is a log still."""
        name = getattr(self._stream, "name", None)
        with written(
            name if isinstance(name, str) and name[:1] != "<" else "the log", "what was written before is kept"
        ):
            self._stream.write(text)
            self._stream.flush()
