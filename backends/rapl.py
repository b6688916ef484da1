"""Energy of the processor packages, from the kernel's powercap counters (RAPL). Mostly readable by root only."""

from pathlib import Path

from fmbench.counters import Counter

ROOT = Path("/sys/class/powercap")


class Rapl:
    """Adds up the packages' counters, which wrap around."""

    def __init__(self, root: Path = ROOT) -> None:
        # intel-rapl:0 is a package (AMD's too); intel-rapl:0:1 is a part of it and already counted.
        self._zones = sorted(path for path in root.glob("intel-rapl:*") if path.name.count(":") == 1)
        self._last: dict[Path, int] = {}
        self._joules = 0.0

    def read(self) -> Counter:
        """Return joules since the first reading, or why there are none."""
        if not self._zones:
            return Counter(None, "rapl", "this machine shows no powercap counter")
        try:
            for zone in self._zones:
                self._joules += self._step(zone)
        except (OSError, ValueError) as error:
            return Counter(None, "rapl", f"the powercap counter is not readable ({type(error).__name__})")
        return Counter(self._joules, "rapl", None)

    def _step(self, zone: Path) -> float:
        """Return the joules of one package since its last reading."""
        now = int((zone / "energy_uj").read_text())
        before = self._last.get(zone, now)
        self._last[zone] = now
        if now < before:
            now += int((zone / "max_energy_range_uj").read_text())
        return (now - before) / 1e6
