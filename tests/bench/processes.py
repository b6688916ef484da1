"""Encoding with one process of N threads, and with N processes of one thread each, of which each has a core.

    python -m tests.bench.processes [N [ROUNDS]]

`fmbench retrieve encode` on so many of SciFact's first documents that each process has a chunk of 512, in turn;
documents a second are those of the ENC line, which starting, converting and the first call are no part of.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fmbench import lines
from fmbench.encoder import CHUNK
from fmbench.stats import median

from .ways import CORPUS, DATA, OURS, calibration, model_folder

PROCESSES, ROUNDS = 2, 3
MEASURED = ("eager torch, fp32", "ONNX Runtime, int8", "OpenVINO, int8")


def speed(way: str, processes: int, threads: int, folder: Path) -> float:
    """Return the documents a second of one run, the slowest process's clock for all."""
    platform, _, options = OURS[way]
    words = [one.replace("{calibration}", str(folder / "calibration.jsonl")) for one in options]
    with tempfile.TemporaryDirectory() as cache:
        command = [
            sys.executable, "-m", "fmbench", "retrieve", "encode", "--platform", platform, *words, "--pin",
            "--model_name", model_folder(), "--corpus", folder / "corpus.jsonl", "--queries", DATA / "queries.jsonl",
            "--encoding_cache_dir", cache, "--threads", str(threads), "--processes", str(processes),
        ]  # fmt: skip
        log = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = [line.data for line in map(lines.parse_line, log.splitlines()) if lines.is_json(line, "ENC")]
    return next(one["texts_per_second"] for one in found if one["role"] == "passage")


def rows(count: int = PROCESSES, rounds: int = ROUNDS) -> Iterator[tuple[str, str, str]]:
    """Yield (what, the target, the figure) for each way."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        calibration(folder)
        documents = CORPUS.read_text(encoding="utf-8").splitlines(keepends=True)[: CHUNK * count]
        (folder / "corpus.jsonl").write_text("".join(documents), encoding="utf-8")
        for way in MEASURED:
            pairs = [(speed(way, 1, count, folder), speed(way, count, count, folder)) for _ in range(rounds)]
            ratio = median([many / one for one, many in pairs])
            each = " / ".join(f"{median([pair[index] for pair in pairs]):.1f}" for index in (1, 0))
            what = f"{len(documents):,} documents, {way}: {count} processes of a thread / a process of {count} threads"
            yield f"SciFact, {what}", "", f"{ratio:.2f} ({each} documents/s)"


if __name__ == "__main__":
    for row in rows(*(int(word) for word in sys.argv[1:])):
        print(*row, sep=" | ", flush=True)
