"""Plots: which are drawn, what is in them, and why others are left out."""

import itertools
import struct
import subprocess
import sys
import xml.etree.ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fmbench import lines, stats
from fmbench.process.cli import main
from fmbench.process.plots.canvas import COLOURS
from fmbench.process.plots.points import latency, lines_over, points_of
from fmbench.process.reading.results import read_results
from fmbench.process.reading.sources import find_sources
from fmbench.process.workloads.speed import Speed

pytestmark = pytest.mark.slow

ALL = {
    "latency_over_batch", "latency_over_input", "throughput_over_batch", "serving_curve", "memory", "energy",
    "repetitions", "distribution", "roofline",
}  # fmt: skip

TIMES = itertools.count(10**18, 10**12)  # when runs begin, in nanoseconds


def log_text(platform="cpu", inputs=(16, 64), batches=(1, 2, 4), model="org/m", n=10, extras=True):
    """A log of a time of its own, in which every shape takes input x batch / 100 milliseconds, but for its noise."""
    began = next(TIMES)
    out = [
        lines.JsonLine("LOG", {"format": 1}),
        lines.JsonLine("ENV", {"platform": platform, "dtype": "float32", "threads": 1}),
    ]
    if extras:
        out.append(lines.JsonLine("CEIL", {"dtype": "float32", "flops_per_second": 10**12, "bytes_per_second": 10**11}))
    for batch in batches:
        for size in inputs:
            place = {"input_size": size, "batch_size": batch}
            out.append(lines.JsonLine("CASE", {**place, "reps": n}))
            millis = size * batch / 100
            durations = [int(millis * 1e6 * (5 if k == 0 else 2 if k == 7 else 1 + (k - 5.5) / 1000)) for k in range(n)]
            starts = [began + k * 10**9 for k in range(n)]
            out += [lines.Rep(k, n, t, t + d, d) for k, (t, d) in enumerate(zip(starts, durations, strict=True), 1)]
            if extras:
                out.append(
                    lines.JsonLine("MEM", {**place, "device_peak_bytes": 2**20 * size * batch, "model_bytes": 2**20})
                )
                out.append(
                    lines.JsonLine(
                        "ENERGY",
                        {**place, "joules": size / 4 * n * batch, "joules_per_sequence": size / 4, "source": "x"},
                    )
                )
            median, end = stats.median(stats.settled(durations)) / 1e6, starts[-1] + durations[-1]
            out.append(lines.Res(began, end, model, "C", size, batch, median, 1e3 * batch / median))
            if extras:
                rates = {"achieved_flops_per_second": 10**11 // batch, "attainable_flops_per_second": 10**12}
                out.append(lines.JsonLine("CEIL", {**place, "flops": size * 10**6, "bytes": 10**6, **rates}))
    return "\n".join(line.format() for line in out) + "\n"


@pytest.fixture
def results(tmp_path):
    def read(*texts):
        for number, text in enumerate(texts):
            (tmp_path / f"{number}.log").write_text(text)
        return list(read_results(find_sources([str(tmp_path)]), print))

    return read


@pytest.fixture
def drawn(results):
    """Every plot of some logs as a figure, or why there is none."""

    def draw(*texts):
        found = results(*texts)
        return {name: plot(found) for name, plot in Speed().plots().items()}

    return draw


def test_every_plot_is_written_in_both_formats_whatever_the_model_is_called(results, tmp_path, capsys):
    results(log_text(model="a/$x_{1}<b>&\\frac漢"))
    assert main(["--path", str(tmp_path), "--plots", str(tmp_path / "new" / "plots")]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    paths = sorted((tmp_path / "new" / "plots").iterdir())
    assert sorted(printed.out.splitlines()) == [str(path) for path in paths]
    assert {path.name for path in paths} == {f"{name}.{form}" for name in ALL for form in ("png", "svg")}
    for path in paths:
        if path.suffix == ".png":
            assert struct.unpack(">I", path.read_bytes()[16:20])[0] >= 800
        else:
            xml.etree.ElementTree.parse(path)  # noqa: S314 (our own file)


def test_what_cannot_be_drawn_is_said_with_its_reason(results, tmp_path, capsys):
    results(log_text(inputs=(16,), batches=(4,), extras=False))
    assert main(["--path", str(tmp_path), "--plots", str(tmp_path / "plots")]) == 0
    said = capsys.readouterr().err
    assert "note: no plot latency_over_batch: it needs two batch sizes or more\n" in said
    assert "note: no plot latency_over_input: it needs two input sizes or more\n" in said
    assert "note: no plot memory: no result has it\n" in said
    assert "note: no plot roofline: no result has it; measure with --ceiling\n" in said
    assert {path.stem for path in (tmp_path / "plots").iterdir()} == {"repetitions", "distribution"}


def test_the_reason_is_the_logs_own(drawn):
    text = log_text(extras=False).replace(
        "FMWORK RES", 'FMWORK ENERGY {"joules": null, "reason": "no meter"}\nFMWORK RES'
    )
    assert drawn(text)["energy"] == "no meter"


def test_without_results_nothing_is_drawn(results, tmp_path, capsys):
    results("nothing\n")
    assert main(["--path", str(tmp_path), "--plots", str(tmp_path / "plots")]) == 0
    assert "no plots: there are no results" in capsys.readouterr().err


def test_json_has_no_repetitions_to_draw(results, tmp_path, capsys):
    results(log_text())
    main(["--path", str(tmp_path), "--out", str(tmp_path / "x.json")])
    assert main(["--path", str(tmp_path / "x.json"), "--plots", str(tmp_path / "plots")]) == 0
    assert "note: no plot repetitions: no result has its repetitions" in capsys.readouterr().err
    assert {path.stem for path in (tmp_path / "plots").iterdir()} == ALL - {"repetitions", "distribution"}


def test_results_are_written_besides_where_asked(results, tmp_path, capsys):
    results(log_text(inputs=(16,), batches=(4, 8), extras=False))
    words = ["--path", str(tmp_path), "--plots", str(tmp_path / "plots"), "--format", "csv"]
    assert main([*words, "--out", str(tmp_path / "x.csv")]) == 0
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 3
    assert "timestamp" not in capsys.readouterr().out


def test_a_size_of_nothing_is_no_point(results, tmp_path, capsys):
    text = log_text(inputs=(16, 64, 128)).replace('"input_size": 128', '"input_size": 0').replace(" C 128 ", " C 0 ")
    results(text)
    assert main(["--path", str(tmp_path), "--plots", str(tmp_path / "plots")]) == 0
    assert capsys.readouterr().err == ""
    points, _ = points_of(results(text))
    assert {point.input for point in points} == {16, 64}


def test_a_folder_that_cannot_be_made(results, tmp_path, capsys):
    results(log_text())
    assert main(["--path", str(tmp_path), "--plots", str(tmp_path / "0.log")]) == 2
    assert capsys.readouterr().err.startswith(f"process: error: {tmp_path / '0.log'}: cannot be made")


# -- what is in them


def test_a_line_a_size_with_its_interval(results):
    points, subtitle = points_of(results(log_text()))
    found = lines_over(points, "batch", "input", latency)
    assert [(line.label, line.x) for line in found] == [("input 16", [1, 2, 4]), ("input 64", [1, 2, 4])]
    assert found[0].y == pytest.approx([0.16, 0.32, 0.64])
    assert all(
        low <= 1.01 * y and high >= 0.99 * y
        for line in found
        for low, y, high in zip(line.low, line.y, line.high, strict=True)
    )
    assert subtitle == "m, cpu, float32, 1 thread"


def test_configurations_are_told_apart(results):
    points, subtitle = points_of(results(log_text(), log_text(platform="gpu")))
    found = lines_over(points, "batch", "input", latency)
    assert [line.label for line in found] == ["cpu, input 16", "cpu, input 64", "gpu, input 16", "gpu, input 64"]
    assert [line.place for line in found] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert subtitle == "m, float32, 1 thread"


def test_a_label_says_no_more_than_it_takes(results):
    one, compiled = (
        log_text().replace('"threads": 1', f'"threads": 1, "device": "x", "compile": {compile}')
        for compile in ("false", "true")
    )
    elsewhere = log_text(platform="gpu").replace('"threads": 1', '"threads": 1, "device": "y", "compile": true')
    points, _ = points_of(results(one, compiled, elsewhere))
    assert {point.name for point in points} == {"cpu, eager", "cpu, compiled", "gpu, compiled"}


def test_a_shape_that_was_cut_off_stays_on_its_line(drawn):
    text = log_text(batches=(1, 2, 4)).replace("FMWORK ENV", "FMWORK ARG --model_name org/m\nFMWORK ENV")
    made = drawn(text.rpartition("FMWORK MEM")[0])["latency_over_batch"]
    labels = [label.get_text() for label in made.legends[0].get_texts()]
    assert labels == ["input 16", "input 64"]
    hollow = [line for line in made.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert [line.get_xdata().tolist() for line in hollow] == [[4]]


def test_of_many_lines_some_are_shown_from_the_first_to_the_last(drawn):
    made = drawn(log_text(inputs=tuple(range(1, 31)), n=6))["latency_over_batch"]
    labels = [label.get_text() for label in made.legends[0].get_texts()]
    assert (labels[0], labels[-1], len(labels)) == ("input 1", "input 30", 21)
    assert "21 of 30 lines" in made.axes[0].get_title("right")


@pytest.mark.parametrize(
    ("model", "inputs"), [("org/m", tuple(range(100, 121))), ("org/" + "long-name-" * 9, (16, 64))]
)
def test_a_legend_is_inside_of_its_plot(drawn, model, inputs):
    for name, made in drawn(log_text(model=model, inputs=inputs), log_text(platform="accelerator")).items():
        canvas = FigureCanvasAgg(made)
        canvas.draw()
        for legend in made.legends:
            box = legend.get_window_extent()
            assert box.x0 >= 0 and box.x1 <= made.bbox.width and box.y0 >= 0, name
            assert made.axes[0].get_window_extent().height > 0.25 * 100, name


def test_the_same_again_in_another_log_is_named_by_its_log(results):
    points, _ = points_of(results(log_text(), log_text()))
    assert len({point.name for point in points}) == 2
    assert all(point.name.endswith(".log") for point in points)


def test_axes_have_titles_and_units(drawn):
    for name, made in drawn(log_text()).items():
        assert isinstance(made, Figure), f"{name}: {made}"
        words = [made.get_suptitle(), made.get_supylabel()]
        words += [text for axes in made.axes for text in (axes.get_xlabel(), axes.get_ylabel())]
        assert made.get_suptitle() and any(words[1:])
        assert name == "distribution" or any(
            unit in " ".join(words) for unit in ("ms", "sequences", "MiB", "joules", "FLOP")
        )


def test_intervals_are_bands(drawn):
    made = drawn(log_text())["latency_over_batch"]
    assert len(made.axes[0].collections) == 2


def test_an_unstable_figure_is_hollow(drawn):
    made = drawn(log_text(n=3))["latency_over_batch"]
    hollow = [line for line in made.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert len(hollow) == 2 and "hollow" in made.axes[0].get_title("right")


def test_doubt_in_the_time_is_no_doubt_in_the_memory(drawn):
    made = drawn(log_text(n=3))
    assert not [line for line in made["memory"].axes[0].lines if line.get_markerfacecolor() == "white"]
    assert [line for line in made["roofline"].axes[0].lines if line.get_markerfacecolor() == "white"]
    assert "hollow" in made["roofline"].axes[0].get_title("right")


def test_no_point_lies_on_the_edge(drawn):
    axes = drawn(log_text(inputs=(16,), batches=(4, 5)) + log_text(inputs=(17,), batches=(4, 5)))["memory"].axes[0]
    assert max(max(line.get_ydata()) for line in axes.lines) < 0.97 * axes.get_ylim()[1]


def test_the_cold_start_and_the_outliers_are_marked(drawn):
    panel = drawn(log_text())["repetitions"].axes[0]
    by_label = {line.get_label(): line for line in panel.lines}
    assert by_label["outlier"].get_xdata().tolist() == [8]
    assert by_label["cold start, with its time"].get_xdata() == [1]
    assert [text.get_text() for text in panel.texts] == ["0.8000"]


def test_a_distribution_ends_at_one(drawn):
    (axes,) = drawn(log_text())["distribution"].axes
    assert all(line.get_ydata()[-1] == pytest.approx(1) for line in axes.lines)
    assert np.median(axes.lines[0].get_xdata()[1:]) == pytest.approx(1, abs=0.01)


def test_points_of_the_roofline_lie_below_it(drawn):
    (axes,) = drawn(log_text())["roofline"].axes
    roof = next(line for line in axes.lines if line.get_label().startswith("limit"))
    assert max(roof.get_ydata()) == pytest.approx(1000)
    x, y = zip(*[place for line in axes.lines if line is not roof for place in line.get_xydata()], strict=True)
    assert set(x) == {16, 64} and set(y) == {25, 50, 100}


def test_no_colour_twice_before_the_style_changes(drawn):
    made = drawn(log_text(inputs=tuple(range(1, 10))))["latency_over_batch"]
    looks = [
        (line.get_color(), line.get_linestyle())
        for line in made.axes[0].lines
        if not str(line.get_label()).startswith("_")
    ]
    assert len(set(looks)) == len(looks) == 9
    assert {colour for colour, _ in looks} == set(COLOURS)


def test_matplotlib_is_imported_for_plots_only(golden):
    code = (
        "import sys; from fmbench.process.cli import main; main(['--path', sys.argv[1]]);"
        "sys.exit(any(name in sys.modules for name in ('matplotlib', 'pandas', 'pyarrow', 'torch')))"
    )
    subprocess.run([sys.executable, "-c", code, golden], capture_output=True, check=True)
