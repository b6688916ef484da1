"""Which machine measured: a name for people, and the facts of its hardware that make it this one and no other."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from fmbench.digest import digest_of_json
from fmbench.errors import UsageError

# A log is of one machine, which may have several devices.
HOST = ("machine", "cpu", "cpu_stepping", "cpu_cores", "cpus", "numa_nodes", "memory_gib")
DEVICE = ("device_name", "device_memory_bytes", "device_count", "compute_capability", "multiprocessors")
NOISE = re.compile(r"\((r|tm|c)\)|@ *[\d.]+ *[GM]hz|\b(cpu|processor)\b", re.IGNORECASE)
LONGEST = 48
DIGITS = 8
GIB = 2**30


def hardware_of(environments: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the facts of the hardware, those that no environment knows left out, several devices as a list.

    Raises UsageError where the environments are of different hosts.
    """
    known: dict[str, list[Any]] = {}
    for environment in environments:
        facts = {**environment, "memory_gib": gib(environment.get("memory_bytes"))}
        for name in (*HOST, *DEVICE):
            values = known.setdefault(name, [])
            if facts.get(name) is not None and facts[name] not in values:
                values.append(facts[name])
    for name in HOST:
        if len(known.get(name, ())) > 1:
            one, other, *_ = known[name]
            raise UsageError(
                f"holds runs of different machines ({name}: {one} and {other}); give each a log of its own"
            )
    return {name: values[0] if len(values) == 1 else values for name, values in known.items() if values}


def gib(count: Any) -> int | None:
    """Return bytes in whole GiB: how much of the memory a kernel keeps to itself changes with its version."""
    return round(count / GIB) if type(count) is int else None


def name_of(hardware: Mapping[str, Any]) -> str:
    """Return the name of a machine: its device, else its processor, and a digest of all facts."""
    device, cores = hardware.get("device_name"), hardware.get("cpu_cores") or hardware.get("cpus")
    named = device or hardware.get("cpu") or "unknown"
    words = [*map(str, named)] if isinstance(named, list) else [str(named)]
    if cores and not device:
        words.append(f"{cores} cores")
    return f"{slug(' '.join(words))}-{digest_of_json(hardware)[:DIGITS]}"


def slug(text: str) -> str:
    """Return a text as lower-case letters, digits and single dashes, cut where it is long."""
    return re.sub(r"[^a-z0-9]+", "-", NOISE.sub(" ", text).lower())[:LONGEST].strip("-") or "unknown"
