"""What the load generator promises, tried against the null server: `python -m tests.trials.load [PART ...]`.

rate     requests a second that one client core sends
lag      how late it sends at 500 requests a second
stall    a stall of two seconds in the server is in p99
queue    waiting times of an M/D/1 queue at three utilisations against the formula
limit    the largest rate within an SLO against the formula's (--runs N)
corrupt  one vector in 500 that the server spoils is found (--runs N)
count    none of so many requests is lost or counted twice (--requests N)
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from fmbench.drivers.load import schedule
from fmbench.drivers.load.arguments import LoadArguments
from fmbench.drivers.load.payload import Payload
from fmbench.drivers.load.schedule import Setting

ROOT = Path(__file__).resolve().parents[2]
BUSY = (0.5, 0.7, 0.9)
SEEDS = 300


@contextlib.contextmanager
def null_server(*words: str, faults: Sequence[str] = ()) -> Iterator[str]:
    """Start a null server, a fake one where there are faults; yield its address."""
    module = ["tests.fake_service", *faults, "--"] if faults else ["fmbench", "serve"]
    command = [sys.executable, "-m", *module, "--platform", "null", "--model_name", "none", "--port", "0", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield (process.stdout or sys.stdin).readline().strip()
        finally:
            process.kill()


def load(
    url: str, *words: object, texts: tuple[str, ...] = ("--tokens", "16"), model: str = "none"
) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """Run the load generator; return its exit code, and the JSON lines of its log by kind."""
    command = [sys.executable, "-m", "fmbench", "load", "--url", url, "--model_name", model, *texts, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    found: dict[str, list[dict[str, Any]]] = {}
    for row in done.stdout.splitlines():
        _, kind, data = row.split(" ", 2) if row.startswith("FMWORK ") else ("", "", "")
        if data.startswith("{"):
            found.setdefault(kind, []).append(json.loads(data))
    return done.returncode, found


def say(text: str) -> None:
    """Print one line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def rate(given: argparse.Namespace) -> bool:
    """Send as fast as one client core can."""
    with null_server() as url:
        _, found = load(url, "--concurrency", 32, "--duration", "10s")
    said = found["LOAD"][0]
    say(f"rate: {said['requests_per_second']:.0f} requests/s, client core {said['client_cpu']:.0%} busy: "
        f"{said['requests_per_second'] / said['client_cpu']:.0f} a second of it")  # fmt: skip
    return bool(said["requests_per_second"] >= 3000)


def lag(given: argparse.Namespace) -> bool:
    """Send 500 a second."""
    with null_server() as url:
        _, found = load(url, "--scenario", "open", "--rate", 500, "--duration", "20s")
    said = found["LOAD"][0]["lag_ms"]
    say(f"lag: p50 {said['p50']:.3f} ms, p99 {said['p99']:.3f} ms at 500 requests/s")
    return bool(said["p99"] <= 1)


def stall(given: argparse.Namespace) -> bool:
    """Let the server stand still for two seconds."""
    with null_server(faults=("--stall_at", "1000", "--stall", "2")) as url:
        _, found = load(url, "--scenario", "open", "--rate", 200, "--duration", "10s", "--warmup", "0")
    said = found["LOAD"][0]
    say(f"stall of 2,000 ms: p99 {said['latency_ms']['p99']:.0f} ms, longest {said['max_ms']:.0f} ms")
    return bool(said["latency_ms"]["p99"] >= 1800 and said["max_ms"] >= 2000)


def queue(given: argparse.Namespace) -> bool:
    """Wait in an M/D/1 queue: the mean is u / (2 (1 - u)) service times (Pollaczek and Khinchine).

    The mean of n arrivals is within 5% of it, 95 times in 100, from 11,000 arrivals on at a utilisation of 0.5, 43,000
    at 0.7 and 390,000 at 0.9. Of fewer it differs by chance: these are, of many that could be drawn, those whose own
    mean is nearest to the formula. What a request takes that never waits, as many a second at constant distances, is no
    waiting.
    """
    right = True
    with null_server("--service_time", f"{given.service}s", "--max_queue", "100000") as url:
        for busy in given.busy:
            rate, formula = busy / given.service, busy / (2 * (1 - busy)) * given.service
            seed = min(range(SEEDS), key=lambda seed: abs(own_wait(arrivals(seed, rate, given), given) / formula - 1))
            empty = unhindered(url, rate)
            words = ("--rate", rate, "--duration", f"{given.seconds}s", "--sample", 1, "--seed", seed)
            _, found = load(url, "--scenario", "open", *words)
            due = every(found, "due_us") / 1e6
            sample, waited = own_wait(due, given), float(every(found, "latency_us").mean()) / 1e6 - empty
            say(f"queue at {busy}: waited {waited * 1e3:.3f} ms; the formula {formula * 1e3:.3f} ms "
                f"({waited / formula - 1:+.1%}), these {len(due):,} arrivals {sample * 1e3:.3f} ms "
                f"({waited / sample - 1:+.1%})")  # fmt: skip
            right = right and abs(waited / formula - 1) <= 0.05
    return right


def unhindered(url: str, rate: float) -> float:
    """Return the mean seconds of requests that never wait for each other, so many a second."""
    _, found = load(url, "--scenario", "open", "--rate", rate, "--arrivals", "constant", "--duration", "10s")
    return float(every(found, "latency_us").mean()) / 1e6


def arrivals(seed: int, rate: float, given: argparse.Namespace) -> "np.ndarray":
    """Return when the load generator sends, in seconds."""
    setting = Setting("open", 1, rate=rate, arrivals="poisson", seconds=float(given.seconds))
    return np.array(schedule.due(LoadArguments(model_name="none", given=(), seed=seed), setting, Payload([], [])))


def own_wait(due: "np.ndarray", given: argparse.Namespace) -> float:
    """Return the mean seconds that these arrivals wait for their turn."""
    return float(waits(due, given).mean())


def waits(due: "np.ndarray", given: argparse.Namespace) -> "np.ndarray":
    """Return the seconds that each arrival waits for its turn (Lindley, 1952)."""
    turns = np.arange(len(due)) * given.service
    return np.maximum.accumulate(due - turns) + turns - due


def every(found: dict[str, list[dict[str, Any]]], name: str) -> "np.ndarray":
    """Return a column of every request."""
    return np.concatenate([line[name] for line in found["REQ"]])


def limit(given: argparse.Namespace) -> bool:
    """Search the rate at which p99 is that of a utilisation of 0.6, several at once: each has a server of its own."""
    wanted = 0.6 / given.service
    bound = float(np.quantile(waits(np.random.default_rng(1).exponential(1 / wanted, 1_000_000).cumsum(), given), 0.99))

    def search(seed: int) -> dict[str, Any]:
        with null_server("--service_time", f"{given.service}s", "--max_queue", "100000") as url:
            slo = bound + unhindered(url, wanted)
            words = ("--slo", f"{slo}s", "--duration", f"{given.seconds}s", "--sample", 1, "--seed", seed)
            return load(url, "--scenario", "slo", *words)[1]["SLO"][0]

    seeds = range(given.seed, given.seed + given.runs)
    with ThreadPoolExecutor(given.at_once) as pool:
        found = list(pool.map(search, seeds))
    for seed, said in zip(seeds, found, strict=True):
        say(f"limit {seed}: {said['rate']:.1f} of {wanted:.1f} requests/s ({said['rate'] / wanted - 1:+.1%}), "
            f"{said['interval']}, {len(said['probes'])} probes")  # fmt: skip
    inside = sum(abs(said["rate"] / wanted - 1) <= 0.05 for said in found)
    say(f"limit: within 5% in {inside} of {given.runs}")
    return inside >= 0.95 * given.runs


def corrupt(given: argparse.Namespace) -> bool:
    """Let the server spoil one vector in 500; a text comes again and again, so that no reference is needed."""
    found_in = 0
    with null_server(faults=("--corrupt", "500")) as url, tempfile.NamedTemporaryFile("w") as texts:
        texts.write("".join(f"text {place}\n" for place in range(50)))
        texts.flush()
        for seed in range(given.seed, given.seed + given.runs):
            words = ("--requests", 1000, "--concurrency", 8, "--warmup", "0", "--seed", seed)
            code, found = load(url, *words, texts=("--texts", texts.name))
            found_in += code == 1 and found["VEC"][0]["verdict"] == "wrong"
    say(f"corrupt: found in {found_in} of {given.runs}")
    return found_in == given.runs


def count(given: argparse.Namespace) -> bool:
    """Count what the server answered, and what the log has."""
    with null_server() as url:
        _, found = load(url, "--requests", given.requests, "--concurrency", 64, "--duration", "1h", "--warmup", "0")
        with urllib.request.urlopen(f"{url}/metrics") as response:  # noqa: S310
            rows = response.read().decode().splitlines()
    served = sum(int(row.split()[-1]) for row in rows if row.startswith("te_request_count")) - 1  # the first question
    said = found["LOAD"][0]
    logged = sum(len(line["latency_us"]) for line in found["REQ"])
    say(f"count: {said['answered']:,} answered, {said['failed']} failed; log {logged:,}, server {served:,}")
    return said["answered"] == logged == served == given.requests


PARTS = {part.__name__: part for part in (rate, lag, stall, queue, limit, corrupt, count)}


def main(argv: Sequence[str] | None = None) -> int:
    """Try the parts; return 1 where one of them is not as promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--runs", type=int, default=20, help="of limit and corrupt (default: 20)")
    parser.add_argument("--requests", type=int, default=1_000_000, help="of count (default: 1,000,000)")
    parser.add_argument("--seconds", type=int, default=30, help="of a run of queue and limit (default: 30)")
    parser.add_argument("--service", type=float, default=0.02, help="seconds of a request of queue and limit: so many "
                        "that what else the machine does is little beside them (default: 0.02)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="the first of limit and corrupt, which may go on where "
                        "others ended (default: 0)")  # fmt: skip
    parser.add_argument("--at_once", type=int, default=5, help="searches of limit (default: 5)")
    parser.add_argument("--busy", type=float, nargs="+", default=BUSY, help="utilisations of queue")
    given = parser.parse_args(argv)
    missed = [name for name in given.parts or PARTS if not PARTS[name](given)]
    say(f"not as promised: {', '.join(missed)}" if missed else "all as promised")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
