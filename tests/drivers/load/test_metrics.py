"""What a service counted itself, before and after a run."""

from fmbench.counters import Counter
from fmbench.drivers.load.metrics import counted, joules, means, number_in

from .conftest import ask

VLLM = """\
# TYPE vllm:request_queue_time_seconds histogram
vllm:request_queue_time_seconds_bucket{le="0.3",model_name="m"} 9.0
vllm:request_queue_time_seconds_sum{model_name="m"} 1.5
vllm:request_queue_time_seconds_count{model_name="m"} 10.0
"""


def test_parts_are_means_of_what_was_counted_between(monkeypatch):
    texts = iter([VLLM, VLLM.replace("1.5", "2.5").replace("10.0", "30.0")])
    monkeypatch.setattr("fmbench.drivers.load.metrics.ask", lambda url: (200, next(texts).encode()))
    before, after = counted("http://x"), counted("http://x")
    assert means(before, after, 20) == {"queue": 50.0}
    assert means(before, after, 19) is None  # somebody else asked as well
    assert means({}, {}, 20) is None


def test_the_energy_of_a_run_is_the_difference(monkeypatch):
    texts = iter(["fmbench_joules_total 100.5\n", "fmbench_joules_total 130.5\n", ""])
    monkeypatch.setattr("fmbench.drivers.load.metrics.ask", lambda url: (200, next(texts).encode()))
    before, after, without = (counted("http://x") for _ in range(3))
    assert joules(before, after, 2.0) == Counter(30.0, "service", None)
    assert joules(before, without, 2.0) == Counter(None, "service", None)
    assert "went back" in joules(after, before, 2.0).reason  # the service was started again
    assert joules(before, before, 2.0) == Counter(None, "service", "the counter did not move in 2.00 s")


def test_our_own_server_is_read_as_well(null):
    before = counted(null)
    for _ in range(3):
        ask(f"{null}/v1/embeddings", {"input": "a"})
    found = means(before, counted(null), 3)
    assert (
        found.keys() == {"tokenization", "queue", "inference", "total"}
        and 0 < found["inference"] < found["total"] < 1000
    )


def test_what_counts_nothing_is_nothing(monkeypatch):
    assert [number_in(text) for text in (None, "nan", "inf", "-3", "1e+-", "1e300", "2.5")] == [0] * 6 + [2.5]
    monkeypatch.setattr("fmbench.drivers.load.metrics.ask", lambda url: (200, b"te_request_duration_sum 1e+-\n"))
    assert counted("http://x") == {("total", "sum"): 0.0}
