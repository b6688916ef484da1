"""The search for the largest rate within an SLO, on a queue whose limit is known."""

from array import array
from types import SimpleNamespace

import numpy as np
import pytest

from fmbench.drivers.load import work
from fmbench.drivers.load.arguments import parse
from fmbench.drivers.load.endpoint import Endpoint
from fmbench.drivers.load.figures import share_interval
from fmbench.drivers.load.payload import Payload
from fmbench.drivers.load.records import Records
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
        return Probe.of(rate, values, np.zeros(len(values)), said, Goal(bound, 0.001, 950))

    return probe


def test_it_finds_the_limit_of_a_known_queue_within_five_per_cent():
    bound = float(np.quantile(waits(LIMIT, 3000, np.random.default_rng(99)), 0.99))
    found = [search(probe_of(seed, bound), Goal(bound, 0.001, 950)) for seed in range(20)]
    assert sum(abs(one.rate / LIMIT - 1) <= 0.05 for one in found) >= 19
    assert sum(one.interval[0] <= LIMIT <= one.interval[1] for one in found) >= 14
    assert max(len(one.probes) for one in found) <= 16


def test_errors_bound_the_rate_as_well_as_the_latency():
    def probe(rate):
        return Probe(rate, 1000, 0 if rate <= 300 else 200, 1.0, 5.0, 4.9, 5.1, 0.0 if rate <= 300 else 0.2, 0)

    limit = search(probe, Goal(100.0, 0.001, 1000))
    assert limit.rate == pytest.approx(300, rel=0.05) and limit.rate <= 300


def test_no_rate_is_kept_beyond_the_capacity_however_short_a_run_is():
    limit = search(lambda rate: Probe(rate, 1000, 0, 1.0, 5.0, 4.9, 5.1, 0.0, 0), Goal(100.0, 0.001, 200))
    assert 190 <= limit.rate < 200 and limit.interval[1] <= 200


def test_a_service_that_never_keeps_it_has_no_limit():
    limit = search(lambda rate: Probe(rate, 1000, 1000, 1.0, 200.0, 190.0, 210.0, 0.0, 0), Goal(100.0, 0.001, 100))
    assert (limit.rate, limit.interval) == (None, None)


def spoilt(every):
    """A service that keeps it up to 196 a second, and a client that is on time in one of `every` runs above."""
    count = 0

    def probe(rate):
        nonlocal count
        count += rate > 40
        kept = rate <= 196 and (rate <= 40 or count % every == 0)
        p99 = 50.0 if kept else 300.0
        lagged = 0 if kept or (rate > 196 and count % every == 0) else 500
        return Probe(rate, 3000, 0 if kept else 900, 1.0, p99, p99 - 1, p99 + 1, 0.0, lagged)

    return search(probe, Goal(100.0, 0.001, 400))


def test_what_our_own_lateness_spoils_is_tried_again_and_never_counts_as_lost():
    limit = spoilt(every=2)
    assert all(one.rate > 196 or one.keeps(Goal(100.0, 0.001, 400)) or one.lagged for one in limit.probes)
    assert limit.rate <= 196 and (limit.bound, limit.ended) in (
        (None, "known"),
        ("at least", "probes"),
        (None, "probes"),
    )


def test_a_client_that_is_always_late_knows_no_limit():
    limit = spoilt(every=10**6)
    assert (limit.rate, limit.interval, limit.bound, limit.ended) == (None, None, None, "late")
    assert len(limit.probes) == 3


def test_what_contradicts_itself_is_a_bound_and_no_interval():
    outcomes = iter([True, False] * 8)

    def probe(rate):
        kept = next(outcomes)
        return Probe(rate, 3000, 0, 1.0, 90.0 if kept else 110.0, 50.0, 150.0, 0.0, 0)

    limit = search(probe, Goal(100.0, 0.001, 1000))
    kept = [one.rate for one in limit.probes if one.p99 < 100]
    assert (limit.interval, limit.ended) == (None, "probes") and limit.rate in (None, *kept)
    assert limit.bound == (None if limit.rate is None else "at least")


def test_the_interval_of_a_percentile_holds_it_as_often_as_it_says():
    generator = np.random.default_rng(5)
    truth = float(-np.log(0.01))
    held = 0
    for _ in range(200):
        values = generator.exponential(1, 2000)
        low, high = share_interval(values, np.sort(values), 0.99)
        held += low <= truth <= high
    assert held >= 180


def test_the_progress_says_which_probe_of_how_many_and_how_long(monkeypatch):
    shown = []
    row = (0, 0, 0, 0, 0, 0, 1_000_000, 1_000_000, 200, 0, 9)

    def sent(plan, count, tell):
        tell(3.0)
        return Records(rows=array("q", row)), None

    monkeypatch.setattr(work.processes, "run", sent)
    monkeypatch.setattr(work, "counted", lambda base: {})
    monkeypatch.setattr(work.Progress, "show", lambda self, text: shown.append(text))
    words = ["--url", "http://x", "--model_name", "m", "--tokens", "8", "--scenario", "slo", "--slo", "1s"]
    arguments = parse([*words, "--warmup", "0"])
    run = SimpleNamespace(log=SimpleNamespace(write=lambda line: None))
    endpoint = Endpoint(base="http://x", api="tei", model="m")
    work.Work(arguments, endpoint, {1: Payload([["a"]], [b"{}"])}, 2, run, None).find_limit(1)
    assert shown[0] == "offline 64 clients: 3 of 5 s"
    assert shown[1] == "probe 1 of 16 at most: open 600/s: 3 of 10 s" and shown[2].startswith("probe 2 of 16")
