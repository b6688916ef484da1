"""How long the main thread of a process could do nothing: no CPU was free for it, or it waited for a disk.

Linux tells it.
"""

import os
from pathlib import Path
from typing import Self

WAITS_FOR_A_DISK = "D"  # or for another thing that no signal ends: see `state` in proc_pid_stat(5)
MOST_HELD_UP = 15.0  # seconds that are left out at most: a scheduler that asks kills half a minute later


class MainThread:
    """The main thread of a process, as the kernel sees it."""

    def __init__(self, task: Path) -> None:
        """Take the folder of the thread in /proc."""
        self._task = task
        self._in_line = self._stood_in_line()
        self._left_out = 0.0

    @classmethod
    def of(cls, process: int) -> Self:
        """Return that of a process: it has the same number."""
        return cls(Path(f"/proc/{process}/task/{process}"))

    @classmethod
    def own(cls) -> Self:
        """Return that of this process."""
        return cls(Path(f"/proc/self/task/{os.getpid()}"))

    def had(self, seconds: float) -> float:
        """Return how many of the last `seconds` it had for itself: without those in which it could do nothing.

        Of these MOST_HELD_UP are left out at most.
        """
        held_up = min(self.held_up(seconds), MOST_HELD_UP - self._left_out)
        self._left_out += held_up
        return seconds - held_up

    def held_up(self, seconds: float) -> float:
        """Return for how many of the last `seconds` it could do nothing; what it waited before that may be among them.

        The kernel counts the time in line when it is over.
        """
        before, self._in_line = self._in_line, self._stood_in_line()
        if self._state() == WAITS_FOR_A_DISK:
            return seconds
        return max(self._in_line - before, 0) / 1e9

    def _state(self) -> str:
        return self._read("stat").rpartition(")")[2].split(maxsplit=1)[0]

    def _stood_in_line(self) -> int:
        return int(self._read("schedstat").split()[1])

    def _read(self, name: str) -> str:
        try:
            return (self._task / name).read_text()
        except OSError:  # another system, or it has ended: nothing holds it up
            return ") S" if name == "stat" else "0 0"
