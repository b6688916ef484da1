"""NVIDIA's management library. Of the extra `nvml`."""

import contextlib
from collections.abc import Callable
from typing import Any

from fmbench.counters import Counter


class Nvml:
    """One GPU, asked through NVML. A virtual GPU, or an old one, refuses some questions."""

    def __init__(self, library: Any, handle: Any) -> None:
        self._library = library
        self._handle = handle

    @classmethod
    def open(cls, uuid: str | None) -> "Nvml | None":
        """Return the GPU of that identity, or None where NVML does not answer."""
        try:
            import pynvml
        except ImportError:
            return None
        if uuid is None:
            return None
        try:
            pynvml.nvmlInit()
            return cls(pynvml, pynvml.nvmlDeviceGetHandleByUUID(uuid.encode()))
        except pynvml.NVMLError:
            return None

    def facts(self) -> dict[str, Any]:
        """Return driver, clocks (MHz), power limit (W) and what throttles, as far as the GPU answers."""
        library, handle = self._library, self._handle
        questions: dict[str, Callable[[], Any]] = {
            "driver": library.nvmlSystemGetDriverVersion,
            "clock_sm_mhz": lambda: library.nvmlDeviceGetClockInfo(handle, library.NVML_CLOCK_SM),
            "clock_sm_max_mhz": lambda: library.nvmlDeviceGetMaxClockInfo(handle, library.NVML_CLOCK_SM),
            "clock_memory_max_mhz": lambda: library.nvmlDeviceGetMaxClockInfo(handle, library.NVML_CLOCK_MEM),
            "power_limit_watts": lambda: library.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000,
            "mig": lambda: bool(library.nvmlDeviceGetMigMode(handle)[0]),
        }
        answers: dict[str, Any] = {}
        for name, ask in questions.items():
            with contextlib.suppress(library.NVMLError):
                answers[name] = ask()
        return answers

    def disturbances(self) -> list[str]:
        """Return what would spoil a measurement: other processes, and clocks that are held down."""
        library, found = self._library, []
        with contextlib.suppress(library.NVMLError):
            others = len(library.nvmlDeviceGetComputeRunningProcesses(self._handle))
            if others:
                found.append(f"{others} processes use the GPU: stop them, or choose another with --device")
        with contextlib.suppress(library.NVMLError, AttributeError):
            hot = library.nvmlClocksThrottleReasonSwThermalSlowdown | library.nvmlClocksThrottleReasonHwSlowdown
            if library.nvmlDeviceGetCurrentClocksThrottleReasons(self._handle) & hot:
                found.append("the GPU is slowed down by heat or power: look at its cooling and its power limit")
        return found

    def energy(self) -> Counter:
        """Return the joules since the driver was loaded."""
        try:
            return Counter(self._library.nvmlDeviceGetTotalEnergyConsumption(self._handle) / 1000, "nvml", None)
        except self._library.NVMLError as error:
            return Counter(None, "nvml", f"the GPU does not count its energy ({error})")
