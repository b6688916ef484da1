"""How long `process` takes, and how much memory, for a log of a million repetitions."""

import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from fmbench import lines
from fmbench.summary import Summary

SHAPES = 10_000
REPETITIONS = 100
# The program reads its own peak: ru_maxrss, which its parent would be told, begins at the parent's own size.
PROCESS = """
import re, sys
from fmbench.process.cli import main
code = main()
status = open("/proc/self/status").read()
print(int(re.search(r"VmHWM:\\s*(\\d+) kB", status)[1]) * 1024, file=sys.stderr)
sys.exit(code)
"""


def write_log(path: Path, shapes: int = SHAPES, repetitions: int = REPETITIONS) -> None:
    """Write a log as the speed driver prints it, with every line kind of a shape."""
    clock = 1_700_000_000_000_000_000
    with path.open("w", encoding="utf-8") as stream:
        print(lines.JsonLine("LOG", {"format": lines.FORMAT_VERSION, "program": "bench"}).format(), file=stream)
        print(lines.Arg("platform", "cpu").format(), file=stream)
        print(
            lines.JsonLine("ENV", {"dtype": "float32", "host": "bench", "packages": {"torch": "2.9.0"}}).format(),
            file=stream,
        )
        print(lines.Setup(1.5).format(), file=stream)
        print(lines.JsonLine("PHASE", {"name": "load", "seconds": 1.5}).format(), file=stream)
        print(
            lines.JsonLine(
                "CEIL", {"dtype": "float32", "flops_per_second": 10**12, "bytes_per_second": 10**11}
            ).format(),
            file=stream,
        )
        for shape in range(shapes):
            clock = write_shape(stream, shape + 1, clock, repetitions)


def write_shape(stream, input_size: int, clock: int, repetitions: int) -> int:
    sizes = {"input_size": input_size, "batch_size": 8}
    print(lines.banner("RUN", input_size, "/", 8), file=stream)
    work = {"flops": input_size * 10**9, "bytes": 10**8}
    print(
        lines.JsonLine("CASE", {**sizes, "tokens": input_size * 8, "reps": repetitions, **work}).format(), file=stream
    )
    print(lines.JsonLine("PHASE", {"name": "compile", "seconds": 2.5, "inside": "repetition 1"}).format(), file=stream)
    start, durations = clock, []
    for index in range(1, repetitions + 1):
        durations.append(3_700_000 + (index * 7919 + input_size * 104_729) % 10_007)
        print(lines.Rep(index, repetitions, clock, clock + durations[-1], durations[-1]).format(), file=stream)
        clock += durations[-1] + 200_000
    summary = Summary.of([duration / 1e6 for duration in durations])
    figures = (summary.p50, 8e3 / summary.p50)
    memory = {"device_peak_bytes": None, "host_peak_bytes": 2 * 10**9, "model_bytes": 10**8, "reason": None}
    print(lines.JsonLine("MEM", {**sizes, **memory}).format(), file=stream)
    energy = {
        "joules": 9.5,
        "joules_per_sequence": 9.5 / (8 * repetitions),
        "seconds": 0.6,
        "source": "counter",
        "reason": None,
    }
    print(lines.JsonLine("ENERGY", {**sizes, **energy}).format(), file=stream)
    print(lines.Res(start, clock - 200_000, "org/model", "BertModel", input_size, 8, *figures).format(), file=stream)
    achieved = work["flops"] / summary.p50 * 1e3
    speeds = {"achieved_flops_per_second": achieved, "attainable_flops_per_second": 2 * achieved}
    print(lines.JsonLine("CEIL", {**sizes, **work, **speeds, "share": 0.5, "bound": "compute"}).format(), file=stream)
    print(
        lines.JsonLine("STAT", {**sizes, **asdict(summary), "recompiled_at": [], "ended": "reps"}).format(), file=stream
    )
    return clock


def measure(shapes: int = SHAPES, repetitions: int = REPETITIONS) -> tuple[float, int]:
    """Return the seconds that `process` takes, its start included, and its peak memory in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bench.log")
        write_log(path, shapes, repetitions)
        start = time.perf_counter()
        command = [sys.executable, "-c", PROCESS, "--path", str(path)]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
        seconds = time.perf_counter() - start
    return seconds, int(done.stderr)


if __name__ == "__main__":
    seconds, peak = measure()
    print(f"process, {SHAPES * REPETITIONS} REP and {SHAPES} RES lines: {seconds:.2f} s")
    print(f"process, peak memory: {peak / 1e6:.0f} MB")
