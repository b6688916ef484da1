"""One decision on the tokens of a batch: what is raced with it is judged with it, and the log says so."""

import itertools

import pytest

from fmbench.encoder import compute
from fmbench.encoder.budget import MEASURED, Budget

from .test_choose import FASTER, last, of

RACE = ("--platforms", "noisy", "--platform:pace", "10", "--threads", "1", "--vs", FASTER, "--budget", "200s")


@pytest.fixture
def measured(monkeypatch):
    """What was measured of batches, of passages or queries: every time another number is the best."""
    found, best = [], itertools.cycle((64, 128, 256))

    def measure(key, default, passes):
        found.append(next(best))
        return Budget(found[-1], MEASURED)

    monkeypatch.setattr(compute, "measured_once", measure)
    return found


def test_batches_are_measured_once_a_candidate_and_judged_as_they_raced(choose, measured):
    code, written, _, err = choose(*RACE)
    assert code == 0, err
    raced = {one["name"]: one["tokens_per_batch"] for one in last(written, "bulk")["candidates"]}
    judged = {one["variant"]: one["tokens_per_batch"] for one in of(written, "FID")}
    assert judged == raced and list(raced.values()) == [128, 64] and measured == [64, 128]
    assert all(f"--tokens_per_batch {raced[one['name']]} " in one["command"]
               for one in last(written, "bulk")["candidates"])  # fmt: skip


def test_vectors_that_are_kept_of_other_batches_are_not_taken(choose, measured, tmp_path):
    of_logs = []
    for number in range(2):
        code, written, _, err = choose(*RACE, "--profile", "bulk", log=tmp_path / f"{number}.log")
        assert code == 0, err
        of_logs.append({one["variant"]: one["tokens_per_batch"] for one in of(written, "FID")})
    assert [sorted(found.values()) for found in of_logs] == [[64, 128], [64, 256]], measured


def test_the_count_of_judged_passages_reaches_its_end(choose):
    code, _, _, err = choose(*RACE, "--tokens_per_batch", "64", "--profile", "bulk")
    assert code == 0 and "judges noisy float32: 60 of 60 passages (" in err, err
