"""Peak memory of this process on the host, from the kernel's own counter."""

import resource
from pathlib import Path

from fmbench.cgroup import ControlGroups, read

STATUS = "/proc/self/status"
CLEAR = Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # see proc(5): resets the peak resident set size


def reset_host_peak() -> bool:
    """Start a new peak; return whether the kernel let us."""
    try:
        CLEAR.write_text(RESET_PEAK)
    except OSError:
        return False
    return True


def host_peak() -> int | None:
    """Return the peak resident bytes since the last reset, or None where no kernel counts them."""
    return field_bytes(read(STATUS), "VmHWM")


def host_available() -> int | None:
    """Return the bytes that this process can have without swapping, or None where the kernel does not say.

    The least of what the machine has, what the limits of its control groups leave, and what its address space may grow.
    """
    known = (field_bytes(read("/proc/meminfo"), "MemAvailable"), ControlGroups().memory_left(), address_space_left())
    return min((left for left in known if left is not None), default=None)


def address_space_left() -> int | None:
    """Return the bytes by which the address space may grow (ulimit -v), or None where nothing limits it."""
    limit, used = resource.getrlimit(resource.RLIMIT_AS)[0], field_bytes(read(STATUS), "VmSize")
    return None if limit == resource.RLIM_INFINITY or used is None else max(limit - used, 0)


def field_bytes(text: str, name: str) -> int | None:
    """Return the field `name: N kB` in bytes."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    return None
