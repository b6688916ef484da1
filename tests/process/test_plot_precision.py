"""The precision curve is drawn with its ceiling, interval and depth."""

import numpy as np
from matplotlib.colors import to_hex

from fmbench.process.plots import canvas
from fmbench.process.plots.precision_at_k import precision
from fmbench.process.reading.row import Result
from fmbench.ranking.precision_curve import precision_curve


def result(model: str, hits: int, questions: int = 20) -> Result:
    """A result: `hits` of the questions find their one document first, the others never."""
    retrieved = [["right", "x", "y", "z"] if number < hits else list("wxyz") for number in range(questions)]
    curve = precision_curve(retrieved, [{"right"}] * questions, (1, 2, 4))
    return result_of(model, {"precision_curve": curve.row()})


def result_of(model: str, quality: dict) -> Result:
    return Result({"model": model, "retrieval": {"dataset": "scifact", "quality": quality}}, "x.log")


def test_each_curve_lies_under_its_ceiling_in_the_same_colour():
    with canvas.look():
        made = precision([result("org/a", 10), result_of("b", {"metrics": {}}), result("org/c", 5)])
    (axes,) = made.axes
    lines = [line for line in axes.lines if line.get_xdata().tolist() == [1, 2, 4]]
    assert [line.get_ydata().tolist() for line in lines] == [
        [0.5, 0.25, 0.125],
        [1, 0.5, 0.25],
        [0.25, 0.125, 0.0625],
        [1, 0.5, 0.25],
    ]
    colours = [to_hex(line.get_color()) for line in lines]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    assert [line.get_linestyle() for line in lines] == ["-", "--", "-", "--"]
    assert [text.get_text() for text in made.legends[0].get_texts()] == [
        "org/a, scifact (to depth 4)",
        "org/c, scifact (to depth 4)",
    ]
    assert len(axes.collections) == 2  # the bands
    assert axes.collections[0].get_paths()[0].contains_point((1, 0.5))
    assert np.isclose(axes.get_ylim()[0], 0)
    assert "ceiling, a perfect retriever" in axes.get_title("right")


def test_one_question_has_no_band(tmp_path):
    with canvas.look():
        made = precision([result("org/a", 1, questions=1)])
        paths = canvas.save(made, tmp_path, "precision")
    assert not made.axes[0].collections
    assert all(path.stat().st_size > 1000 for path in paths)


def test_without_a_curve_there_is_no_plot():
    assert precision([result_of("a", {"metrics": {}})]) == "no result has a precision curve"
