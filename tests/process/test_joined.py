"""One figure for a shape that several processes measured: on the published page, in plots, comparisons and gauges."""

import json
import zlib
from dataclasses import asdict

import pytest

from fmbench.consistency import TIMES
from fmbench.lines import Arg, JsonLine, Rep, Res
from fmbench.process.comparing.compare import main as compare_main
from fmbench.process.plots.points import points_of
from fmbench.process.publishing.page import main as published_main
from fmbench.process.reading.joined import joined
from fmbench.process.reading.results import read_results
from fmbench.process.reading.sources import find_sources
from fmbench.processes import Processes
from fmbench.summary import Summary

from .test_published import add, rows


def log_text(medians, repetitions=6, size=128):
    """A log of one shape: a block a process whose repetitions take these milliseconds, and the line on them."""
    place = {"input_size": size, "batch_size": 4}
    parts = [JsonLine("LOG", {"format": 1}), Arg("model_name", "org/m"), Arg("model_class", "C"),
             JsonLine("ENV", {"platform": "cpu", "device": "cpu", "weights": "random"})]  # fmt: skip
    clock, found = 1795216000 * 10**9 + zlib.crc32(repr((medians, repetitions)).encode()), []
    for median in medians:
        parts.append(JsonLine("CASE", {**place, "reps": repetitions}))
        durations = [round(median * 1e6) * (20 if number == 0 else 1) + number for number in range(repetitions)]
        start = clock
        for number, duration in enumerate(durations, start=1):
            parts.append(Rep(number, repetitions, clock, clock + duration, duration))
            clock += duration
        summary = Summary.of(durations)
        figures = {name: getattr(summary, name) / 1e6 for name in TIMES}
        interval = [end / 1e6 for end in summary.interval]
        parts.append(Res(start, clock, "org/m", "C", size, 4, figures["p50"], 4e3 / figures["p50"]))
        parts.append(
            JsonLine("STAT", {**place, "n": summary.n, "dropped": summary.dropped, **figures, "interval": interval})
        )
        found.append((figures["p50"], *interval))
    parts.append(JsonLine("PROC", {**place, **asdict(Processes.of(found, len(medians))), "requested": len(medians)}))
    return "\n".join(line.format() for line in parts) + "\n"


@pytest.fixture
def read(tmp_path):
    def results(text, name="run.log"):
        (tmp_path / name).write_text(text)
        return list(read_results(find_sources([str(tmp_path / name)]), print))

    return results


def test_the_figure_is_the_median_of_the_processes_and_the_interval_is_between_them(read):
    found = read(log_text([20.0, 10.0, 11.0]))
    assert [result.row["itl"] for result in found] == [20.0, 10.0, 11.0]
    (one,) = joined(found)
    assert (one.row["itl"], one.row["thp"]) == (pytest.approx(11.0, abs=1e-4), pytest.approx(4000 / 11, abs=0.01))
    said = one.row["statistics"]
    assert (said["n"], said["stable"], said["reason"].partition(":")[0]) == (3, False, "processes")
    assert (said["p50"], said["interval"]) == (pytest.approx(11.0, abs=1e-4), pytest.approx([10.0, 20.0], abs=1e-4))
    assert [median / 1e6 for median in one.medians] == pytest.approx([20.0, 10.0, 11.0])
    assert list(joined([one])) == [one]


def test_one_process_in_doubt_is_a_doubt_of_the_figure(read):
    (sure,) = joined(read(log_text([10.0, 10.1, 10.2])))
    (unsure,) = joined(read(log_text([10.0, 10.1, 10.2], repetitions=3)))
    assert (sure.row["statistics"]["reason"], sure.row["statistics"]["stable"]) == (None, True)
    assert unsure.row["statistics"]["reason"].partition(":")[0] == "few"


def test_shapes_are_kept_apart_and_a_result_that_is_missing_does_not_hide_the_others(read):
    found = read(log_text([10.0, 11.0, 12.0]) + log_text([10.0, 11.0, 12.0], size=64).partition("\n")[2])
    assert [result.row["input"] for result in joined(found)] == [128, 64]
    assert [result.row["input"] for result in joined(found[1:])] == [64, 128]


def test_the_published_page_has_one_figure_a_shape(tmp_path):
    add(tmp_path, "run", log_text([20.0, 10.0, 11.0]))
    assert published_main([str(tmp_path)]) == 0
    (line,) = rows(tmp_path, ": latency,")
    assert (line["batch 4"], line["in doubt"]) == ("11 ± 5\\*", "processes: batch 4")
    (line,) = rows(tmp_path, ": throughput,")
    assert line["batch 4"].startswith("360 ± ")
    assert "1 run, 1 shapes: 1 in doubt, 0 failed" in (tmp_path / "README.md").read_text()


def test_a_plot_has_one_point_a_shape_and_its_repetitions_are_those_of_a_process(read):
    (point,), _ = points_of(read(log_text([20.0, 10.0, 11.0])))
    assert (point.itl, point.sure, len(point.result.durations)) == (pytest.approx(11.0, abs=1e-4), False, 6)
    assert point.interval == pytest.approx((10.0, 20.0), abs=1e-4)


def told(capsys, tmp_path, base, new):
    for name, text in (("a", base), ("b", new)):
        (tmp_path / f"{name}.log").write_text(text)
    assert compare_main([*(str(tmp_path / f"{name}.log") for name in "ab"), "--format", "json"]) == 0
    printed = capsys.readouterr()
    (comparison,) = json.loads(printed.out)["comparisons"]
    return comparison["shapes"][0], printed.err


def test_processes_are_compared_where_repetitions_would_find_a_difference_that_is_none(capsys, tmp_path):
    slow_last, fast_last = [10.0, 10.1, 13.0, 10.2, 13.1], [13.0, 10.1, 13.1, 10.0, 10.2]
    shape, said = told(capsys, tmp_path, log_text(slow_last, 50), log_text(fast_last, 50))
    assert (shape["ratio"], shape["verdict"]) == (pytest.approx(1.0), "no significant difference")
    assert (shape["base"]["n"], shape["base"]["itl"], said) == (5, pytest.approx(10.2, abs=1e-4), "")


def test_a_difference_between_processes_is_found(capsys, tmp_path):
    base, new = [10.0, 10.1, 10.2, 10.3, 10.4], [12.0, 12.1, 12.2, 12.3, 12.4]
    shape, _ = told(capsys, tmp_path, log_text(base), log_text(new))
    assert (shape["ratio"], shape["verdict"]) == (pytest.approx(12.2 / 10.2), "regression")


def test_one_process_is_one_sample(capsys, tmp_path):
    alone = log_text([20.0], 50).rpartition("FMWORK PROC")[0]
    shape, _ = told(capsys, tmp_path, alone, log_text([10.0, 10.1, 10.2]))
    assert (shape["base"]["n"], shape["verdict"]) == (1, "no significant difference")
    assert shape["reason"] == "1 and 3 processes are too few to tell"


def test_gauges_have_the_figure_of_the_shape_and_nothing_of_one_process(process_text, tmp_path):
    (tmp_path / "run.log").write_text(log_text([20.0, 10.0, 11.0]))
    out, err = process_text("--path", tmp_path / "run.log", "--format", "openmetrics")
    (latency,) = [line for line in out.splitlines() if line.startswith("fmbench_latency_seconds{")]
    assert latency.rpartition(" ")[2].startswith("0.0110")
    assert "fmbench_latency_p90_seconds" not in out
    assert err == ""


@pytest.fixture
def process_text(capsys):
    from fmbench.process.cli import main

    def run(*arguments):
        assert main([str(argument) for argument in arguments]) == 0
        return capsys.readouterr()

    return run
