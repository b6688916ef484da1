"""Large logs: read in blocks, without the repetitions where nobody asks for them, and the results are the same."""

import random
import subprocess
import sys
from dataclasses import asdict

import pytest

from fmbench import lines
from fmbench.process.reading import sources as reader
from fmbench.process.reading.results import read_results
from fmbench.process.reading.sources import find_sources
from fmbench.summary import Summary

from .log_lines import LOG, RES, case, rep

SECOND, MILLI = 10**9, 10**6

PEAK = """
import re, sys
from fmbench.cli import main
code = main(sys.argv[1:])
peak = re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())
print(int(peak[1]) * 1024, file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def both(monkeypatch, tmp_path):
    """The rows of a log, read with all repetitions in memory, and without them in blocks of a few lines."""

    def read(path):
        warnings = ([], [])
        whole = [result.row for result in read_results(find_sources([str(path)]), warnings[0].append)]
        monkeypatch.setattr(reader, "BLOCK", 300)
        streamed = list(read_results(find_sources([str(path)]), warnings[1].append, repetitions=False))
        assert warnings[0] == warnings[1]
        return whole, [result.row for result in streamed]

    return read


def sweep(shapes, repetitions):
    """The lines of a log whose every shape has repetitions, a result, and what the driver says of it besides."""
    draw = random.Random(shapes)
    yield LOG
    for size in range(1, shapes + 1):
        yield case(size, 4, reps=repetitions)
        durations = [draw.randint(3, 9) for _ in range(draw.randint(0, repetitions))]
        yield from (
            lines.Rep(k, repetitions, k * SECOND, k * SECOND + d * MILLI, d * MILLI).format()
            for k, d in enumerate(durations, start=1)
        )
        if size % 5 and durations:
            said = asdict(Summary.of(durations))
            end = len(durations) * SECOND + durations[-1] * MILLI
            yield lines.Res(SECOND, end, "m", "C", size, 4, said["p50"], 4e3 / said["p50"]).format()
            said["preemptions"] = draw.choice([None, 1.5, 500.0])
            yield lines.JsonLine(
                "STAT", {"input_size": size, "batch_size": 4, **said, "recompiled_at": [size % 7]}
            ).format()
        elif size % 5:
            yield RES.replace(" 8 4 ", f" {size} 4 ")
        elif size % 10:
            yield lines.JsonLine("ERR", {"input_size": size, "batch_size": 4, "type": "X", "message": "m"}).format()
    yield lines.JsonLine("ENV", {"platform": "late"}).format()


def test_a_sweep_is_read_the_same_with_little_memory(both, tmp_path):
    (tmp_path / "x.log").write_text("\n".join(sweep(60, 40)) + "\n")
    whole, streamed = both(tmp_path / "x.log")
    assert streamed == whole
    assert len(whole) == 60
    assert {row["environment"]["platform"] for row in whole} == {"late"}  # said at the end, true of all
    assert {"OK", "ERR", "PARTIAL"} == {row["status"] for row in whole}
    assert any(row["statistics"] and "contended" in (row["statistics"]["reason"] or "") for row in whole)


def test_golden_logs_are_read_the_same_with_little_memory(both, golden):
    whole, streamed = both(golden)
    assert streamed == whole


def test_several_runs_are_read_the_same_with_little_memory(both, tmp_path):
    text = "\n".join(sweep(9, 10)) + "\n"
    (tmp_path / "x.log").write_text(text * 3)
    whole, streamed = both(tmp_path / "x.log")
    assert streamed == whole and len(whole) == 27


def test_the_repetitions_are_there_for_those_who_ask(tmp_path):
    (tmp_path / "x.log").write_text("\n".join([LOG, case(), rep(1, 3), rep(2, 4), RES]))
    sources = find_sources([str(tmp_path)])
    assert [list(result.durations) for result in read_results(sources, print)] == [[3_000_000, 4_000_000]]


def test_a_line_without_end_is_read_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "LONGEST", 1000)
    (tmp_path / "x.log").write_bytes(bytes(range(11, 256)) * 100 + b"\n" + RES.encode() + b"\n")
    (source,) = find_sources([str(tmp_path)])
    assert max(map(len, source.lines(print))) == 1000
    assert len(list(read_results([source], print))) == 1


def write_log(path, megabytes, repetitions):
    """A log of shapes that have so many repetitions each."""
    two = 2 * 10**6
    block = "".join(
        lines.Rep(index, repetitions, index * 10**9, index * 10**9 + two, two).format() + "\n"
        for index in range(1, repetitions + 1)
    )
    with path.open("w") as stream:
        stream.write(LOG + "\n")
        for size in range(1, megabytes * 10**6 // len(block) + 2):
            result = lines.Res(10**9, repetitions * 10**9 + two, "m", "C", size, 4, 2.0, 2000.0)
            stream.write(f"{case(size, 4, reps=repetitions)}\n{block}{result.format()}\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "repetitions", "most"),  # megabytes; an interpreter with numpy has 40
    [
        ("process --format jsonl --out out --path", 600_000, 70),  # 94 with every repetition as a Python number
        ("show", 600_000, 70),
    ],
)
def test_a_large_log_needs_little_memory(command, repetitions, most, tmp_path):
    write_log(tmp_path / "x.log", 30, repetitions)
    assert 25e6 < (tmp_path / "x.log").stat().st_size < 70e6
    words = [sys.executable, "-c", PEAK, *command.split(), "x.log"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert int(done.stderr.splitlines()[-1]) < most * 1e6
