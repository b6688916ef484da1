"""What a configuration keeps of the scores of tasks: by hand, and what no share follows from."""

import numpy as np
import pytest

from fmbench.errors import UsageError
from fmbench.tasks import KeptTasks, TaskScore, compare_tasks, read_named
from fmbench.tasks.scoring import RESAMPLES, Scored, change, draws, interval, share_interval


def score(task: str, values: list[float]) -> TaskScore:
    """A task whose score is the mean over its items."""
    found = np.array(values)
    scored = Scored(len(found), lambda drawn: float(found[drawn].mean()))
    return TaskScore(task, scored.score, scored)


A = [score("x", [1, 0, 1, 1, 0, 1, 1, 0]), score("y", [0.5, 1.0, 0.5, 1.0])]
B = [score("x", [1, 0, 1, 0, 0, 1, 1, 0]), score("y", [0.5, 1.0, 0.5, 0.5])]


def test_the_share_is_the_mean_over_tasks_and_the_worst_is_named():
    found = compare_tasks(A, B, seed=3)
    assert found.share == pytest.approx((4 / 5 + 2.5 / 3) / 2)
    assert (found.worst, found.worst_share) == ("x", pytest.approx(4 / 5))
    low, high = found.interval
    assert low < found.share < high <= 1 and found.evidence == (low, high)


def test_the_interval_is_of_the_same_resamples_for_both():
    found = compare_tasks(A[1:], B[1:], seed=0)
    one, other = (np.array([0.5, 1.0, 0.5, last]) for last in (1.0, 0.5))
    shares = [other[drawn].mean() / one[drawn].mean() for drawn in draws(4, 0)]
    assert found.interval == pytest.approx(tuple(np.quantile(shares, [0.025, 0.975])))
    assert compare_tasks(A, A).interval == (1.0, 1.0)


def test_where_mteb_tells_no_items_the_share_alone_is_the_evidence():
    found = compare_tasks([TaskScore("z", 0.5)], [TaskScore("z", 0.49)])
    assert (found.interval, found.evidence) == (None, pytest.approx(0.98))


def test_of_a_score_that_is_not_above_0_nothing_is_a_share():
    assert compare_tasks([A[0], TaskScore("z", -0.1)], [B[0], TaskScore("z", 0.4)]) == KeptTasks()
    assert KeptTasks().evidence is None


def test_names_are_mtebs_and_paths_are_files(tmp_path):
    assert [task.name for task in read_named("STSBenchmark, SciFact")] == ["STSBenchmark", "SciFact"]
    with pytest.raises(UsageError, match="gone.yaml"):
        read_named("gone.yaml")
    with pytest.raises(UsageError, match="task.yaml"):
        read_named(str(tmp_path))


def test_a_resample_is_scored_once_whatever_is_asked_of_it():
    scored = []
    one, other = (Scored(4, lambda drawn: scored.append(tuple(drawn)) or 0.5) for _ in range(2))
    assert interval(one, 0) == ((0.5, 0.5), RESAMPLES)
    assert change(one, other, 0) == (0, (0, 0))
    assert share_interval([(one, other)], 0) == (1, 1)
    assert len(scored) == 2 * (RESAMPLES + 1)  # and all items of each, for the change
