"""What the harness itself costs, on the null backend."""

import itertools
import statistics
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

from fmbench.lines import Rep, Res, parse_line
from fmbench.measure import TokenGenerator

DRIVER = Path(sys.executable).parent / "driver"
SHAPE = (512, 64)
REPETITIONS = 2000


@cache
def null_run() -> tuple[Res, list[Rep]]:
    """Run the driver on the null backend, its log going to a pipe."""
    sizes = ["--input_sizes", str(SHAPE[0]), "--batch_sizes", str(SHAPE[1]), "--reps", str(REPETITIONS)]
    command = [DRIVER, "--platform", "null", "--model_class", "none", "--model_name", "none", *sizes]
    log = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [parse_line(line) for line in log.splitlines()]
    (result,) = [line for line in lines if isinstance(line, Res)]
    return result, [line for line in lines if isinstance(line, Rep)]


def null_latency() -> float:
    """Return the median seconds of a repetition of nothing (RES prints three decimals of a millisecond)."""
    return statistics.median(repetition.duration for repetition in null_run()[1]) / 1e9


def making_inputs() -> float:
    """Return the median seconds of making one batch of token ids."""
    generator = TokenGenerator(32_768, (), 0)
    generator.start(*SHAPE)
    times = []
    for _ in range(500):
        start = time.perf_counter()
        generator.batch()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def overhead() -> float:
    """Return the median seconds from one repetition's end to the next one's start, without making the inputs."""
    repetitions = null_run()[1]
    gaps = [after.start - before.end for before, after in itertools.pairwise(repetitions)]
    return statistics.median(gaps) / 1e9 - making_inputs()
