import gc

import pytest

from fmbench.measure import FakeClock
from fmbench.search import measure_latency


def test_each_query_is_answered_alone_after_the_warm_up():
    seen = []

    def answer(query):
        assert not gc.isenabled()
        seen.append(query)

    times = [0, 1_000_000, 5_000_000, 8_000_000]
    latency = measure_latency(answer, ["a", "b"], FakeClock(times))
    assert seen == ["a", "b", "a", "a", "b"]
    assert latency.durations == (1_000_000, 3_000_000)
    assert latency.percentiles() == pytest.approx({"n": 2, "p50": 2.0, "p95": 2.9, "p99": 2.98})
    assert gc.isenabled()


def test_no_queries():
    with pytest.raises(ValueError, match="no queries"):
        measure_latency(print, [])
