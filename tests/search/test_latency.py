import gc

import numpy as np
import pytest

from fmbench.clock import FakeClock
from fmbench.search import measure_latency


def test_each_query_is_searched_alone_after_the_warm_up():
    seen = []

    def search(query):
        assert not gc.isenabled()
        seen.append(query.tolist())

    times = [0, 1_000_000, 5_000_000, 8_000_000]
    latency = measure_latency(search, np.array([[1.0, 2.0], [3.0, 4.0]]), FakeClock(times))
    assert seen == [[[1, 2]], [[3, 4]], [[1, 2]], [[1, 2]], [[3, 4]]]
    assert latency.durations == (1_000_000, 3_000_000)
    assert latency.facts() == {
        "latency_queries": 2,
        "latency_p50_ms": 2.0,
        "latency_p95_ms": pytest.approx(2.9),
        "latency_p99_ms": pytest.approx(2.98),
    }
    assert gc.isenabled()


def test_no_queries():
    with pytest.raises(ValueError, match="no queries"):
        measure_latency(print, [])
