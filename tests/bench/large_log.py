"""How much memory a log of 2 GB needs: in one shape, and in many."""

import itertools
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from fmbench import lines
from tests.bench.process_log import PROCESS

BYTES = 2 * 10**9
SHAPES = {"many shapes": 2_400, "one shape": 10**9}  # repetitions of each
COMMANDS = (
    "process --format jsonl --out {folder}/out.jsonl --path {log}",
    "show {log}",
    "results add {log} --store {folder}/results",
)
PEAK = PROCESS.replace("fmbench.process.cli", "fmbench.cli")


def write_log(path: Path, repetitions: int, size: int = BYTES) -> None:
    """Write a log of this size whose shapes have so many repetitions, all but the last."""
    blocks = itertools.cycle([block(first) for first in range(0, 24_000, 2_400)])
    with path.open("w", encoding="utf-8") as stream:
        stream.write(
            lines.JsonLine("LOG", {"format": lines.FORMAT_VERSION, "program": "bench", "driver": "bench"}).format()
            + "\n"
        )
        for number in itertools.count(1):
            sizes = {"input_size": number, "batch_size": 8}
            stream.write(lines.JsonLine("CASE", {**sizes, "tokens": number * 8, "reps": repetitions}).format() + "\n")
            count = 0
            while count < repetitions and stream.tell() < size:
                stream.write(next(blocks))
                count += 2_400
            stream.write(lines.Res(0, 1, "org/model", "BertModel", number, 8, 3.7, 8e3 / 3.7).format() + "\n")
            if stream.tell() >= size:
                return


def block(first: int) -> str:
    """Return 2,400 repetitions around 3.7 ms."""
    durations = (3_700_000 + ((first + index) * 7919) % 10_007 for index in range(1, 2_401))
    clock = 1_700_000_000 * 10**9
    return "".join(
        lines.Rep(index, 25_000_000, clock, clock + duration, duration).format() + "\n"
        for index, duration in enumerate(durations, start=1)
    )


def measure(command: str) -> tuple[float, int]:
    """Return the seconds and the peak bytes of an fmbench command."""
    start = time.perf_counter()
    words = [sys.executable, "-c", PEAK, *command.split()]
    done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
    return time.perf_counter() - start, int(re.findall(r"^\d+$", done.stderr, re.MULTILINE)[-1])


def rows(size: int = BYTES) -> Iterator[tuple[str, float, int]]:
    """Yield (what, seconds, peak bytes). Needs as much room in the temporary folder as the log has."""
    for name, repetitions in SHAPES.items():
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "large.log")
            write_log(log, repetitions, size)
            for command in COMMANDS:
                yield (
                    f"`{command.split(' {', 1)[0].split(' --')[0]}`, {name}",
                    *measure(command.format(folder=folder, log=log)),
                )


if __name__ == "__main__":
    for what, seconds, peak in rows(int(float(os.environ.get("LARGE_LOG_BYTES", BYTES)))):
        print(f"{what}: {seconds:.0f} s, {peak / 1e6:.0f} MB", flush=True)
