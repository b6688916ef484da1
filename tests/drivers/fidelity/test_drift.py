"""The seed's own arithmetic, and what a ranking's drift says of each query."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmbench.collection.qrels import Qrels
from fmbench.drivers.fidelity.drift import drift

TEN = [f"d{place}" for place in range(10)]


def run_of(rankings):
    return {query: {name: -float(place) for place, name in enumerate(names)} for query, names in rankings.items()}


def queries(count):
    return [f"q{number}" for number in range(count)]


def test_one_query_from_rank_9_to_10_among_271():
    """The seed's table says -4.1e-5 for it."""
    names = queries(271)
    qrels = Qrels({name: {"d8": 1.0} for name in names})
    a = run_of(dict.fromkeys(names, TEN))
    b = a | run_of({"q7": [*TEN[:8], "d9", "d8"]})
    found = drift(a, b, qrels)
    recall, mrr = found.metrics
    assert (mrr.name, recall.name) == ("MRR@10", "Recall@10")
    assert mrr.change == pytest.approx((1 / 10 - 1 / 9) / 271, rel=1e-9)
    assert f"{mrr.change:.1e}" == "-4.1e-05"
    assert (mrr.increase, mrr.equal, mrr.decrease) == (0, 270, 1)
    assert recall.unchanged and recall.change == 0 and recall.equal == 271 and recall.p == 1.0
    assert (found.different_ids, found.verdict, found.queries) == (0.0, "different", 271)
    (query,) = found.changed
    assert (query.query, query.different_ids) == ("q7", 0)
    assert query.metrics["MRR@10"] == (pytest.approx(1 / 9), pytest.approx(1 / 10))
    assert mrr.p == 1.0  # one query that fell might as well have risen


def test_one_replaced_id_counts_2():
    a = run_of({"q": TEN})
    b = run_of({"q": [*TEN[:9], "new"]})
    found = drift(a, b)
    assert (found.different_ids, found.replaced, found.metrics) == (2.0, 1.0, ())


def test_different_ids_are_summed_over_the_union_of_queries_and_divided_by_all():
    a = run_of({"q0": TEN, "q1": TEN})
    b = run_of({"q1": [*TEN[:8], "x", "y"], "q2": TEN[:5]})
    assert drift(a, b).different_ids == pytest.approx((10 + 4 + 5) / 3)
    assert drift(a, b, queries=271).different_ids == pytest.approx((10 + 4 + 5) / 271)
    assert drift(a, b, Qrels({"q8": {"d": 1.0}, "q9": {"d": 1.0}})).queries == 5
    with pytest.raises(ValueError, match="the runs have 3 queries, and 2 were searched"):
        drift(a, b, queries=2)


@pytest.mark.parametrize(("total", "shown"), [(44, "0.16"), (46, "0.17"), (334, "1.23")])
def test_the_seeds_averages(total, shown):
    """Its table says 0.16, 0.17 and 1.23 of 271 queries: even totals, as one replaced id gives 2."""
    names = queries(271)
    a = run_of(dict.fromkeys(names, TEN))
    replaced = [*TEN[:9], "new"]
    twice = [*TEN[:8], "new", "newer"]
    pairs = total // 2
    b = a | run_of({name: (twice if number < pairs - 271 else replaced) for number, name in enumerate(names[:pairs])})
    found = drift(a, b)
    assert f"{found.different_ids:.2f}" == shown
    assert found.replaced == found.different_ids / 2


def test_ids_beyond_the_depth_are_no_difference_but_the_lists_differ():
    found = drift(run_of({"q": [*TEN, "x"]}), run_of({"q": [*TEN, "y"]}))
    assert (found.different_ids, found.verdict) == (0.0, "different")
    assert found.rbo < 1 and found.tau < 1


def test_other_scores_in_the_same_order_are_close():
    a = run_of({"q": TEN})
    b = {"q": {name: score - 0.25 for name, score in a["q"].items()}}
    found = drift(a, b)
    assert (found.verdict, found.max_score, found.changed, found.tau, found.rbo) == ("close", 0.25, (), 1.0, 1.0)


def test_the_same_run_is_equal():
    a = run_of({"q": TEN, "r": []})
    found = drift(a, a, Qrels({"q": {"d0": 1.0}, "unanswered": {"d0": 1.0}}))
    assert (found.verdict, found.max_score, found.different_ids) == ("equal", 0.0, 0.0)
    assert all(metric.unchanged and metric.equal == 2 and metric.a == 0.5 for metric in found.metrics)
    assert drift({}, {}).verdict == "equal"


def test_ties_are_in_the_order_of_the_field():
    """Equal scores: the greater id comes first, whatever the order of the mapping."""
    assert drift({"q": {"a": 1.0, "b": 1.0}}, {"q": {"b": 1.0, "a": 1.0}}).verdict == "equal"


def test_a_change_of_many_queries_is_significant():
    names = queries(40)
    qrels = Qrels({name: {"d0": 1.0} for name in names})
    a = run_of(dict.fromkeys(names, TEN))
    b = run_of({name: ["x", *TEN] if number < 30 else TEN for number, name in enumerate(names)})
    recall, mrr = drift(a, b, qrels).metrics
    assert mrr.p < 0.001 and mrr.decrease == 30
    assert mrr.change == pytest.approx(-30 / 40 / 2)
    low, high = mrr.interval
    assert low < mrr.change < high < 0
    assert recall.p == 1.0
    assert drift(a, b, qrels) == drift(a, b, qrels)  # seeded


rankings = st.dictionaries(
    st.sampled_from(queries(4)), st.lists(st.sampled_from(TEN), unique=True, max_size=10), max_size=4
)


@settings(max_examples=25)
@given(rankings, rankings, rankings)
def test_metrics_against_their_formulas(a, b, relevant):
    qrels = Qrels({query: dict.fromkeys(names, 1.0) for query, names in relevant.items() if names})
    found = drift(run_of(a), run_of(b), qrels, depth=3)
    assert len(found.metrics) == (2 if qrels.gains else 0)
    for metric in found.metrics:
        pairs = [
            tuple(naive(metric.name, side.get(query, []), qrels.gains[query]) for side in (a, b))
            for query in qrels.gains
        ]
        count = len(pairs)
        assert metric.a == pytest.approx(sum(before for before, _ in pairs) / count)
        assert metric.change == pytest.approx(sum(after - before for before, after in pairs) / count, abs=1e-12)
        assert metric.increase + metric.equal + metric.decrease == count
        assert metric.increase == sum(after > before for before, after in pairs)
        assert metric.decrease == sum(after < before for before, after in pairs)


def naive(name, ranking, relevant):
    hits = [place for place, document in enumerate(ranking[:3], start=1) if document in relevant]
    return len(hits) / len(relevant) if name == "Recall@3" else max((1 / place for place in hits), default=0.0)
