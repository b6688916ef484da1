"""What `fmbench load` says beside AIPerf, of the same server in the same run.

    AIPERF_PYTHON=ENV/bin/python python -m tests.bench.loaders FOLDER [CASE ...]

closed   8 clients of a queue of 20 ms a request, which is right for both: p50 and p99 in turn, three rounds
model    8 clients of all-MiniLM-L6-v2 on the CPU, the same
above    twice what the queue can, 8 s long: ours counts from when a request was due; theirs (with --concurrency 16, and
         without) from when it was sent

FOLDER keeps what each said. AIPerf 0.13.0 is in an environment of its own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from fmbench.stats import median
from tests.trials.load import load, null_server

from .servers import NAME, serving
from .ways import model_folder, queries

CLIENTS, ROUNDS, SERVICE = 8, 3, 0.02
REQUESTS, SECONDS = 400, 8
CAPPED = 16


def theirs(url: str, model: str, folder: Path, *words: object) -> dict[str, float]:
    """Run AIPerf; return its p50 and p99 in milliseconds."""
    texts = folder / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in queries(REQUESTS)))
    aiperf = Path(os.environ["AIPERF_PYTHON"]).with_name("aiperf")
    command = [
        aiperf, "profile", "--model", model, "--endpoint-type", "embeddings", "--url", url, "--input-file", texts,
        "--custom-dataset-type", "single_turn", "--tokenizer", model_folder(), "--ui", "none",
        "--artifact-dir", folder / "aiperf", "--workers-max", 1, "--record-processors", 1, "--no-gpu-telemetry",
        "--no-server-metrics", *words,
    ]  # fmt: skip
    subprocess.run([str(word) for word in command], check=True, stdout=sys.stderr, timeout=120)
    said = json.loads((folder / "aiperf" / "profile_export_aiperf.json").read_text())["request_latency"]
    return {name: said[name] for name in ("p50", "p99")}


def ours(url: str, model: str, folder: Path, *words: object) -> dict[str, float]:
    """Run `fmbench load` with the same texts; return the same."""
    texts = folder / "texts.txt"
    texts.write_text("".join(f"{text}\n" for text in queries(REQUESTS)))
    _, found = load(url, *words, texts=("--texts", str(texts)), model=model)
    return {name: found["LOAD"][0]["latency_ms"][name] for name in ("p50", "p99")}


def in_turn(url: str, model: str, folder: Path) -> None:
    """Send from clients that wait for their answers, ours and theirs in turn."""
    rounds = []
    for _ in range(ROUNDS):
        rounds.append({
            "ours": ours(url, model, folder, "--concurrency", CLIENTS, "--requests", REQUESTS),
            "theirs": theirs(url, model, folder, "--concurrency", CLIENTS, "--request-count", REQUESTS,
                             "--warmup-request-count", 50),
        })  # fmt: skip
        sys.stdout.write(f"{json.dumps(rounds[-1])}\n")
        sys.stdout.flush()
    for name in ("p50", "p99"):
        own, other = (median([one[who][name] for one in rounds]) for who in ("ours", "theirs"))
        sys.stdout.write(f"{name}: ours {own:.2f} ms, theirs {other:.2f} ms: {own / other - 1:+.1%}\n")


def closed(folder: Path) -> None:
    """Measure a queue that computes nothing."""
    with null_server("--service_time", f"{SERVICE}s") as url:
        in_turn(url, "none", folder)


def model(folder: Path) -> None:
    """Measure a model."""
    words = [sys.executable, "-m", "fmbench", "serve", "--platform", "cpu", "--threads", "2", "--model_name",
             str(model_folder()), "--port", "8765"]  # fmt: skip
    with serving(words) as url:
        in_turn(url, NAME, folder)


def above(folder: Path) -> None:
    """Send twice what a queue can."""
    rate = 2 / SERVICE
    with null_server("--service_time", f"{SERVICE}s", "--max_queue", "100000") as url:
        words = ("--request-rate", rate, "--request-count", round(rate * SECONDS), "--arrival-pattern", "constant")
        open_words = ("--scenario", "open", "--rate", rate, "--arrivals", "constant", "--duration", f"{SECONDS}s")
        said = {
            "ours": ours(url, "none", folder, *open_words),
            "theirs": theirs(url, "none", folder, *words),
            f"theirs, --concurrency {CAPPED}": theirs(url, "none", folder, *words, "--concurrency", CAPPED),
        }
    for name, found in said.items():
        sys.stdout.write(f"{name}: p50 {found['p50']:.0f} ms, p99 {found['p99']:.0f} ms\n")


CASES = {case.__name__: case for case in (closed, model, above)}


def main() -> None:
    """Run the cases that are named, or all."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or CASES:
        sys.stdout.write(f"{name}\n")
        CASES[name](folder)


if __name__ == "__main__":
    main()
