"""Peak memory of an exact search over a memory-mapped corpus that is as large as a small machine's memory.

2,000,000 documents of 384 dimensions in float16 (1.5 GB) lie in a file; 100 queries, k = 100, in a process of its own.
What the kernel keeps of the file counts too.
"""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fmbench.backend import find
from fmbench.search import Block, choose_engine, search

DOCUMENTS, DIMENSIONS, QUERIES, K = 2_000_000, 384, 100, 100
PART = 100_000  # documents that are written, and added, at once


def write(path: Path) -> None:
    """Write random vectors."""
    generator = np.random.default_rng(0)
    with path.open("wb") as stream:
        for _ in range(0, DOCUMENTS, PART):
            generator.standard_normal((PART, DIMENSIONS), dtype=np.float32).astype(np.float16).tofile(stream)


def find_all(path: Path) -> None:
    """Search, and print this process' peak memory in bytes."""
    vectors = np.memmap(path, np.float16, "r", shape=(DOCUMENTS, DIMENSIONS))
    queries = np.random.default_rng(1).standard_normal((QUERIES, DIMENSIONS), dtype=np.float32)
    blocks = (
        Block([str(number) for number in range(start, start + PART)], vectors[start : start + PART])
        for start in range(0, DOCUMENTS, PART)
    )
    names = [str(number) for number in range(QUERIES)]
    search(queries, names, blocks, K, engine=choose_engine(find("cpu"), DIMENSIONS), ignore_identical_ids=False)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def rows() -> Iterator[tuple[str, str, str]]:
    """Yield (what, the target, the figure)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.f16"
        write(path)
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.search_memory", path], capture_output=True, text=True, check=True,
            env=dict(os.environ),
        )  # fmt: skip
    what = f"exact search, {QUERIES} x {DOCUMENTS:,} x {DIMENSIONS} in float16, memory-mapped: peak memory"
    yield what, "3 GB", f"{int(done.stdout) / 1e9:.2f} GB"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        find_all(Path(sys.argv[1]))
    else:
        print(*rows(), sep="\n")
