"""Whether other work had the CPUs."""

import os
from pathlib import Path

import pytest

from fmbench import counters


def fake_tasks(folder: Path, *waited: int) -> Path:
    """Write what the kernel says of threads that waited so many nanoseconds."""
    for number, nanoseconds in enumerate(waited):
        (folder / str(number)).mkdir()
        (folder / str(number) / "schedstat").write_text(f"900000000 {nanoseconds} 77\n")
    return folder


def test_the_time_in_line_is_that_of_all_threads(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(counters, "TASKS", fake_tasks(tmp_path, 5, 70, 1000))
    assert counters.waited() == 1075


def test_a_kernel_that_does_not_count(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(counters, "TASKS", tmp_path / "missing")
    assert counters.waited() is None
    monkeypatch.setattr(counters, "TASKS", fake_tasks(tmp_path, 0))
    (tmp_path / "0" / "schedstat").write_text("0 0 0\n")
    assert counters.waited() is None


def test_a_thread_that_ends_meanwhile_is_left_out(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(counters, "TASKS", fake_tasks(tmp_path, 5, 70))
    (tmp_path / "1" / "schedstat").unlink()
    (tmp_path / "1" / "schedstat").symlink_to(tmp_path / "gone")
    assert counters.waited() == 5


@pytest.mark.parametrize(
    ("start", "end", "seconds", "expected"),
    [
        (0, 3_000_000_000, 2.0, 1.5),
        (5_000_000, 4_000_000, 1.0, 0.0),  # a thread ended, and its time with it
        (0, 50_000_000, 0.01, 0.5),  # too short: as if it were a tenth of a second
        (None, 1, 1.0, None),
        (1, None, 1.0, None),
    ],
)
def test_threads_in_line(start: int | None, end: int | None, seconds: float, expected: float | None) -> None:
    assert counters.waiting_threads(start, end, seconds) == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads cannot be put on one CPU here")
def test_a_thread_that_shares_its_cpu_waits_for_it() -> None:
    """Two that compute on one CPU: whatever else the machine does, one of them waits."""
    if counters.waited() is None:
        pytest.skip("the kernel does not say it")
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    child = os.fork()
    try:
        if not child:
            while True:
                pass
        before = counters.waited()
        for number in range(3_000_000):
            number * number
        assert counters.waited() > before
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.sched_setaffinity(0, allowed)
