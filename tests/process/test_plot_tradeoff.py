"""Pictures of one figure against another: a point a result, with its interval; a front where none is beaten."""

import pytest

from fmbench import lines
from fmbench.process.plots import canvas
from fmbench.process.plots.tradeoff import choice_speed, fidelity_speed, front_of, kept_speed, quality_speed
from fmbench.process.reading.results import read_results
from fmbench.process.reading.sources import find_sources

from .conftest import GOLDEN
from .test_distillation import STUDENT
from .test_fidelity import BF16, FACTS, FP32


@pytest.fixture
def results(tmp_path):
    def read(*said):
        (tmp_path / "x.log").write_text(
            "".join(f"{line.format()}\n" for line in (lines.JsonLine("LOG", {"format": 1}), *said))
        )
        return list(read_results(find_sources([str(tmp_path)]), print))

    return read


def bars(axes):
    """The ends of every bar, those across first."""
    return [[segment.tolist() for segment in one.get_segments()] for one in axes.collections]


def test_students_with_their_front(results):
    slow = {"query_model": "slow", "kept": {"ndcg_cut_10": {"share": 0.9, "interval": [0.8, 0.95], "p": 0.01}},
            "pair": {**STUDENT["pair"], "b": "slow", "ratio": 0.5, "interval": None}}  # fmt: skip
    with canvas.look():
        made = kept_speed(results(lines.JsonLine("DST", STUDENT), lines.JsonLine("DST", {**STUDENT, **slow})))
    (axes,) = made.axes
    assert [text.get_text() for text in made.legends[0].get_texts()] == ["lookup, scifact", "slow, scifact"]
    fast = bars(axes)[:2]
    assert fast[0][0] == pytest.approx([pytest.approx([1 / 0.011, 0.992]), pytest.approx([1 / 0.009, 0.992])])
    assert fast[1][0] == [pytest.approx([100, 0.96]), pytest.approx([100, 1.03])]
    assert axes.lines[-1].get_xdata().tolist() == [pytest.approx(100)]  # the other is beaten in both


def test_the_front_is_what_no_other_beats():
    assert front_of([(1, 9), (2, 5), (3, 5), (3, 4), (4, 1), (2, 8)]) == [(4, 1), (3, 5), (2, 8), (1, 9)]


def test_variants_on_both_scales(results):
    with canvas.look():
        made = fidelity_speed(results(*FACTS, lines.JsonLine("FID", FP32), lines.JsonLine("FID", BF16)))
    cosine, overlap = made.axes
    assert [one.get_ylabel() for one in (cosine, overlap)] == [
        "least cosine with the reference", "share of the top 10 that stays",
    ]  # fmt: skip
    assert bars(cosine)[2][0] == [pytest.approx([1.9, 0.99992]), pytest.approx([2.1, 0.99992])]
    assert len(made.legends[0].get_texts()) == 2  # the third could not be set up


def test_every_candidate_has_a_place_and_what_it_keeps_has_its_interval():
    log = find_sources([str(GOLDEN.parent / "golden-choice" / "format-1.log")])
    found = [one for one in read_results(log, print) if one.row["workload"] == "choice"]
    with canvas.look():
        made = choice_speed(found, "bulk")
    cosine, kept = made.axes
    assert (cosine.get_ylabel(), kept.get_ylabel()) == (
        "mean cosine with the reference", "share of nDCG@10 that is kept",
    )  # fmt: skip
    said = [one.row["choice"]["ndcg_share_interval"] for one in found if one.row["choice"]["profile"] == "bulk"]
    ends = [interval for interval in said if interval and interval[0] < interval[1]]  # of the reference nothing is open
    drawn = [[low[1], high[1]] for ((low, high),) in bars(kept) if low[1] < high[1]]
    assert ends and drawn == [pytest.approx(one) for one in ends]


def test_no_two_of_many_look_alike():
    looks = [canvas.style(number) for number in range(49)]
    assert len({(one["color"], one["marker"]) for one in looks}) == 49


def test_what_no_result_has_is_no_panel():
    with canvas.look():
        made = quality_speed(
            list(read_results(find_sources([str(GOLDEN.parent / "golden-retrieval" / "format-1.log")]), print))
        )
    assert [one.get_xlabel() for one in made.axes] == ["queries encoded a second"]  # documents came from the cache
    assert quality_speed([]) == "no result has nDCG@10 and documents encoded a second"
