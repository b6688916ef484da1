"""Hard negatives: what is left out, what is kept, and how deep to search for them."""

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmbench.collection import Dataset, Qrels
from fmbench.errors import UsageError
from fmbench.ranking.mined_files import write_mined
from fmbench.ranking.mining import Rules, depth_groups, mine

# Ten documents a query, d9 (score 0.9) before d8 (0.8) and so on.
SCORES = {f"d{number}": number / 10 for number in range(10)}
RUN = {"q1": SCORES, "q2": SCORES, "q3": SCORES}
QRELS = Qrels({"q1": {"d8": 1.0, "d6": 0.0}, "q2": {"d9": 2.0, "d5": 1.0}})


def negatives(rules: Rules, query: str = "q1", **options) -> list[str]:
    return list(mine(RUN, QRELS, rules, **options).negatives.get(query, {}))


def test_judged_documents_are_left_out_whatever_their_gain():
    mined = mine(RUN, QRELS, Rules(3))
    assert mined.negatives == {
        "q1": {"d9": 0.9, "d7": 0.7, "d5": 0.5},
        "q2": {"d8": 0.8, "d7": 0.7, "d6": 0.6},
    }
    assert mined.unjudged == ["q3"]
    assert (mined.short, mined.removed) == ({}, {"max_score": 0, "margin": 0})
    assert mined.row() == {"queries": 2, "negatives": 6, "unjudged": 1, "short": 0, "removed": mined.removed}


def test_judged_negatives_come_back_when_their_judgements_are_filtered():
    mined = mine(RUN, QRELS.between(least=1), Rules(2))
    assert list(mined.negatives["q1"]) == ["d9", "d7"]
    assert list(mine(RUN, QRELS.between(least=1), Rules(3)).negatives["q1"]) == ["d9", "d7", "d6"]


def test_without_judgements_or_with_judged_documents_all_queries_are_mined():
    for mined in (mine(RUN, None, Rules(2)), mine(RUN, QRELS, Rules(2, leave_out_judged=False))):
        assert mined.negatives == {query: {"d9": 0.9, "d8": 0.8} for query in RUN}
        assert mined.unjudged == []


def test_equal_scores_are_taken_in_the_one_order():
    assert mine({"q": {"a": 1.0, "c": 1.0, "b": 1.0}}, None, Rules(2)).negatives == {"q": {"c": 1.0, "b": 1.0}}


def test_the_first_are_skipped_after_the_judged_have_gone():
    assert negatives(Rules(2, skip_first=1)) == ["d7", "d5"]
    assert negatives(Rules(2, skip_first=7)) == ["d0"]


def test_a_maximum_score_is_inclusive():
    mined = mine(RUN, QRELS, Rules(2, pool=5, max_score=0.7))
    assert list(mined.negatives["q1"]) == ["d7", "d5"]
    assert mined.removed["max_score"] == 2  # d9 of q1, d8 of q2


@pytest.mark.parametrize(
    ("margins", "expected"),
    [
        ({"absolute_margin": 0.0}, ["d7", "d5", "d4"]),
        ({"absolute_margin": 0.3}, ["d5", "d4", "d3"]),
        ({"relative_margin": 0.4}, ["d4", "d3", "d2"]),
        ({"relative_margin": 0.4, "absolute_margin": 0.45}, ["d3", "d2", "d1"]),
        ({"absolute_margin": 1.0}, []),
    ],
)
def test_a_margin_to_the_positive(margins, expected):
    assert negatives(Rules(3, pool=10, **margins)) == expected  # the positive is d8 with 0.8; d6 is judged with 0


def test_the_margin_holds_for_each_positive_or_for_the_best():
    assert negatives(Rules(9, absolute_margin=0.0), "q2") == ["d4", "d3", "d2", "d1", "d0"]  # below d5
    assert negatives(Rules(9, absolute_margin=0.15, positive="highest"), "q2")[:2] == ["d7", "d6"]  # below d9


def test_a_margin_below_a_negative_score_lies_below_it():
    run = {"q": {"p": -0.5, "a": -0.52, "b": -0.6}}
    found = mine(run, Qrels({"q": {"p": 1.0}}), Rules(2, relative_margin=0.1))
    assert list(found.negatives["q"]) == ["b"]


def test_a_positive_that_was_not_retrieved_leaves_no_margin_unless_its_score_is_told():
    qrels = Qrels({"q1": {"far": 1.0}, "q2": {"d9": 1.0, "far": 1.0}})
    lowest, highest = Rules(2, absolute_margin=0.15), Rules(2, absolute_margin=0.15, positive="highest")
    mined = mine(RUN, qrels, lowest)
    assert mined.negatives == {}
    assert mined.short == {"q1": 0, "q2": 0}
    assert list(mine(RUN, qrels, highest).negatives) == ["q2"]
    told = {"q1": {"far": 0.45}, "q2": {"far": 0.45}}
    assert list(mine(RUN, qrels, Rules(2, pool=9, absolute_margin=0.15), told).negatives["q2"]) == ["d3", "d2"]


def test_a_query_without_a_positive_keeps_no_margin():
    assert mine(RUN, Qrels({"q1": {"d8": 0.0}}), Rules(2, absolute_margin=0.1)).short == {"q1": 0}
    assert mine(RUN, Qrels({"q1": {"d8": 0.5}}), Rules(2, absolute_margin=0.1, threshold=0.5)).short == {}
    assert mine(RUN, Qrels({"q1": {"d8": 0.5}}), Rules(2, pool=2, absolute_margin=0.1, threshold=0.5)).short == {
        "q1": 1
    }


def test_a_deeper_run_changes_nothing():
    for rules in (Rules(2), Rules(2, skip_first=1, pool=4, max_score=0.85), Rules(2, pool=4, seed=1)):
        depth = rules.depth(2)
        cut = {"q1": dict(sorted(SCORES.items(), key=lambda item: -item[1])[:depth])}
        assert mine(cut, QRELS, rules) == mine({"q1": SCORES}, QRELS, rules)


def test_where_a_rule_may_take_some_more_are_looked_at():
    assert [Rules(3, **rule).candidates for rule in ({}, {"seed": 0}, {"max_score": 1}, {"absolute_margin": 0})] == [
        3, 12, 12, 12,
    ]  # fmt: skip
    assert Rules(3, seed=0, pool=5).depth(2) == 7


# -- sampling


def test_a_draw_depends_on_seed_query_and_documents_only():
    rules = Rules(3, pool=8, seed=7)
    first = mine(RUN, None, rules).negatives
    assert mine({"q2": dict(reversed(SCORES.items()))}, None, rules).negatives["q2"] == first["q2"]
    assert len({tuple(found) for found in first.values()}) > 1
    assert any(mine(RUN, None, Rules(3, pool=8, seed=seed)).negatives != first for seed in range(3))
    for found in first.values():
        assert list(found) == sorted(found, reverse=True)
        assert set(found) <= {f"d{number}" for number in range(2, 10)}


def test_every_candidate_is_drawn_as_often_as_another():
    counts = dict.fromkeys(SCORES, 0)
    for seed in range(3000):
        for document in mine({"q": SCORES}, None, Rules(3, pool=10, seed=seed)).negatives["q"]:
            counts[document] += 1
    expected = 3000 * 3 / 10
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 27.9  # chi square, 9, p = 0.001


# -- depth


def test_one_heavily_judged_query_does_not_deepen_the_others():
    qrels = Qrels({f"q{number}": {f"d{d}": 1.0 for d in range(1 + number % 5)} for number in range(100)})
    qrels.gains["heavy"] = {f"d{d}": 1.0 for d in range(5000)}
    groups = depth_groups(qrels.gains, qrels, Rules(100))
    assert set(groups) == {105, 5100}
    assert groups[5100] == ["heavy"]
    assert len(groups[105]) == 100


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=40), st.integers(1, 50), st.integers(0, 20))
def test_groups_are_deep_enough_and_never_twice_too_deep(judged, count, skipped):
    qrels = Qrels({f"q{place}": dict.fromkeys(map(str, range(size)), 1.0) for place, size in enumerate(judged)})
    rules = Rules(count, skip_first=skipped)
    groups = depth_groups(qrels.gains, qrels, rules)
    assert sorted(query for group in groups.values() for query in group) == sorted(qrels.gains)
    for depth, group in groups.items():
        for query in group:
            assert rules.depth(len(qrels.gains[query])) <= depth <= 2 * rules.depth(len(qrels.gains[query]))
    assert len(groups) <= math.log2(3000 + count + skipped) + 1


def test_without_judged_documents_to_leave_out_all_need_the_same():
    assert depth_groups(["b", "a"], None, Rules(5, skip_first=2, pool=9)) == {11: ["a", "b"]}
    assert depth_groups(["q1"], QRELS, Rules(5, leave_out_judged=False)) == {5: ["q1"]}


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(0, 4))
def test_the_depth_suffices_and_one_less_may_not(seed, count, skipped):
    generator = random.Random(seed)
    documents = [f"d{number}" for number in range(60)]
    judged = {document: float(generator.randrange(3)) for document in generator.sample(documents, 20)}
    scores = {document: generator.random() for document in documents}
    rules, qrels = Rules(count, skip_first=skipped), Qrels({"q": judged})
    ((depth, _),) = depth_groups(["q"], qrels, rules).items()
    retrieved = dict(sorted(scores.items(), key=lambda item: -item[1])[:depth])
    mined = mine({"q": retrieved}, qrels, rules)
    assert len(mined.negatives["q"]) == count
    assert not set(mined.negatives["q"]) & set(judged)


# -- what is refused


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"count": 0}, "at least 1 negative"),
        ({"count": 1, "skip_first": -1}, "cannot skip fewer than 0"),
        ({"count": 5, "pool": 4}, "5 negatives cannot come from a pool of 4"),
        ({"count": 1, "absolute_margin": -0.1}, "the absolute margin is -0.1; it must be a number, 0 or more"),
        ({"count": 1, "relative_margin": math.inf}, "the relative margin is inf"),
        ({"count": 1, "max_score": math.nan}, "the maximum score of a negative is NaN"),
    ],
)
def test_rules_that_make_no_sense_are_refused(options, words):
    with pytest.raises(UsageError, match=words):
        Rules(**options)


def test_a_margin_needs_judgements():
    with pytest.raises(UsageError, match="a margin to the positive needs qrels"):
        mine(RUN, None, Rules(1, absolute_margin=0.1))


# -- files


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    for name, content in {
        "corpus_a.tsv": "d1\tx\nd2\tx\n",
        "corpus_b.tsv": "d3\tx\n",
        "queries_a.tsv": "q1\tx\n",
        "queries_b.tsv": "q2\tx\n",
    }.items():
        (tmp_path / name).write_text(content)
    corpora, queries = ([tmp_path / f"{kind}_{letter}.tsv" for letter in "ab"] for kind in ("corpus", "queries"))
    return Dataset.from_files(corpora, queries)


FOUND = {"q1": {"d3": 0.7233999967575073, "d1": 0.5}, "q2": {"d2": -0.25}}


@pytest.mark.parametrize(("form", "name"), [("tsv", "mined_qrels.tsv"), ("grouped", "mined_qrels.jsonl")])
def test_mined_files_read_back_as_qrels(tmp_path, dataset, form, name):
    (merged,) = write_mined(FOUND, tmp_path / "merged", dataset, form, merge=True)
    assert merged == tmp_path / "merged" / name
    assert Qrels.load([merged]).gains == FOUND
    paths = write_mined(FOUND, tmp_path / "pairs", dataset, form)
    assert [str(path.relative_to(tmp_path / "pairs")) for path in paths] == [
        f"query_corpus_pair_{number}/{name}"
        for number in (0, 1, 2)  # the fourth pair has none
    ]
    assert [Qrels.load([path]).gains for path in paths] == [
        {"q1": {"d1": 0.5}}, {"q1": {"d3": 0.7233999967575073}}, {"q2": {"d2": -0.25}},
    ]  # fmt: skip
    assert Qrels.load(paths).gains == FOUND
    facts = json.loads((paths[1].parent / "file_pair_metadata.json").read_text())
    assert list(facts) == ["query_file", "query_realpath", "corpus_file", "corpus_realpath"]
    assert (facts["query_file"], facts["corpus_file"]) == (
        str(tmp_path / "queries_a.tsv"), str(tmp_path / "corpus_b.tsv"),
    )  # fmt: skip


def test_a_tsv_begins_with_the_header_of_trove(tmp_path, dataset):
    (path,) = write_mined({"q1": {"d1": 0.5}}, tmp_path, dataset)
    assert path.read_text() == "query-id\tcorpus-id\tscore\nq1\td1\t0.5\n"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, dataset):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file: cannot be made"):
        write_mined(FOUND, tmp_path / "file", dataset, merge=True)


def test_a_query_is_never_its_own_negative():
    run = {"d9": SCORES, "d8": SCORES}
    for rules in (Rules(2, leave_out_judged=False), Rules(2, leave_out_judged=False, skip_first=0, pool=3)):
        mined = mine(run, Qrels({"d9": {"d1": 1.0}, "d8": {"d1": 1.0}}), rules).negatives
        assert {query: list(found) for query, found in mined.items()} == {"d9": ["d8", "d7"], "d8": ["d9", "d7"]}
    assert "d9" not in mine(run, None, Rules(10, pool=10, seed=1)).negatives["d9"]
