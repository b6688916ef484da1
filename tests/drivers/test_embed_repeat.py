"""`--repeat`: several processes a shape, and how they differ."""

import json
from pathlib import Path

import pytest

from fmbench.drivers import isolate
from fmbench.drivers.recall import recall
from fmbench.lines import Rep, Res
from fmbench.options import build_parser, parse_arguments
from fmbench.parsing import Once
from fmbench.process.cli import main as process

from .conftest import of

NULL = ["--platform", "null", "--model_class", "none", "--model_name", "none", "--batch_sizes", "2", "--reps", "6"]
# Prints what a process of the driver would: its repetitions take as long as the file's next line says.
FAKE_CHILD = """
import pathlib, sys
from fmbench import lines
from fmbench.session import LogWriter
file = pathlib.Path({file!r})
first, *rest = file.read_text().split()
file.write_text("\\n".join(rest))
if first == "fails":
    sys.exit(1)
words = " ".join(sys.argv).replace("=", " ").split()
size = int(words[words.index("--input_sizes") + 1])
log = LogWriter(sys.stdout)
log.banner("RUN", size, "/", 2)
place = dict(input_size=size, batch_size=2)
log.write(lines.JsonLine("CASE", {{**place, "reps": 6}}))
duration = int(float(first) * 1e6)
for number in range(6):
    log.write(lines.Rep(number + 1, 6, number * duration, (number + 1) * duration, duration))
log.write(lines.Res(0, 6 * duration, "none", "none", size, 2, duration / 1e6, 2e9 / duration))
figures = dict(n=5, dropped=1, stable=True, reason=None, interval=[duration / 1e6] * 2)
figures.update(dict.fromkeys(("cold", "min", "p50", "p90", "p95", "p99"), duration / 1e6), mad=0.0)
log.write(lines.JsonLine("STAT", {{**place, **figures}}))
"""


@pytest.fixture
def fake_children(tmp_path: Path, monkeypatch):
    """Let children be processes that print figures of these milliseconds, one after the other; `fails` prints none."""

    def take(*milliseconds: object) -> None:
        file = tmp_path / "milliseconds"
        file.write_text("\n".join(map(str, milliseconds)))
        monkeypatch.setattr(isolate, "CHILD", FAKE_CHILD.format(file=str(file)))

    return take


def test_an_argument_that_is_new_reaches_the_child() -> None:
    parser = build_parser.__wrapped__("driver")  # one of its own: the driver's is built once
    parser.add_argument("--new_flag", action=Once, nargs=0)
    parser.add_argument("--new_value", action=Once)
    command = recall([*NULL, "--new_flag", "--isolate", "--new_value", "x", "--input_sizes", "8,16"], parser)
    child = parser.parse_known(isolate.child_command(command, (16, 2), alone=False).words)
    assert (child.new_flag, child.new_value, child.input_sizes) == (True, "x", (16,)) and not hasattr(child, "isolate")
    assert parser.names > {*isolate.NOT_OF_A_CHILD}


def test_each_shape_has_a_block_a_process_and_a_line_on_their_agreement(drive, fake_children) -> None:
    fake_children(10, 10.1, 10.2, 20, 30, 20)
    code, lines, told = drive(*NULL, "--input_sizes", "8,16", "--repeat", "3")
    kinds = [line.kind for line in lines if line.kind in ("REP", "RES", "STAT", "PROC")]
    assert (code, kinds) == (0, [*[*["REP"] * 6, "RES", "STAT"] * 3, "PROC"] * 2)
    assert [line.index for line in of(Rep, lines)] == [1, 2, 3, 4, 5, 6] * 6
    agreeing, differing = (line.data for line in of("PROC", lines))
    assert agreeing == {
        "input_size": 8, "batch_size": 2, "n": 3, "medians": [10.0, 10.1, 10.2], "p50": 10.1,
        "interval": [10.0, 10.2], "ratio": 1.02, "stable": True, "reason": None, "requested": 3,
    }  # fmt: skip
    assert (differing["p50"], differing["interval"], differing["ratio"]) == (20.0, [20.0, 30.0], 1.5)
    reason = "processes: the medians of 3 processes differ by 50%, each known to ±0.0%"
    assert (differing["stable"], differing["reason"]) == (False, reason)
    assert "8 / 2: 3 processes, 10.10 ± 0.10 ms between them, stable" in told
    assert f"16 / 2: 3 processes, 20 ± 5 ms between them, unstable: {reason}" in told


def test_a_process_without_a_figure_is_said(drive, fake_children) -> None:
    fake_children(10, "fails", 10)
    code, lines, _ = drive(*NULL, "--input_sizes", "8", "--repeat", "3")
    (found,) = of("PROC", lines)
    assert (code, found.data["reason"]) == (1, "processes: 2 of 3 gave a figure")


def test_a_shape_is_resumed_until_all_its_processes_gave_a_figure(drive, fake_children, tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    fake_children(10, 10, 10, "fails")
    command = [*NULL, "--input_sizes", "8,16", "--resume", log]
    assert drive(*command, "--repeat", "2")[0] == 1
    fake_children(10, 10, "none is left for a shape that is whole")
    assert drive(*command, "--repeat", "2")[0] == 0
    assert log.read_text().count("FMWORK PROC") == 3
    assert drive(*command)[0] == 0  # each has a result, which is what one process asks for
    fake_children(*[10] * 6)
    assert drive(*command, "--repeat", "3")[0] == 0
    assert log.read_text().count("FMWORK RES") == 3 + 2 + 6


def test_every_row_of_a_figure_in_doubt_says_so(drive, fake_children, tmp_path: Path, capsys) -> None:
    log = tmp_path / "run.log"
    fake_children(10, 14, 10, 20, 20, 20)
    drive(*NULL, "--input_sizes", "8,16", "--repeat", "3", "--resume", log)
    process(["--path", str(log)])
    rows = json.loads(capsys.readouterr().out)
    assert [(row["input"], row["itl"], row["statistics"]["stable"]) for row in rows] == [
        (8, 10.0, False), (8, 14.0, False), (8, 10.0, False), (16, 20.0, True), (16, 20.0, True), (16, 20.0, True),
    ]  # fmt: skip
    assert {row["statistics"]["reason"] for row in rows[:3]} == {rows[0]["processes"]["reason"]}
    assert rows[0]["processes"] == {
        "n": 3, "p50": 10.0, "interval": [10.0, 14.0], "ratio": 1.4, "stable": False, "requested": 3,
        "reason": "processes: the medians of 3 processes differ by 40%, each known to ±0.0%",
    }  # fmt: skip
    assert rows[3]["processes"]["stable"] is True


def test_repeat_implies_processes_and_one_is_none() -> None:
    arguments = [*NULL, "--input_sizes", "8"]
    assert [parse_arguments([*arguments, *more]).isolate for more in ([], ["--repeat", "1"], ["--repeat", "2"])] == [
        False, False, True,
    ]  # fmt: skip


@pytest.mark.slow
def test_real_processes_measure(drive) -> None:
    code, lines, _ = drive(*NULL, "--input_sizes", "8", "--repeat", "2")
    assert (code, len(of(Res, lines)), len(of("PROC", lines))) == (0, 2, 1)


def test_facts_that_a_killed_child_did_not_print_come_from_the_next(drive, tmp_path: Path, monkeypatch) -> None:
    child = f"""
import os, pathlib, sys
from fmbench import lines
from fmbench.session import LogWriter
log, file = LogWriter(sys.stdout), pathlib.Path({str(tmp_path / "died")!r})
log.banner("RUNTIME")
if not file.exists():
    file.touch()
    os.kill(os.getpid(), 9)
log.write(lines.JsonLine("ENV", {{"platform": "null"}}))
log.banner("RUN", 8, "/", 2)
"""
    monkeypatch.setattr(isolate, "CHILD", child)
    code, lines, _ = drive(*NULL, "--input_sizes", "8,16,32", "--isolate")
    assert (code, [line.data for line in of("ENV", lines)]) == (1, [{"platform": "null"}])
