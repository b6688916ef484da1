"""The cells of the tables, and a swap search in them."""

import pytest

from fmbench.collection.qrels import Qrels
from fmbench.drivers.fidelity import tables
from fmbench.drivers.fidelity.drift import drift
from fmbench.drivers.fidelity.swap import swap_drifts

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
    table = tables.ranking_table(swap_drifts(("2.0.1", "2.1.0"), "search", OWN, swapped, own_b, QRELS, 271))
    whole, search, index = (dict(zip(table.header, line, strict=True)) for line in table.lines)
    assert [row["ranking"] for row in (whole, search, index)] == [
        "search: index and search", "search: search drift", "search: index drift",
    ]  # fmt: skip
    assert (search["A"], search["B"]) == ("2.0.1", "2.1.0 on the index of 2.0.1")
    assert (search["Recall@10 change"], search["MRR@10 change"]) == ("equal", "-4.1e-05")
    assert (search["queries, Recall@10"], search["queries, MRR@10"]) == ("Equal: 271", "Equal: 270, Decrease: 1")
    assert search["avg # of different ids"] == "equal"
    assert (index["Recall@10 change"], index["avg # of different ids"]) == ("-0.0037", "0.00738")
    assert whole["queries, MRR@10"] == "Equal: 269, Decrease: 2"
    found = [line.drift.metrics[1].change for line in swap_drifts(("a", "b"), "s", OWN, swapped, own_b, QRELS)]
    assert found[0] == pytest.approx(found[1] + found[2])


def test_a_change_beyond_chance_says_so():
    found = drift(OWN, ranked(dict.fromkeys(QUERIES, TENTH)), QRELS)
    (line,) = tables.ranking_table([tables.RankingDrift("a", "b", "r", found)]).lines
    assert line[4] == "-0.011" and line[-1] == "MRR@10: yes (p <0.001)"


def test_a_mean_that_stays_while_queries_change_is_not_called_equal():
    up = [*TEN[:7], "d8", "d7", "d9"]
    a, b = OWN | ranked({"q0": up}), OWN | ranked({"q1": up})
    (line,) = tables.ranking_table([tables.RankingDrift("a", "b", "r", drift(a, b, QRELS))]).lines
    assert line[4] == "0" and line[8] == "Equal: 269, Increase: 1, Decrease: 1"


def test_without_judgements_the_ids_still_count():
    (line,) = tables.ranking_table(
        [tables.RankingDrift("a", "b", "r", drift(OWN, OWN | ranked({"q1": REPLACED})))]
    ).lines
    assert line[3:9] == ["no judgements", "no judgements", "0.00738", "0.00369", "", ""]
    assert line[-1] == ""


@pytest.mark.parametrize(
    ("share", "text"), [(None, ""), (1.0, "100%"), (0.99999999, "99.99%"), (0.5, "50.00%"), (0.0, "0.00%")]
)
def test_a_share_is_never_rounded_to_all(share, text):
    assert tables.share_text(share) == text


@pytest.mark.parametrize(
    ("cosine", "text"), [(None, ""), (1.0, "1"), (1 - 3.2e-13, "1 - 3.2e-13"), (0.99, "0.990000"), (-1.0, "-1.000000")]
)
def test_a_cosine_near_one_shows_what_is_missing(cosine, text):
    assert tables.cosine_text(cosine) == text
