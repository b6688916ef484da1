from pathlib import Path

import numpy as np
import pytest

from fmbench.backends.rapl import Rapl
from fmbench.counters import NO_COUNTER, Counter, energy_spent


def test_joules_and_joules_a_sequence() -> None:
    found = energy_spent(Counter(100.0, "nvml", None), Counter(160.0, "nvml", None), seconds=2.0, sequences=30)
    assert (found["joules"], found["joules_per_sequence"], found["source"], found["reason"]) == (
        60.0,
        2.0,
        "nvml",
        None,
    )


def test_no_counter_is_null_and_the_reason() -> None:
    found = energy_spent(NO_COUNTER, NO_COUNTER, seconds=2.0, sequences=30)
    assert (found["joules"], found["joules_per_sequence"]) == (None, None)
    assert found["reason"] == "the platform has no energy counter"


def test_a_counter_that_goes_back_is_null_and_the_reason() -> None:
    found = energy_spent(Counter(1000.0, "x", None), Counter(0.0, "x", None), seconds=2.0, sequences=30)
    assert (found["joules"], found["joules_per_sequence"]) == (None, None)
    assert found["reason"] == "the counter went back, from 1000 to 0 joules"


def test_a_window_too_short_for_the_counter_is_null() -> None:
    found = energy_spent(Counter(1.0, "rapl", None), Counter(2.0, "rapl", None), seconds=0.1, sequences=3)
    assert found["joules"] is None and "too short" in found["reason"]


def test_a_counter_that_does_not_move_counts_nothing_which_is_no_energy_of_zero() -> None:
    found = energy_spent(Counter(7.0, "rapl", None), Counter(7.0, "rapl", None), seconds=2.0, sequences=30)
    assert (found["joules"], found["joules_per_sequence"]) == (None, None)
    assert found["reason"] == "the counter did not move in 2.00 s"


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    """A folder as the kernel's: two packages, and a part of the first."""
    for name, value in (("intel-rapl:0", 1_000_000), ("intel-rapl:0:0", 999), ("intel-rapl:1", 500_000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(f"{value}\n")
        (tmp_path / name / "max_energy_range_uj").write_text("2000000\n")
    return tmp_path


def test_packages_add_up_and_their_parts_do_not(powercap: Path) -> None:
    rapl = Rapl(powercap)
    assert rapl.read().joules == 0.0
    (powercap / "intel-rapl:0" / "energy_uj").write_text("1500000")
    (powercap / "intel-rapl:1" / "energy_uj").write_text("600000")
    (powercap / "intel-rapl:0:0" / "energy_uj").write_text("88888")
    assert rapl.read() == Counter(0.6, "rapl", None)


def test_a_counter_that_wraps_around(powercap: Path) -> None:
    rapl = Rapl(powercap)
    rapl.read()
    (powercap / "intel-rapl:0" / "energy_uj").write_text("100000")
    assert rapl.read().joules == pytest.approx(1.1)


def test_an_unreadable_counter_says_so(powercap: Path, tmp_path: Path) -> None:
    (powercap / "intel-rapl:1" / "energy_uj").unlink()
    assert Rapl(powercap).read().reason == "the powercap counter is not readable (FileNotFoundError)"
    assert Rapl(tmp_path / "none").read().reason == "this machine shows no powercap counter"


def test_joules_of_numpy_are_numbers() -> None:
    found = Counter(np.float32(20.0), "acme", None)
    assert (type(found.joules), found.joules) == (float, 20.0)


def test_two_counters_are_not_subtracted_and_none_is_below_zero() -> None:
    found = Counter(14.0, "one", None).since(Counter(7.0, "other", None))
    assert (found.joules, found.reason) == (None, "it was another counter before, other")
    with pytest.raises(TypeError, match="zero or above"):
        Counter(-1000.0, "one", None)
