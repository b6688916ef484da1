"""Index drift and search drift told apart."""

import pytest

from fmbench.collection.qrels import Qrels
from fmbench.drivers.fidelity.drift import swap_drifts

from .conftest import TEN, ranked

QUERIES = [f"q{number}" for number in range(271)]
QRELS = Qrels({name: {"d8": 1.0} for name in QUERIES})
OWN = ranked(dict.fromkeys(QUERIES, TEN))
TENTH = [*TEN[:8], "d9", "d8"]
REPLACED = [*TEN[:8], "new", "d9"]


def test_index_drift_and_search_drift_are_told_apart():
    """The swap search moves one query from rank 9 to 10, as in the seed; the new index loses a document of another."""
    swapped = OWN | ranked({"q0": TENTH})
    own_b = swapped | ranked({"q1": REPLACED})
    parts = swap_drifts(OWN, swapped, own_b, QRELS, 271)
    recall, mrr = zip(*(found.metrics for found in parts.values()), strict=True)
    assert list(parts) == ["both", "search", "index"]
    assert [metric.decrease for metric in mrr] == [2, 1, 1] and [metric.decrease for metric in recall] == [1, 0, 1]
    assert f"{mrr[1].change:+.2g}" == "-4.1e-05" and f"{recall[2].change:+.2g}" == "-0.0037"
    assert (parts["search"].different_ids, f"{parts['index'].different_ids:.3g}") == (0, "0.00738")
    assert mrr[0].change == pytest.approx(mrr[1].change + mrr[2].change)
