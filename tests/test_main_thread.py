"""What the kernel says of the main thread, given as text, and once of a real one."""

import os
import sys

import pytest

from fmbench.main_thread import MOST_HELD_UP, MainThread


@pytest.fixture
def say(tmp_path):
    """Write what /proc says of a thread."""

    def write(state: str, in_line: int) -> None:
        (tmp_path / "stat").write_text(f"7 (a) R (b) {state} 1 7 7 0 -1\n")
        (tmp_path / "schedstat").write_text(f"123456789 {in_line} 55\n")

    return write


@pytest.mark.parametrize(
    ("state", "in_line", "expected"),
    [("S", 0, 0.0), ("R", 0, 0.0), ("R", 30_000_000, 0.03), ("R", 2_000_000_000, 2.0), ("D", 0, 0.05)],
)
def test_how_long_it_could_do_nothing(say, tmp_path, state: str, in_line: int, expected: float) -> None:
    say("S", 1_000_000_000)
    main = MainThread(tmp_path)
    say(state, 1_000_000_000 + in_line)
    assert main.held_up(0.05) == pytest.approx(expected)
    say("S", 1_000_000_000 + in_line)
    assert main.held_up(0.05) == 0.0


def test_what_it_had_leaves_that_out_up_to_a_limit(say, tmp_path) -> None:
    say("D", 0)
    main = MainThread(tmp_path)
    assert [main.had(MOST_HELD_UP - 1), main.had(3.0), main.had(3.0)] == [0.0, 2.0, 3.0]


def test_where_no_kernel_says_it_nothing_holds_it_up(say, tmp_path) -> None:
    assert MainThread(tmp_path / "nowhere").held_up(0.05) == 0.0
    say("R", 5_000_000_000)
    main = MainThread(tmp_path)
    (tmp_path / "schedstat").unlink()  # it has ended
    assert main.had(0.05) == 0.05


@pytest.mark.skipif(sys.platform != "linux", reason="Linux says it")
def test_that_of_this_process_computes() -> None:
    main = MainThread.own()
    assert main._state() == "R" and main._in_line >= 0
    assert main._task.name == str(os.getpid())
