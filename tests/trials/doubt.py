"""How often the doubt of `--vs` is right: `python -m tests.trials.doubt [--runs N] [--found M]`.

A variant against itself while two processes spin beside it: how often the 95% interval of the ratio holds 1, and how
often a verdict is false. Then, on the machine as it is, how often 3% are found: B's durations, times 1.03. A run is a
shape of a tiny model on the CPU; a driver measures thirty of them. Docs: docs/reliability.md.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from fmbench import lines
from fmbench.pairs import NO_DIFFERENCE, Pair
from tests.bench.busy import SPIN
from tests.tiny_model import write_model

SHAPES = range(4, 34)  # tokens; each is a run
INJECTED = 1.03
DRIVER = "import sys; from fmbench.drivers.embed import main; sys.exit(main(sys.argv[1:]))"
Series = tuple[list[int], list[int]]


@contextlib.contextmanager
def spinning(count: int) -> Iterator[None]:
    """Keep processes running that want a processor each."""
    others = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(count)]
    try:
        yield
    finally:
        for process in others:
            process.kill()
            process.wait()


def measure(model: Path, reps: int, seed: int, threads: int) -> Iterator[tuple[Series, lines.JsonLine]]:
    """Yield, a run each, the durations of A and of B, which is A again, and the line that compares them."""
    words = ["--platform", "cpu", "--model_class", "BertModel", "--model_name", str(model), "--threads", str(threads)]
    words += ["--input_sizes", ",".join(map(str, SHAPES)), "--batch_sizes", "1", "--reps", str(reps)]
    words += ["--seed", str(seed), "--torch.call:set_grad_enabled@", "False", "--vs", "--platform cpu"]
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    series: list[list[int]] = []
    for text in done.stdout.splitlines():
        line = lines.parse_line(text)
        if lines.is_json(line, "CASE"):
            series.append([])
        elif isinstance(line, lines.Rep):
            series[-1].append(line.duration)
        elif lines.is_json(line, "PAIR"):
            yield (series[-2], series[-1]), line


def counted(model: Path, runs: int, reps: int, threads: int) -> Iterator[tuple[Series, lines.JsonLine]]:
    """Yield so many runs, of as many drivers as they take."""
    found = 0
    while found < runs:
        for one in measure(model, reps, found, threads):
            found += 1
            yield one
            if found % 10 == 0:
                sys.stderr.write(f"{found} of {runs}\n")
            if found == runs:
                break


def busy(model: Path, runs: int, reps: int, threads: int) -> bool:
    """Compare a variant with itself beside two processes that spin; print and return whether the doubt was right."""
    with spinning(2):
        pairs = [line.data for _, line in counted(model, runs, reps, threads)]
    held = sum(pair["interval"][0] <= 1 <= pair["interval"][1] for pair in pairs)
    false = sum(pair["verdict"] != NO_DIFFERENCE for pair in pairs)
    seen = sorted(pair["detectable"] for pair in pairs)[len(pairs) // 2]
    sys.stdout.write(f"A against A, two processes spinning, {len(pairs)} runs of {reps} pairs, {threads} threads:\n")
    sys.stdout.write(f"  the 95% interval held 1: {held} ({held / len(pairs):.1%}); false verdicts: {false}\n")
    sys.stdout.write(f"  what could be seen, median: {seen:.1%}\n")
    return 0.93 <= held / len(pairs) <= 0.97 and false <= 0.01 * len(pairs)


def quiet(model: Path, runs: int, reps: int, threads: int) -> bool:
    """Slow B down by 3%; print and return whether that was found."""
    found = [Pair.of(a, [INJECTED * value for value in b]).verdict for (a, b), _ in counted(model, runs, reps, threads)]
    slower = found.count("slower")
    sys.stdout.write(f"B 3% slower, {len(found)} runs of {reps} pairs: found {slower} ({slower / len(found):.1%})\n")
    return slower >= 0.95 * len(found)


def main(argv: Sequence[str] | None = None) -> int:
    """Run both and return 1 where one of them is not as promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300, help="of A against itself (default: 300; 0: none)")
    parser.add_argument("--found", type=int, default=60, help="runs in which B is 3%% slower (default: 60; 0: none)")
    parser.add_argument("--reps", type=int, default=400, help="pairs a run (default: 400)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: 1)")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        model = write_model(Path(name, "model"))
        right = [given.runs == 0 or busy(model, given.runs, given.reps, given.threads)]
        right += [given.found == 0 or quiet(model, given.found, given.reps, given.threads)]
    return int(not all(right))


if __name__ == "__main__":
    sys.exit(main())
