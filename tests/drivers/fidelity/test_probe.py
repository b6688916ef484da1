"""What a stranger's probe yields is looked at before it is kept, and what is wrong names the probe."""

import numpy as np
import pytest
import torch

from fmbench.drivers.fidelity.probe import Probe, outputs
from fmbench.plugins import BrokenPluginError


class Yielding(Probe):
    """Yields what it is given."""

    name, summary = "yielding", "for tests"

    def __init__(self, *found: object) -> None:
        self.found = found

    def run(self, context):
        yield from self.found


GOOD = [("x", torch.ones(2)), ("r", {"q": {"d": 1.0, "e": float("-inf")}}), ("r", {}), ("nan", torch.tensor([np.nan]))]


def test_tensors_and_rankings_are_passed_on() -> None:
    assert list(outputs(Yielding(*GOOD), None)) == GOOD


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (torch.ones(2), "a probe yields pairs of a name and a tensor or ranking, not tensor"),
        (torch.ones(2, 2), "a probe yields pairs"),
        ((5, torch.ones(2)), "a probe yields pairs"),
        (("x", [1, 2]), "x: is a tensor or a ranking, not list"),
        (("x", None), "x: is a tensor or a ranking, not NoneType"),
        (("x", np.ones(2)), "x: is a tensor or a ranking, not ndarray"),
        (("r", {"q": {"d": float("nan")}}), "r: a ranking is query id -> document id -> score, a number; NaN is none"),
        (("r", {"q": {"d": "high"}}), "r: a ranking is"),
        (("r", {"q": 1.0}), "r: a ranking is"),
    ],
)
def test_what_is_no_output_names_the_probe(found: object, said: str) -> None:
    with pytest.raises(BrokenPluginError, match=f"^--probes yielding: TypeError: {said}"):
        list(outputs(Yielding(GOOD[0], found), None))


def test_a_probe_that_yields_nothing_is_said(capsys) -> None:
    assert list(outputs(Yielding(), None)) == []
    assert "--probes yielding yielded nothing: the capture has nothing of it" in capsys.readouterr().err
