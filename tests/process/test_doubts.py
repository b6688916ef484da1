"""What a log says twice and does not agree on: the row is there, in doubt, and a warning says why."""

import json
import re
from pathlib import Path

import pytest

from fmbench import lines
from fmbench.consistency import Repetitions
from fmbench.process.cli import main as process_main
from fmbench.process.writing.show import main as show

from .log_lines import LOG, case, rep

LATE = "slo-1.log"  # whose client was late, as it says
GOLDEN = sorted(path for path in Path(__file__).parent.parent.glob("golden*/*.log") if path.name != LATE)
SECOND = 10**9


def measured(count=5, first=1, reps=5, at=1, size=8, milliseconds=2):
    """Return the lines of a shape from CASE to RES, whole and sound."""
    said = [
        lines.Rep(
            index, reps, (at + index) * SECOND, (at + index) * SECOND + milliseconds * 10**6, milliseconds * 10**6
        )
        for index in range(first, first + count)
    ]
    result = lines.Res(said[0].start, said[-1].end, "m", "C", size, 4, milliseconds, 4e3 / milliseconds)
    return [case(size, reps=reps), *(line.format() for line in said), result.format()]


def stat(**more):
    times = dict.fromkeys(("cold", "min", "p50", "p90", "p95", "p99", "mean"), 2.0)
    said = {"input_size": 8, "batch_size": 4, "n": 4, "dropped": 1, **times, "mad": 0.0, "interval": [2.0, 2.0], **more}
    return lines.JsonLine("STAT", said).format()


def doubt_of(printed):
    """Return the doubt of a single row, which its statistics and one warning say too."""
    (row,) = printed.rows
    assert (row["statistics"]["stable"], row["statistics"]["reason"]) == (False, row["doubt"])
    assert len(printed.warnings) == 1 and row["doubt"] in printed.warnings[0] and "run.log:" in printed.warnings[0]
    return row["doubt"]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.parent.name)
def test_no_golden_log_is_in_doubt(process, path):
    printed = process("--path", path)
    assert [row["doubt"] for row in printed.rows] == [None] * len(printed.rows)
    assert [text for text in printed.warnings if "no results" not in text] == []


def test_a_sound_shape_is_not_in_doubt(read):
    printed = read(LOG, *measured(), stat())
    assert (printed.rows[0]["doubt"], printed.warnings) == (None, [])
    assert printed.rows[0]["statistics"]["reason"].startswith("few")


REP1, REP2, REP3 = (measured()[index] for index in (1, 2, 3))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (REP2, f"{REP2}\n{REP2}", "mixed: repetition 2 begins before"),
        (REP3, REP3.replace("REP 3", "REP 2"), "mixed: repetition 2 comes after repetition 2"),
        (REP3, REP3.replace("REP 3 5", "REP 3 9"), "mixed: 5 repetitions were asked for, and 9"),
        (REP3, REP3.replace("4.000000000", "3.001000000"), "mixed: repetition 3 begins before"),
        (REP3, REP3.replace("4.002000000", "3.999000000"), "contradicted: repetition 3 says a duration"),
        (REP3, REP3.replace("0.002000000", "0.003000000"), "contradicted: repetition 3 says a duration"),
        (f"{REP3}\n", "", "lost: repetition 3 is not in the log"),
        (f"{REP1}\n", "", "lost: repetition 1 is not in the log"),
        ("8 4 2.000 2000.0", "8 4 3.000 2000.0", "contradicted: RES says 3.000 ms, and its repetitions 2.000 ms"),
        ("8 4 2.000 2000.0", "8 4 2.000 200.0", "contradicted: RES says 200.0 sequences a second"),
        ("RES 2.0", "RES 1.0", "contradicted: RES begins or ends at another time"),
        ('"p50": 2.0', '"p50": 2.1', "contradicted: STAT says p50 2.1 ms"),
        ('"p99": 2.0', '"p99": 9.0', "contradicted: STAT says p99 9.0 ms"),
        ('"interval": [2.0', '"interval": [1.0', "contradicted: STAT says interval 1.0 ms"),
        ('"n": 4', '"n": 3', "lost: STAT counts 3 + 1 repetitions, and the log has 5"),
        (case(reps=5), "", "mixed: it stands behind no CASE line"),
        (LOG, f"{LOG}\nFMWORK ARG --input_sizes 16\nFMWORK ARG --batch_sizes 4", "mixed: 8 / 4 is none of the shapes"),
    ],
)  # fmt: skip
def test_a_contradiction_is_a_doubt(read, old, new, said):
    content = "\n".join([LOG, *measured(), stat()])
    assert old in content
    printed = read(content.replace(old, new, 1))
    printed.warnings[:] = [text for text in printed.warnings if "are missing" not in text]
    assert doubt_of(printed).startswith(said)


def test_a_repetition_at_the_end_that_is_lost_is_missed_by_stat(read):
    content = [LOG, *measured(), stat()]
    assert doubt_of(read(*content[:6], *content[7:])).startswith("lost: STAT counts")


def test_two_drivers_in_one_log(read, tmp_path, capsys):
    """Two heads, and the repetitions of both in turns: whoever comes first closes the shape."""
    mine, theirs = measured(6, reps=6), measured(6, reps=6, milliseconds=5)
    mixed = [line for pair in zip(mine, theirs, strict=True) for line in pair]
    printed = read(LOG, LOG, *mixed)
    assert [row["doubt"].partition(":")[0] for row in printed.rows] == ["mixed", "mixed"]
    assert printed.rows[0]["statistics"]["stable"] is False
    assert show([str(tmp_path / "run.log")]) == 0
    assert capsys.readouterr().out.count("mixed: ") == 2


def test_more_repetitions_than_requested(read):
    printed = read(LOG, *measured(7, reps=5))
    assert doubt_of(printed) == "mixed: 7 repetitions of 5"
    old = read(*[line for line in measured(7, reps=5) if "CASE" not in line])
    assert doubt_of(old) == "mixed: 7 repetitions of 5"


def test_an_abridged_log_of_old_is_not_in_doubt(read):
    printed = read("RUN 8 / 4", *[line for line in measured() if line not in (REP2, REP3) and "CASE" not in line])
    assert (printed.rows[0]["doubt"], printed.warnings) == (None, [])


def test_a_clock_of_doubles_is_not_in_doubt():
    repetitions = Repetitions()
    repetitions.compare(1, 3, 1795216184512400118, 1795216184573813100, 61412870)
    assert repetitions.doubt is None


def test_a_result_in_the_block_of_another_shape(read):
    printed = read(LOG, case(16, reps=5), *measured()[1:])
    assert [row["doubt"] for row in printed.rows] == ["mixed: RES of 8 / 4 stands behind CASE of 16 / 4"] * 2


def test_shapes_that_never_came_are_named(read):
    printed = read(LOG, "FMWORK ARG --input_sizes 8,16,32", "FMWORK ARG --batch_sizes 4", *measured(), stat())
    (warning,) = printed.warnings
    assert warning.endswith("run.log: 2 of 3 shapes that were asked for are missing: 16 / 4, 32 / 4")


def test_statistics_without_repetitions_are_no_measurement(read):
    assert doubt_of(read(LOG, case(), measured()[-1], stat())).startswith("lost: STAT counts 4 + 1 repetitions")


def test_a_pair_that_its_variants_do_not_bear_out(read):
    a, b = measured(10, reps=10), measured(10, reps=10, milliseconds=4)
    a[0], b[0] = case(reps=10, variant="A"), case(reps=10, variant="B")
    said = {"input_size": 8, "batch_size": 4, "a": "A", "b": "B", "n": 8, "ratio": 2.0, "interval": [1.9, 2.1]}
    for wrong, reason in (
        ({}, None), ({"n": 7}, "PAIR counts 7 pairs"), ({"ratio": 1.95}, "PAIR's ratio 1.95"),
        ({"interval": [2.5, 3.0]}, "PAIR's interval does not hold"),
    ):  # fmt: skip
        doubt = read(LOG, *a, *b, lines.JsonLine("PAIR", {**said, **wrong}).format()).rows[1]["doubt"]
        assert doubt is None if reason is None else reason in doubt


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("golden-retrieval", '"texts_per_second": 150.0', '"texts_per_second": 15.0', "texts_per_second"),
        ("golden-retrieval", '"tokens": 7300', '"tokens": 730', "tokens_per_second"),
        ("golden-retrieval", '"padding_share": 0.03', '"padding_share": 3.0', "padding_share"),
        ("golden-retrieval", '"cached": 5183', '"cached": 5184', "5184 cached texts of 5183"),
        ("golden-retrieval", '"p95": 7.2', '"p95": 5.2', "does not ascend"),
        ("golden-retrieval", '"documents": 5183', '"documents": 5182', "SEARCH has 5182 documents"),
        ("golden-retrieval", '"queries": 300, "documents"', '"queries": 30, "documents"', "SEARCH has 30 queries"),
        ("golden-retrieval", '"queries_per_second": 6000.0', '"queries_per_second": 600.0', "SEARCH's queries_per"),
        ("golden-retrieval", '"ndcg_cut_10": 0.6451', '"ndcg_cut_10": 0.7451', "does not hold it"),
        ("golden-retrieval", '"recall_10": 0.7833', '"recall_10": 1.7833', "is no share"),
        ("golden-retrieval", '"without_results": 0', '"without_results": 301', "301 queries without_results of 300"),
        ("golden-distill", '"p95": 0.098', '"p95": 0.198', "does not ascend"),
        ("golden-distill", '"share": 0.99', '"share": 0.90', "does not hold its share"),
        ("golden-distill", '"ratio": 0.0105', '"ratio": 0.0205', "pair's interval"),
        ("golden-distill", '"ndcg_cut_10": 0.64}', '"ndcg_cut_10": 0.74}', "does not hold it"),
    ],
)
def test_what_a_data_set_says_twice(read, file, old, new, said):
    text = (GOLDEN[0].parent.parent / file / "format-1.log").read_text()
    assert old in text
    printed = read(text.replace(old, new, 1))
    row = printed.rows[0]
    assert row["doubt"].startswith("contradicted: ") and said in row["doubt"]
    assert [one["doubt"] for one in printed.rows[1:]] == [None] * (len(printed.rows) - 1)
    assert any(row["doubt"] in warning for warning in printed.warnings)


@pytest.mark.parametrize("name", ["markdown", "openmetrics", "csv", "jsonl"])
def test_every_format_says_it(tmp_path, name):
    path, out = tmp_path / "run.log", tmp_path / "out"
    path.write_text("\n".join([LOG, *measured(7, reps=5)]) + "\n")
    assert process_main(["--path", str(path), "--format", name, "--out", str(out)]) == 0
    assert re.search(
        r"fmbench_stable\{.*\} 0" if name == "openmetrics" else "mixed: 7 repetitions of 5", out.read_text()
    )


def test_a_field_that_is_refused_is_said_in_its_row_and_nowhere_else(read, golden_retrieval):
    text = golden_retrieval.read_text().replace('"intervals": {"ndcg_cut_10"', '"intervals": [1], "m": {"ndcg_cut_10"')
    printed = read(text)
    first, second = printed.rows
    assert first["doubt"] == "damaged: IRM: intervals is no object of pairs of numbers"
    assert first["retrieval"]["quality"]["metrics"]["ndcg_cut_10"] == 0.6451 and second["doubt"] is None
    assert "run.log:11: FMWORK IRM: intervals is no object of pairs of numbers" in printed.warnings[0]


def test_a_shape_that_a_resumed_run_measured_again_is_there_once(read):
    again = [LOG, "FMWORK ARG --resume run.log", *measured(at=20)]
    printed = read(LOG, *measured()[:-1], *again)
    assert (printed.statuses, printed.warnings) == (["OK"], [])
    assert json.loads(json.dumps(printed.rows[0]["timestamp"])) == "21.000000000"
    assert read(LOG, *measured()[:-1], LOG, *measured(at=20)).statuses == ["PARTIAL", "OK"]


def test_repetitions_of_a_test_log_are_sound():
    assert lines.parse_line(rep(1, 3)).duration == 3_000_000


def test_a_line_of_a_shape_that_was_not_measured_is_a_doubt(read):
    printed = read(LOG, *measured(), stat(input_size=9))
    assert doubt_of(printed) == "mixed: STAT of 9 / 4 stands where no such shape was measured"


def test_a_data_set_that_is_judged_twice_is_a_doubt(process, golden_retrieval, tmp_path):
    text = golden_retrieval.read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("FMWORK IRM")]
    (tmp_path / "twice.log").write_text(text.replace(line, f"{line}\n{line}"))
    (row, *_) = process("--path", tmp_path / "twice.log").rows
    assert row["doubt"] == "mixed: IRM of scifact comes twice"


def test_processes_that_were_asked_for_and_not_summed_up_are_a_doubt(process, golden, tmp_path):
    text = (golden.parent / "golden-processes" / "format-1.log").read_text()
    kept = [line for line in text.splitlines() if not line.startswith("FMWORK PROC")]
    (tmp_path / "run.log").write_text("\n".join(kept) + "\n")
    rows = process("--path", tmp_path / "run.log").rows
    assert {row["doubt"] for row in rows} == {"lost: no PROC line says how the processes of --repeat differ"}


@pytest.mark.parametrize("cut", ['"variant": "B", ', "FMWORK PAIR", '"b": "C"'])
def test_variants_that_a_resumed_run_measured_again_are_there_once(process, golden, tmp_path, cut):
    """A comparison that was killed in B's block, or before all PAIR lines, starts over with A."""
    text = golden.joinpath("format-1.log").read_text()
    run = text[text.rindex("FMWORK LOG") :].splitlines(keepends=True)
    assert any(line.startswith("FMWORK ARG --vs ") for line in run)
    place = next(number for number, line in enumerate(run) if cut in line and not line.startswith("FMWORK ENV"))
    again = [line.replace("FMWORK ARG --platform", "FMWORK ARG --resume x.log\nFMWORK ARG --platform") for line in run]
    (tmp_path / "once.log").write_text("".join(run))
    (tmp_path / "twice.log").write_text("".join([*run[:place], *again]))
    once, twice = (process("--path", tmp_path / name).rows for name in ("once.log", "twice.log"))
    assert [row["variant"] for row in once] == ["A", "B", "C"]
    assert [row["variant"] for row in twice] == ["A", "B", "C"]
    assert [row["itl"] for row in twice] == [row["itl"] for row in once]


@pytest.mark.parametrize("line", ["FMWORK STAT", "FMWORK STAT nothing", 'FMWORK STAT {"n": 4, "dro', "FMWORK STAT [1]"])
def test_a_line_of_a_shape_that_is_no_json_puts_the_shape_in_doubt(read, line):
    printed = read(LOG, *measured(), line, *measured(at=9, size=16), stat(input_size=16))
    damaged, sound = printed.rows
    assert damaged["doubt"].startswith("damaged: STAT: no JSON object")
    assert (damaged["statistics"]["stable"], damaged["statistics"]["reason"]) == (False, damaged["doubt"])
    assert (damaged["itl"], sound["doubt"]) == (2.0, None)
    (warning,) = printed.warnings
    assert "run.log:9: FMWORK STAT: no JSON object" in warning


@pytest.mark.parametrize("end", ["", "\n", "\n" + LOG, LOG])
def test_a_line_that_a_kill_cut_off_puts_nothing_in_doubt(read, end):
    printed = read(LOG, *measured(), 'FMWORK STAT {"n": 4, "dro' + end, end="")
    assert [row["doubt"] for row in printed.rows] == [None]
    assert "FMWORK STAT: no JSON object" in printed.warnings[0]


def test_a_line_of_a_data_set_that_is_no_json_puts_the_run_in_doubt(read, golden_retrieval):
    text = golden_retrieval.read_text().replace("FMWORK SEARCH {", "FMWORK SEARCH ", 1)
    rows = read(text).rows
    assert rows and all(row["doubt"].startswith("damaged: SEARCH: no JSON object") for row in rows)
