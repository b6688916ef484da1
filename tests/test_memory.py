import subprocess
import sys

import pytest

from fmbench import counters

PEAKS = """
from fmbench import counters
if not counters.reset_host_peak():
    print("the kernel does not reset the peak")
else:
    before = counters.host_peak()
    block = bytearray(256 * 2**20)
    block[::4096] = b"x" * len(block[::4096])
    after = counters.host_peak()
    del block
    counters.reset_host_peak()
    print(before, after, counters.host_peak())
"""


def test_the_peak_rises_with_use_and_falls_with_a_reset() -> None:
    """In a process of its own: here, an earlier test's memory may be freed at any moment."""
    done = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True, timeout=300)
    if "kernel" in done.stdout:
        pytest.skip(done.stdout.strip())
    before, after, again = map(int, done.stdout.split())
    assert after - before > 200 * 2**20
    assert again < after - 200 * 2**20


def test_fields() -> None:
    text = "MemTotal:  100 kB\nMemAvailable:   42 kB\n"
    assert counters.field_bytes(text, "MemAvailable") == 42 * 1024
    assert counters.field_bytes(text, "SwapTotal") is None


def test_a_kernel_without_the_counter(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(counters, "CLEAR", tmp_path / "absent" / "clear_refs")
    monkeypatch.setattr(counters, "STATUS", str(tmp_path / "absent"))
    assert counters.reset_host_peak() is False
    assert counters.host_peak() is None


MEMINFO = "MemAvailable: 4000 kB\n"


@pytest.mark.parametrize(
    ("left", "address_space", "available"),
    [(None, None, 4_096_000), (3_000_000, None, 3_000_000), (5_000_000, 1_000, 1_000), (0, None, 0)],
)
def test_what_can_be_had_is_the_least_of_machine_group_and_address_space(
    left: int | None, address_space: int | None, available: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "read", lambda path: MEMINFO)
    monkeypatch.setattr(counters.ControlGroups, "memory_left", lambda self: left)
    monkeypatch.setattr(counters, "address_space_left", lambda: address_space)
    assert counters.host_available() == available


def test_a_limit_of_the_address_space_counts() -> None:
    code = (
        "import resource; from fmbench import counters; before = counters.address_space_left();"
        "resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33)); print(before, counters.address_space_left())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    before, after = done.stdout.split()
    assert before == "None" or int(before) > int(after)
    assert 2**32 < int(after) < 2**33
