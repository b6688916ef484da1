"""`fmbench doctor`: checks of machine and installation, each with what to do about it."""

import argparse
import importlib.metadata
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fmbench import __version__, backend, counters, distribution, facts, host, plugins, torch_settings
from fmbench.cgroup import read
from fmbench.console import run_main
from fmbench.errors import FmbenchError, first_line
from fmbench.markdown import harmless
from fmbench.parsing import Parser
from fmbench.secrets import masked_message

PROGRAM = "fmbench doctor"
MEASURING = ("torch", "transformers", "numpy", "pyyaml")  # the others read results
BUSY = 0.5  # load average a CPU
SWAPPED = 100e6  # bytes
HELP = """\
Checks Python, the libraries, the platforms and what disturbs a measurement on this machine.
Exit code 0: fmbench can measure here. 1: something must be fixed first.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: ok, a warning (measurements suffer), or a failure (nothing can be measured)."""

    level: str
    text: str


def main(argv: Sequence[str] | None = None) -> int:
    """Run every check and return 1 where one failed."""
    return run_main(PROGRAM, lambda: diagnose(argv))


def diagnose(argv: Sequence[str] | None) -> int:
    """Print a line a finding."""
    parser = Parser(prog=PROGRAM, description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_known(sys.argv[1:] if argv is None else argv)
    failed = False
    for check in CHECKS:
        for finding in check():
            sys.stdout.write(f"{finding.level:5} {harmless(masked_message(finding.text))}\n")
            sys.stdout.flush()
            failed = failed or finding.level == "FAIL"
    return 1 if failed else 0


def check_libraries() -> Iterator[Finding]:
    """Compare what is installed with what fmbench declares."""
    yield Finding("ok", f"Python {sys.version.split()[0]}, fmbench {__version__}")
    for requirement in importlib.metadata.requires(distribution.name()) or []:
        if "extra ==" in requirement:
            continue
        name, least = re.match(r"([\w.-]+)\s*(?:>=\s*([\w.]+))?", requirement).groups()  # type: ignore[union-attr]
        version = facts.package_version(name)
        if version is None:
            level = "FAIL" if name in MEASURING else "warn"
            yield Finding(level, f"{name} is missing: pip install '{requirement}'")
        elif least and release(version) < release(least):
            yield Finding("warn", f"{name} {version} is older than {least}, the oldest that fmbench is tested with")
        else:
            yield Finding("ok", f"{name} {version}")


def release(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version."""
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:3])


def check_torch() -> Iterator[Finding]:
    """Run one product, which a broken installation does not survive, and look at the threads that it takes."""
    try:
        import torch

        ones = torch.ones(8, 8)
        works = bool(((ones @ ones) == 8).all())
    except Exception as error:
        yield Finding("FAIL", f"torch does not work: {type(error).__name__}: {first_line(error)}")
        return
    yield Finding("ok" if works else "FAIL", f"torch computes ({torch.get_num_threads()} threads)")
    yield from check_threads()


def check_platforms() -> Iterator[Finding]:
    """Ask every plug-in whether it is usable here."""
    found, warnings = plugins.discover(backend.GROUP)
    for text in warnings:
        yield Finding("warn", text)
    for plugin in found.values():
        try:
            with plugins.blamed(plugin.title):
                yield from check_platform(backend.load_class(plugin))
        except FmbenchError as error:
            yield Finding("warn", str(error))


def check_platform(cls: type[backend.Backend]) -> Iterator[Finding]:
    """Ask one platform whether it is usable, what is fast there, and what disturbs it."""
    reason = cls.why_not()
    fast = [] if reason else cls.computes_fast()
    usable = f": usable; fast here: {', '.join(fast)}" if fast else ": usable"
    yield Finding("ok", f"--platform {cls.name}" + (f": not here ({reason})" if reason else usable))
    for disturbance in [] if reason else cls.disturbances():
        yield Finding("warn", f"--platform {cls.name}: {disturbance}")


def check_quiet() -> Iterator[Finding]:
    """Look for what makes figures noisy on the host."""
    load, cpus = host.load_average(), os.cpu_count()  # the load is the machine's, so its CPUs count
    if load is not None and cpus and load > BUSY * cpus:
        yield Finding(
            "warn", f"load average {load} on {cpus} CPUs: other work disturbs; stop it, or {fewer(load, cpus)}"
        )
    elif load is not None:
        yield Finding("ok", f"load average {load} on {cpus} CPUs")
    governor = host.governor()
    if governor not in (None, "performance"):
        yield Finding("warn", f"CPU governor {governor}: frequencies wander; cpupower frequency-set -g performance")
    steal = host.steal_seconds()
    if steal:
        yield Finding("warn", f"a hypervisor took {steal:.0f} CPU seconds for others since boot: expect outliers")
    if throttled := host.throttle_count():
        yield Finding("warn", f"the processor slowed down {throttled} times because it was hot: look at its cooling")


def fewer(load: float, cpus: int) -> str:
    """Return what to do where other work cannot be stopped: threads wait for the one that has no CPU."""
    usable = host.useful_threads() or cpus
    free = max(1, min(usable, int(cpus - load)))
    threads = f"take --threads {free} (threads wait for the last one, and those without a CPU are late), and "
    return f"{threads if free < usable else ''}compare with --vs"


def check_memory() -> Iterator[Finding]:
    """Look for swapping, and for memory that is nearly used up."""
    text = read("/proc/meminfo")
    total, free = (counters.field_bytes(text, name) for name in ("SwapTotal", "SwapFree"))
    if total and free is not None and total - free > SWAPPED:
        yield Finding("warn", f"{(total - free) / 1e9:.1f} GB are swapped out, and may be waited for: swapoff -a")
    available, size = counters.host_available(), host.memory_limit() or host.memory_bytes()
    if available is not None and size:
        level = "warn" if available < 0.1 * size else "ok"
        yield Finding(level, f"memory: {available / 1e9:.1f} of {size / 1e9:.1f} GB can be had")


def check_threads() -> Iterator[Finding]:
    """Compare the threads that a run takes by default with the CPUs, cores and time that this process may have."""
    threads, cpus = torch_settings.default_threads(), host.usable_cpus()
    cores, quota, useful = host.usable_cores(), host.cpu_quota(), host.useful_threads()
    if quota is not None and threads > quota:
        fewer_threads = f", or take --threads {useful}" if useful and useful < threads else ""
        yield Finding(
            "warn",
            f"a CPU quota of {quota:g} (control group) for {threads} thread{'s' if threads > 1 else ''}: the process "
            f"is stopped whenever it is used up; raise the quota{fewer_threads}",
        )
    elif cpus and threads > cpus:
        yield Finding("warn", f"{threads} threads on {cpus} usable CPUs, which take turns; --threads {cpus}")
    elif cores and threads > cores:
        yield Finding("warn", f"{threads} threads on {cores} usable cores: two share one; --threads {cores}")
    else:
        of = "" if quota is None else f", of which a control group gives {quota:g}"
        yield Finding("ok", f"{threads} threads on {cpus} usable CPUs{of}")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    check_libraries,
    check_torch,
    check_platforms,
    check_memory,
    check_quiet,
)
