"""How far the CPUs are from each other: a real reading, and what is said where there is none."""

import os
import threading

import pytest

from fmbench import counters

pytestmark = pytest.mark.usefixtures("patient")
SEVERAL = hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) > 1


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a thread waits for its CPU, no round is left out."""
    monkeypatch.setattr(counters, "PATIENCE", 300.0)


@pytest.mark.skipif(not SEVERAL, reason="one CPU")
def test_a_reading_leaves_affinity_and_threads_as_they_were() -> None:
    usable, threads = os.sched_getaffinity(0), threading.active_count()
    found = counters.handover()
    assert found is not None and found > 0
    assert (os.sched_getaffinity(0), threading.active_count()) == (usable, threads)


@pytest.mark.skipif(not SEVERAL, reason="one CPU")
def test_it_is_the_least_of_what_was_read_a_cache_line(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([9_000, 8_192, *[20_000] * 18])
    monkeypatch.setattr(counters, "search", lambda memory: next(readings))
    assert counters.handover() == 2.0  # 4,096 lines


@pytest.mark.skipif(not SEVERAL, reason="one CPU")
def test_what_is_read_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    def search(memory) -> int:
        seen.append(memory.raw)
        return 1

    monkeypatch.setattr(counters, "search", search)
    counters.handover()
    assert set(seen) == {bytes([counters.WRITTEN]) * counters.BYTES} and len(seen) == counters.ROUNDS


def test_one_cpu_has_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3}, raising=False)
    assert counters.handover() is None


@pytest.mark.skipif(not SEVERAL, reason="one CPU")
def test_a_sandbox_without_affinity_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(process, cpus) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    assert counters.handover() is None
