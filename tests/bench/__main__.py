"""Run every benchmark and print the table of docs/benchmarks.md."""

import sys
from collections.abc import Iterator

from tests.bench import (
    answer,
    busy,
    dashboard,
    encode,
    harness,
    large_log,
    overhead,
    process_log,
    processes,
    proof,
    quality,
    search,
    search_memory,
    startup,
    truth,
    ways,
)

Row = tuple[str, str, str]


def rows() -> Iterator[Row]:
    """Yield (what, the target, the figure)."""
    for command, seconds in startup.commands().items():
        yield f"`{command}`", "0.25 s", f"{seconds:.2f} s"
    yield "`--platform null`: RES latency", "0.005 ms", f"{harness.null_latency() * 1e3:.5f} ms"
    yield "harness between two repetitions", "100 µs", f"{harness.overhead() * 1e6:.0f} µs"
    yield "making 64 x 512 token ids", "2 ms", f"{harness.making_inputs() * 1e3:.2f} ms"
    for shape, ratio in truth.ratios().items():
        yield f"all-MiniLM-L6-v2, {shape}: driver / torch.utils.benchmark.Timer", "0.97 to 1.03", f"{ratio:.3f}"
    yield "statistics, counters and stopping rule, beyond a bare loop at 5 ms", "1%", f"{overhead.share():.2%}"
    same = proof.verdicts(slower=1.0).get("no significant difference", 0)
    yield f"`--vs` on identical variants: no significant difference, of {proof.RUNS} runs", "95", str(same)
    found = proof.verdicts(slower=1.03).get("slower", 0)
    yield f"`--vs` on a variant 3% slower, n = {proof.REPETITIONS}: found, of {proof.RUNS} runs", "90", str(found)
    ours, theirs = answer.ours()[0], answer.theirs()
    yield "all-MiniLM-L6-v2, 1 x 128, `--precision 2%`: prompt to RES", "", f"{ours:.1f} s"
    if theirs is not None:
        yield "the same, optimum-benchmark 0.6.0 with its defaults", "", f"{theirs:.1f} s"
        yield "ours / theirs", "0.25", f"{ours / theirs:.2f}"
    seconds, peak_bytes = process_log.measure()
    yield "`process`, 1,000,000 REP and 10,000 RES lines", "4 s", f"{seconds:.2f} s"
    yield "the same: peak memory", "600 MB", f"{peak_bytes / 1e6:.0f} MB"
    yield from dashboard.rows()
    yield from search.rows()
    yield from search_memory.rows()
    if ways.CORPUS.is_file():
        yield from encode.rows()
        yield from quality.quality()
        yield from processes.rows()
        yield from busy.rows()
    for what, seconds, peak_bytes in large_log.rows():
        yield f"{what} of a log of 2 GB: peak memory", "400 MB", f"{peak_bytes / 1e6:.0f} MB ({seconds:.0f} s)"


def main() -> None:
    """Print the table as it is made."""
    sys.stdout.write("| what | target | measured |\n| --- | --- | --- |\n")
    for row in rows():
        sys.stdout.write("| " + " | ".join(row) + " |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
