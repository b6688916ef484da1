"""Metrics equal their definitions, and trec_eval's own; what was not found counts as zero."""

import math
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmbench.collection import Dataset, Qrels
from fmbench.drivers.retrieve.tasks import run_here
from fmbench.errors import UsageError
from fmbench.ranking import measures
from fmbench.ranking.measures import evaluate
from fmbench.ranking.order import depth_of, ordered
from fmbench.resampling import mean_intervals
from tests.tiny_model import write_collection

pytest.importorskip("ir_measures", reason="pip install 'fmbench[retrieval]'")

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
KS = (1, 3, 5, 10, 100)


def defined(scores, gains, k, threshold=1.0):
    """The metrics of one query from their definitions; nothing of fmbench is used."""
    ranking = [document for _, document in sorted(((score, name) for name, score in scores.items()), reverse=True)]
    relevant = {name for name, gain in gains.items() if gain >= threshold}
    hits = [name in relevant for name in ranking]
    found = sum(hits[:k])
    precisions = [sum(hits[: place + 1]) / (place + 1) for place in range(min(k, len(hits))) if hits[place]]
    dcg = sum(max(gains.get(name, 0), 0) / math.log2(place + 2) for place, name in enumerate(ranking[:k]))
    best = sorted((max(gain, 0) for gain in gains.values()), reverse=True)[:k]
    ideal = sum(gain / math.log2(place + 2) for place, gain in enumerate(best))
    return {
        f"ndcg_cut_{k}": dcg / ideal if ideal else 0,
        f"map_cut_{k}": sum(precisions) / len(relevant) if relevant else 0,
        f"recall_{k}": found / len(relevant) if relevant else 0,
        f"P_{k}": found / k,
        f"mrr_cut_{k}": 1 / (hits.index(True) + 1) if True in hits[:k] else 0,
        f"success_{k}": float(found > 0),
        "Rprec": sum(hits[: len(relevant)]) / len(relevant) if relevant else 0,
    }


def test_a_further_measure_knows_what_is_judged_and_not_relevant(monkeypatch):
    monkeypatch.setitem(measures.BINARY, "Judged", "judged")
    judged = Qrels({"q": {"a": 1.0, "b": 0.0, "c": -1.0}})
    found = measures.evaluate({"q": {"a": 5.0, "b": 4.0, "c": 3.0, "x": 2.0, "y": 1.0}}, judged, (3, 5)).by_query()
    assert (found["q"]["judged_3"], found["q"]["judged_5"]) == (1.0, 0.6)


@pytest.mark.parametrize(
    ("measure", "name", "said"),
    [
        ("Judged", "P", "two are called P; give each a name of its own"),
        ("Judged", "Rprec", "two are called Rprec"),
        ("Judgde", "judged", "ir_measures has no measure Judgde that takes a cutoff"),
        ("SetP", "set", "ir_measures has no measure SetP that takes a cutoff"),
        ("Qrel", "qrel", "ir_measures has no measure Qrel that takes a cutoff"),
    ],
)
def test_a_measure_that_cannot_be_is_refused_before_anything_is_encoded(monkeypatch, tmp_path, measure, name, said):
    monkeypatch.setitem(measures.BINARY, measure, name)
    folder = write_collection(tmp_path / "data")
    with pytest.raises(UsageError, match=f"^metrics: {said}"):
        run_here("evaluate", None, ["--platform", "cpu", "--model_name", "nowhere", "--dataset", str(folder)])


@pytest.mark.parametrize(
    ("gains", "threshold"),
    [((0, 1, 2, 3), 1.0), ((-5, -1, 0, 1, 4), 2.0), ((-0.5, 0.25, 0.5, 1.0, 2.75), 0.5), ((0, 7.5e8, 3e9), 1.0)],
    ids=["graded", "negative", "fractional", "huge"],
)
def test_metrics_equal_their_definitions(make_collection, gains, threshold):
    run, judged = make_collection(1, gains=gains)
    found = evaluate(run, Qrels(judged), KS, threshold=threshold)
    table = found.by_query()
    assert set(table) == set(judged)
    for query, row in table.items():
        for k in KS:
            for name, value in defined(run.get(query, {}), judged[query], k, threshold).items():
                assert row[name] == pytest.approx(value, abs=1e-12), (query, name)
    assert set(found.names) == {name for k in KS for name in defined({}, {}, k)}
    for name, mean in found.means().items():
        assert mean == pytest.approx(sum(row[name] for row in table.values()) / len(judged))


def test_intervals_stay_within_what_a_metric_can_be():
    for count in range(2, 60):  # shares of some counts add up to more than 1
        for low, high in mean_intervals(np.ones((count, 1))) + mean_intervals(np.zeros((count, 1))):
            assert 0 <= low <= high <= 1


def own(run, judged):
    """What pytrec_eval makes of it, asked directly."""
    import pytrec_eval

    cuts = ",".join(map(str, KS))
    names = {f"{name}.{cuts}" for name in ("ndcg_cut", "map_cut", "recall", "P", "success")} | {"Rprec"}
    whole = {query: {name: int(gain) for name, gain in found.items()} for query, found in judged.items()}
    return pytrec_eval.RelevanceEvaluator(whole, names).evaluate(run)


def assert_equal_to_own(run, judged):
    table = evaluate(run, Qrels(judged), KS).by_query()
    for query, row in own(run, judged).items():
        for name, value in row.items():
            assert table[query][name] == value, (query, name)


def test_metrics_are_pytrec_evals_own(make_collection):
    assert_equal_to_own(*make_collection(2))


@pytest.mark.skipif(not DATA.is_dir(), reason="the real test collections are not here")
@pytest.mark.parametrize(("name", "split"), [("scifact", "test"), ("cranfield", "test_graded")])
def test_metrics_are_pytrec_evals_own_on_real_judgements(name, split):
    dataset = Dataset.from_folder(DATA / name, split)
    documents = [document.id for document in dataset.corpus]
    generator = np.random.default_rng(0)
    run = {}
    for query, judged in dataset.qrels.gains.items():
        names = {*generator.choice(documents, 100, replace=False).tolist(), *judged}
        run[query] = {document: float(generator.integers(0, 20)) for document in sorted(names)}
    assert_equal_to_own(run, dataset.qrels.gains)


def test_fractions_are_not_cut_to_whole_numbers():
    run = {"q": {"a": 3.0, "b": 2.0, "c": 1.0}}
    halves, whole = {"q": {"a": 0.5, "c": 1.0}}, {"q": {"a": 1.0, "c": 2.0}}
    name = "ndcg_cut_10"
    assert evaluate(run, Qrels(halves)).means()[name] == pytest.approx(evaluate(run, Qrels(whole)).means()[name])
    assert evaluate(run, Qrels(halves)).means()[name] == pytest.approx((0.5 + 1 / 2) / (1 + 0.5 / math.log2(3)))
    assert evaluate(run, Qrels(halves)).means()["recall_1"] == 0
    assert evaluate(run, Qrels(halves), threshold=0.5).means()["recall_1"] == 0.5


def test_of_equal_scores_the_greater_id_comes_first():
    assert ordered({"a": 1.0, "b": 1.0, "ä": 1.0, "c": 2.0, "10": 1.0, "9": 1.0}) == ["c", "ä", "b", "a", "9", "10"]
    run = {"q": {"a": 0.5, "b": 0.5}}
    assert evaluate(run, Qrels({"q": {"b": 1.0}})).means()["mrr_cut_1"] == 1
    assert evaluate(run, Qrels({"q": {"a": 1.0}})).means()["mrr_cut_1"] == 0


def test_scores_that_single_precision_cannot_tell_apart_keep_their_order():
    run = {"q": {"a": 1 + 1e-9, "b": 1.0}}  # as floats of 32 bits they are equal, and b would come first
    found = evaluate(run, Qrels({"q": {"a": 1.0}})).means()
    assert (found["mrr_cut_1"], found["ndcg_cut_1"], found["P_1"]) == (1, 1, 1)
    assert own(run, {"q": {"a": 1.0}})["q"]["P_1"] in (0, 1)  # given scores instead of ranks, its own affair


def test_what_was_not_found_counts_as_zero():
    qrels = Qrels({"q1": {"a": 1.0}, "q2": {"a": 1.0}, "q3": {"a": 1.0}, "q4": {"b": 0.0}})
    found = evaluate({"q1": {"a": 1.0}, "q2": {}, "q9": {"a": 1.0}, "q4": {"b": 1.0}}, qrels, (1,))
    assert set(found.means().values()) == {0.25}
    assert (found.without_results, found.without_relevant, found.unjudged) == (2, 1, 1)
    row = found.row()
    assert (row["queries"], row["without_results"], row["relevance_threshold"]) == (4, 2, 1.0)
    assert row["metrics"] == found.means()
    assert row["intervals"]["P_1"][0] <= 0.25 <= row["intervals"]["P_1"][1]


def test_one_query_has_no_interval():
    assert evaluate({"q": {"a": 1.0}}, Qrels({"q": {"a": 1.0}})).row()["intervals"] is None


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_no_order_of_input_changes_a_metric(seed):
    from .conftest import collection

    run, judged = collection(seed, queries=6, gains=random.Random(seed).choice([(0, 1), (0.5, 1)]))
    shuffled = random.Random(seed)

    def mixed(table):
        rows = [(key, mixed(value) if isinstance(value, dict) else value) for key, value in table.items()]
        shuffled.shuffle(rows)
        return dict(rows)

    first, second = evaluate(run, Qrels(judged)), evaluate(mixed(run), Qrels(mixed(judged)))
    assert first.row() == second.row()
    assert (first.queries, first.by_query()) == (second.queries, second.by_query())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"k_values": (1, 200), "depth": 100}, "k 200 lies beyond the retrieved depth of 100: retrieve 200 documents"),
        ({"k_values": ()}, "no cutoff k is given"),
        ({"k_values": (0, 5)}, "a cutoff k is a rank, 1 or more; 0 is none"),
        ({"threshold": 0.0}, "the relevance threshold is 0.0; it must be a number above zero"),
        ({"threshold": math.nan}, "the relevance threshold is nan"),
    ],
)
def test_what_makes_no_sense_is_refused(options, words):
    with pytest.raises(UsageError, match=words):
        evaluate({"q": {"a": 1.0}}, Qrels({"q": {"a": 1.0}}), **options)


def test_no_judgements_and_nan_scores_are_refused():
    with pytest.raises(UsageError, match="there are no judgements"):
        evaluate({"q": {"a": 1.0}}, Qrels({}))
    with pytest.raises(UsageError, match="the score of document 'b' is NaN"):
        evaluate({"q": {"a": 1.0, "b": math.nan}}, Qrels({"q": {"a": 1.0}}))


def test_cutoffs_are_sorted_and_given_once():
    found = evaluate({"q": {"a": 1.0}}, Qrels({"q": {"a": 1.0}}), (10, 1, 10))
    assert [name for name in found.names if name.startswith("P_")] == ["P_1", "P_10"]


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(UsageError, match=r"metrics need ir_measures: pip install 'fmbench\[retrieval\]'"):
        evaluate({"q": {"a": 1.0}}, Qrels({"q": {"a": 1.0}}))


def test_the_depth_of_a_run_is_its_longest_ranking():
    assert depth_of({"q": {"a": 1.0, "b": 2.0}, "p": {}}) == 2
    assert depth_of({}) == 0
