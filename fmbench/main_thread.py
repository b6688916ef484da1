"""How long the main thread could do nothing: no CPU was free for it, or it waited for a disk. Linux tells it."""

import os
from pathlib import Path

WAITS_FOR_A_DISK = "D"  # or for another thing that no signal ends: see `state` in proc_pid_stat(5)


class MainThread:
    """The main thread of this process, as the kernel sees it."""

    def __init__(self, task: Path | None = None) -> None:
        """Take the folder of the thread in /proc: it has the number of its process."""
        self._task = task or Path(f"/proc/self/task/{os.getpid()}")
        self._in_line = self._stood_in_line()

    def held_up(self, seconds: float) -> float:
        """Return for how many of the last `seconds` it could do nothing; what it waited before that may be among them.

        The kernel counts the time in line when it is over.
        """
        before, self._in_line = self._in_line, self._stood_in_line()
        if self._state() == WAITS_FOR_A_DISK:
            return seconds
        return (self._in_line - before) / 1e9

    def _state(self) -> str:
        return self._read("stat").rpartition(")")[2].split(maxsplit=1)[0]

    def _stood_in_line(self) -> int:
        return int(self._read("schedstat").split()[1])

    def _read(self, name: str) -> str:
        try:
            return (self._task / name).read_text()
        except OSError:  # another system: nothing holds it up
            return ") S" if name == "stat" else "0 0"
