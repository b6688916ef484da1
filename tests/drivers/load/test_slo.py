"""The search for the largest rate within an SLO, on a queue whose limit is known."""

import numpy as np
import pytest

from fmbench.drivers.load.figures import share_interval
from fmbench.drivers.load.slo import Goal, Probe, search

SERVICE, LIMIT = 0.001, 600.0  # seconds a request, and the rate at which p99 is the SLO


def waits(rate, seconds, generator):
    """Milliseconds in an M/D/1 queue, a request an entry (Lindley, 1952)."""
    arrivals = generator.exponential(1 / rate, int(rate * seconds)).cumsum()
    served = np.arange(len(arrivals)) * SERVICE
    return (np.maximum.accumulate(arrivals - served) + served + SERVICE - arrivals) * 1e3


def probe_of(seed, bound, seconds=20):
    generator = np.random.default_rng(seed)

    def probe(rate):
        values = waits(rate, seconds, generator)
        said = {"requests": len(values), "unsent": 0, "failed": 0}
        said["latency_ms"] = {"p99": float(np.quantile(values, 0.99))}
        said["intervals"] = {"p99": share_interval(values, np.sort(values), 0.99)}
        return Probe.of(rate, values, said, Goal(bound, 0.001, 950))

    return probe


def test_it_finds_the_limit_of_a_known_queue_within_five_per_cent():
    bound = float(np.quantile(waits(LIMIT, 3000, np.random.default_rng(99)), 0.99))
    found = [search(probe_of(seed, bound), Goal(bound, 0.001, 950)) for seed in range(20)]
    assert sum(abs(one.rate / LIMIT - 1) <= 0.05 for one in found) >= 19
    assert sum(one.interval[0] <= LIMIT <= one.interval[1] for one in found) >= 14
    assert max(len(one.probes) for one in found) <= 16


def test_errors_bound_the_rate_as_well_as_the_latency():
    def probe(rate):
        return Probe(rate, 1000, 0 if rate <= 300 else 200, 1.0, 5.0, 4.9, 5.1, 0.0 if rate <= 300 else 0.2)

    limit = search(probe, Goal(100.0, 0.001, 1000))
    assert limit.rate == pytest.approx(300, rel=0.05) and limit.rate <= 300


def test_no_rate_is_kept_beyond_the_capacity_however_short_a_run_is():
    limit = search(lambda rate: Probe(rate, 1000, 0, 1.0, 5.0, 4.9, 5.1, 0.0), Goal(100.0, 0.001, 200))
    assert 190 <= limit.rate < 200 and limit.interval[1] <= 200


def test_a_service_that_never_keeps_it_has_no_limit():
    limit = search(lambda rate: Probe(rate, 1000, 1000, 1.0, 200.0, 190.0, 210.0, 0.0), Goal(100.0, 0.001, 100))
    assert (limit.rate, limit.interval) == (None, None)


def test_the_interval_of_a_percentile_holds_it_as_often_as_it_says():
    generator = np.random.default_rng(5)
    truth = float(-np.log(0.01))
    held = 0
    for _ in range(200):
        values = generator.exponential(1, 2000)
        low, high = share_interval(values, np.sort(values), 0.99)
        held += low <= truth <= high
    assert held >= 180
