"""A shape that is far beyond the roofline is in doubt when its log is read, too."""

from array import array

import pytest

from fmbench.process.reading.shape import Shape


@pytest.mark.parametrize(("share", "reason"), [(1.2, None), (2294.7, "impossible: 2,295 times the limit of bandwidth")])
def test_what_stat_says_of_the_roofline_decides(share: float, reason: str | None) -> None:
    shape = Shape(durations=array("q", [1000] * 20), statistics={"roofline_share": share, "bound": "bandwidth"})
    found = shape.summary()
    assert found is not None and found.stable is (reason is None)
    assert reason is None or str(found.reason).startswith(reason)
