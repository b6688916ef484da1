"""Whether other work had the CPUs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fmbench import counters
from fmbench.counters import CpuTime

ROOT = Path(__file__).resolve().parents[1]
# In a process of its own: it is kept on one CPU.
SHARES = """
import os, subprocess, sys
from fmbench import counters
from tests.programs import until_it_computes
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
try:
    until_it_computes(other)
    before = counters.cpu_time()
    for number in range(3_000_000):
        number * number
    assert counters.cpu_time().in_line > before.in_line
finally:
    other.kill()
"""


def fake_tasks(folder: Path, *waited: int) -> Path:
    """Write what the kernel says of threads that waited so many nanoseconds, and ran for 0.9 seconds each."""
    for number, nanoseconds in enumerate(waited):
        (folder / str(number)).mkdir()
        (folder / str(number) / "schedstat").write_text(f"900000000 {nanoseconds} 77\n")
    return folder


def test_the_time_in_line_is_that_of_all_threads(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(counters, "TASKS", fake_tasks(tmp_path, 5, 70, 1000))
    assert counters.cpu_time() == CpuTime(2_700_000_000, 1075)


def test_a_kernel_that_does_not_count(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(counters, "TASKS", tmp_path / "missing")
    assert counters.cpu_time() is None
    monkeypatch.setattr(counters, "TASKS", fake_tasks(tmp_path, 0))
    (tmp_path / "0" / "schedstat").write_text("0 0 0\n")
    assert counters.cpu_time() is None


def test_a_thread_that_ends_meanwhile_is_left_out(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(counters, "TASKS", fake_tasks(tmp_path, 5, 70))
    (tmp_path / "1" / "schedstat").unlink()
    (tmp_path / "1" / "schedstat").symlink_to(tmp_path / "gone")
    assert counters.cpu_time() == CpuTime(900_000_000, 5)


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
    """Two threads that run all the time."""
    ran = round(seconds * 2e9)
    readings = [None if at is None else CpuTime(at_cpu, at) for at_cpu, at in ((0, start), (ran, end))]
    assert counters.waiting_threads(*readings, seconds) == expected


@pytest.mark.parametrize(
    ("start", "end", "seconds", "expected"),
    [
        (CpuTime(0, 0), CpuTime(1_900_000_000, 100_000_000), 1.0, 0.05),
        (CpuTime(5, 7), CpuTime(1_900_000_005, 100_000_007), 1.0, 0.05),
        (CpuTime(0, 0), CpuTime(10_000_000, 10_000_000), 1.0, 0.01),  # a device computes: half of little is little
        (CpuTime(0, 0), CpuTime(4_000_000, 4_000_000), 0.01, 0.004),  # too short: as if it were a second
        (CpuTime(9, 9), CpuTime(8, 8), 1.0, 0.0),  # a thread ended, and its time with it
        (None, CpuTime(8, 8), 1.0, None),
        (CpuTime(8, 8), None, 1.0, None),
    ],
)
def test_the_share_of_the_time_in_line(
    start: CpuTime | None, end: CpuTime | None, seconds: float, expected: float | None
) -> None:
    assert counters.share_in_line(start, end, seconds) == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads cannot be put on one CPU here")
def test_a_thread_that_shares_its_cpu_waits_for_it() -> None:
    """Two that compute on one CPU: whatever else the machine does, one of them waits."""
    if counters.cpu_time() is None:
        pytest.skip("the kernel does not say it")
    ended = subprocess.run([sys.executable, "-c", SHARES], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
