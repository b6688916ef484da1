"""The machine: what the operating system says of processor, memory, load and confinement."""

import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fmbench.cgroup import ControlGroups, read

CPU_FOLDER = Path("/sys/devices/system/cpu")
NODES = Path("/sys/devices/system/node")
# What tells processors of one name apart (a virtual machine may call every generation "AMD EPYC"), in x86 and in Arm.
STEPPING = ("cpu family", "model", "stepping", "CPU implementer", "CPU part", "CPU variant", "CPU revision")


def host_facts() -> dict[str, Any]:
    """Return what the machine is. Unknown facts are null, never guessed."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": cpu_model(),
        "cpu_stepping": cpu_stepping(),
        "cpu_cores": physical_cores(),
        "cpus": os.cpu_count(),
        "cpus_usable": usable_cpus(),
        "cpu_quota": cpu_quota(),
        "cpu_governor": governor(),
        "cpu_mhz_max": maximum_mhz(),
        "numa_nodes": len(list(NODES.glob("node[0-9]*"))) or None,
        "numa_nodes_usable": usable_nodes(),
        "memory_bytes": memory_bytes(),
        "memory_limit_bytes": memory_limit(),
        "container": container(),
        "virtual_machine": virtual_machine(),
    }


def load_facts(moment: str) -> dict[str, Any]:
    """Return what else the machine did until now; `moment` is start or end. Not part of the machine's identity."""
    return {f"load_average_{moment}": load_average(), f"steal_seconds_{moment}": steal_seconds(),
            f"cpu_mhz_{moment}": current_mhz()}  # fmt: skip


def cpu_model() -> str | None:
    """Return the processor's name."""
    return cpuinfo("model name") or platform.processor() or None


def cpu_stepping() -> str | None:
    """Return family, model and stepping, as in `26/2/1`; of Arm implementer, part, variant and revision."""
    return "/".join(found for key in STEPPING if (found := cpuinfo(key))) or None


def cpuinfo(key: str) -> str | None:
    """Return the first value of a key in /proc/cpuinfo."""
    found = re.search(rf"^{re.escape(key)}\s*:\s*(.+)$", read("/proc/cpuinfo"), re.MULTILINE)
    return found[1].strip() if found else None


def physical_cores() -> int | None:
    """Return the number of the machine's cores, hyper-threads counted once."""
    return distinct_cores(CPU_FOLDER.glob("cpu[0-9]*"))


def usable_cores() -> int | None:
    """Return on how many cores this process may run, hyper-threads counted once."""
    if not hasattr(os, "sched_getaffinity"):
        return physical_cores()
    return distinct_cores(CPU_FOLDER / f"cpu{number}" for number in os.sched_getaffinity(0))


def distinct_cores(cpus: Iterable[Path]) -> int | None:
    """Return how many cores some CPUs share, or None where the kernel does not say."""
    siblings = {read(cpu / "topology/thread_siblings_list").strip() for cpu in cpus} - {""}
    return len(siblings) or None


def usable_cpus() -> int | None:
    """Return how many CPUs this process may run on: its affinity, which its cpuset bounds."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def cpu_quota() -> float | None:
    """Return how many CPUs' time the process may take, or None where no control group limits it."""
    quota = ControlGroups().cpu_quota()
    return None if quota is None else round(quota, 6)


def useful_threads() -> int | None:
    """Return the most threads that always find a CPU: more than affinity and quota allow would take turns."""
    cpus, quota = usable_cpus(), cpu_quota()
    if cpus is None or quota is None:
        return cpus
    return max(1, min(cpus, int(quota)))


def usable_nodes() -> str | None:
    """Return the NUMA nodes whose memory this process may take, such as "0-1", or None where those are all."""
    found = re.search(r"^Mems_allowed_list:\s*(\S+)$", read("/proc/self/status"), re.MULTILINE)
    online = read(NODES / "online").strip()
    return found[1] if found and online and found[1] != online else None


def memory_limit() -> int | None:
    """Return the bytes that control groups let the process have; None where that is all that the machine has."""
    limit, size = ControlGroups().memory_limit(), memory_bytes()
    return None if limit is None or (size is not None and limit >= size) else limit


def governor() -> str | None:
    """Return the frequency governors in use."""
    found = {read(path).strip() for path in CPU_FOLDER.glob("cpu[0-9]*/cpufreq/scaling_governor")} - {""}
    return ",".join(sorted(found)) or None


def maximum_mhz() -> int | None:
    """Return the highest frequency that the hardware allows."""
    return largest(read(path) for path in CPU_FOLDER.glob("cpu[0-9]*/cpufreq/cpuinfo_max_freq"))


def current_mhz() -> int | None:
    """Return the highest frequency that a core runs at now."""
    return largest(read(path) for path in CPU_FOLDER.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))


def largest(kilohertz: Iterable[str]) -> int | None:
    """Return the largest of some frequencies in MHz."""
    numbers = [int(text) for text in kilohertz if text.strip().isdigit()]
    return max(numbers) // 1000 if numbers else None


def memory_bytes() -> int | None:
    """Return the machine's memory in bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def load_average() -> float | None:
    """Return the load average of the last minute."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def steal_seconds() -> float | None:
    """Return the CPU seconds since boot that a hypervisor gave to others while this machine wanted them."""
    fields = read("/proc/stat").partition("\n")[0].split()
    if len(fields) < 9:  # "cpu", then user, nice, system, idle, iowait, irq, softirq, steal
        return None
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")


def throttle_count() -> int:
    """Return how often the processor slowed down because it was hot, since boot."""
    texts = [read(path).strip() for path in CPU_FOLDER.glob("cpu[0-9]*/thermal_throttle/package_throttle_count")]
    return max((int(text) for text in texts if text.isdigit()), default=0)


def container() -> str | None:
    """Return the container's kind, or None outside of one."""
    if Path("/.dockerenv").exists():
        return "docker"
    if Path("/run/.containerenv").exists():
        return "podman"
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    found = re.search(r"(docker|kubepods|containerd|lxc|libpod)", read("/proc/1/cgroup"))
    return found[1] if found else None


def virtual_machine() -> str | None:
    """Return what the virtual machine is called, "yes" where it has no name, None on bare metal."""
    vendor = read("/sys/class/dmi/id/sys_vendor").strip()
    if "hypervisor" in (cpuinfo("flags") or "").split():
        return vendor or "yes"
    return None
