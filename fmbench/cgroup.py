"""What the control groups of Linux, version 1 and 2, let this process have: CPU time and memory.

A limit may lie in the process's own group or in any above it; the tightest one counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SELF = "proc/self"
UNLIMITED = 2**62  # version 1 says "no limit" with a number near 2**63


@dataclass(frozen=True, slots=True)
class Periods:
    """How many periods the CPU quota had so far, and in how many of them it stopped the group."""

    all: int
    throttled: int

    def share_until(self, later: "Periods") -> float:
        """Return the share of the periods from here to `later` in which the quota stopped the group."""
        periods = later.all - self.all
        return (later.throttled - self.throttled) / periods if periods > 0 else 0.0


@dataclass(frozen=True, slots=True)
class ControlGroups:
    """The groups of this process. `root` is where /proc and /sys lie."""

    root: Path = Path("/")

    def cpu_quota(self) -> float | None:
        """Return how many CPUs' time the process may take, or None where nothing limits it."""
        return min((quota for group in self._groups("cpu") if (quota := cpu_quota(group)) is not None), default=None)

    def periods(self) -> Periods | None:
        """Return what the CPU quotas did so far, or None where there is no quota."""
        found = [counters(group / "cpu.stat") for group in self._groups("cpu") if cpu_quota(group) is not None]
        if not found:
            return None
        return Periods(*(sum(each.get(name, 0) for each in found) for name in ("nr_periods", "nr_throttled")))

    def memory_limit(self) -> int | None:
        """Return the bytes that the process and its group may hold, or None where nothing limits them."""
        return min((limit for group in self._groups("memory") if (limit := memory_limit(group)) is not None),
                   default=None)  # fmt: skip

    def memory_left(self) -> int | None:
        """Return the bytes that can still be had below every limit, or None where there is no limit.

        Pages of files that nobody has used lately are given back when memory is short, so they do not count as used.
        """
        left = []
        for group in self._groups("memory"):
            limit, used = memory_limit(group), memory_used(group)
            if limit is not None and used is not None:
                left.append(max(limit - used, 0))
        return min(left, default=None)

    def _groups(self, controller: str) -> Iterator[Path]:
        """Yield the folders of the groups that a controller has this process in, its own first."""
        own = {name: path for names, path in self._memberships() for name in names}
        version_1 = controller in own
        if not version_1 and "" not in own:
            return
        mount = self._mount(controller if version_1 else "")
        if mount is None:
            return
        top, point = mount
        path = Path(own[controller if version_1 else ""])
        inside = path.relative_to(top) if path.is_relative_to(top) else Path()
        place = self.root / point.relative_to("/")
        for folder in (inside, *inside.parents) if inside != Path() else (inside,):
            yield place / folder

    def _memberships(self) -> Iterator[tuple[list[str], str]]:
        """Yield the controllers and the path of each hierarchy; that of version 2 has the one name ''."""
        for line in read(self.root / SELF / "cgroup").splitlines():
            _, controllers, path = line.split(":", 2)
            yield controllers.split(","), path

    def _mount(self, controller: str) -> tuple[Path, Path] | None:
        """Return which path of a hierarchy is mounted, and where; version 2 where no controller is named."""
        for line in read(self.root / SELF / "mountinfo").splitlines():
            before, _, after = line.partition(" - ")
            kind, _, options = after.split(" ")[:3]
            wanted = kind == "cgroup" and controller in options.split(",") if controller else kind == "cgroup2"
            if wanted:
                top, point = before.split(" ")[3:5]
                return Path(top), Path(point.replace("\\040", " "))
        return None


def cpu_quota(group: Path) -> float | None:
    """Return the CPUs that one group may take, or None where it has no quota."""
    words = read(group / "cpu.max").split()  # version 2
    if not words:
        words = [read(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    if len(words) != 2 or not all(word.isdigit() for word in words) or not int(words[1]):
        return None  # "max", -1, or no such file
    return int(words[0]) / int(words[1])


def memory_limit(group: Path) -> int | None:
    """Return the bytes that one group may hold, or None where it has no limit."""
    names = ("memory.max", "memory.high", "memory.limit_in_bytes")  # above `high` the group is slowed down
    found = [int(text) for name in names if (text := read(group / name).strip()).isdigit()]
    return min((limit for limit in found if limit < UNLIMITED), default=None)


def memory_used(group: Path) -> int | None:
    """Return the bytes that one group holds and would not give back, or None where the kernel does not say."""
    for name, inactive in (("memory.current", "inactive_file"), ("memory.usage_in_bytes", "total_inactive_file")):
        text = read(group / name).strip()
        if text.isdigit():
            return max(int(text) - counters(group / "memory.stat").get(inactive, 0), 0)
    return None


def counters(path: Path) -> dict[str, int]:
    """Return the `name number` lines of a file."""
    pairs = (line.split(" ") for line in read(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def read(path: str | Path) -> str:
    """Return the text of a file, or an empty string where it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
