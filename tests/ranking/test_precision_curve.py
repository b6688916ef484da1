"""The precision curve, its ceiling, and the seed's artefact: precision beyond the depth that was retrieved."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmbench.collection import Document, Qrels, Texts
from fmbench.errors import UsageError
from fmbench.ranking.pages import as_pages, normaliser, read_pages, titles_of, write_pages
from fmbench.ranking.precision_curve import document_curve, page_curve, precision_curve

KS = (1, 2, 3, 5, 10, 15, 20, 50, 100)
QUESTIONS = 2500
FOUND = {1: 0.688, 2: 0.8116, 3: 0.8955, 5: 1.0056}  # mean number of distinct gold titles among the first k


def rag_questions() -> tuple[list[list[str]], list[list[str]]]:
    """Predictions of depth 5 that find as many gold titles as FOUND says, and gold of two titles a question."""
    gold = [["right", "also right"]] * QUESTIONS
    predictions = [["wrong"] * 5 for _ in range(QUESTIONS)]
    hits = 0
    for place, found in ((0, FOUND[1]), (1, FOUND[2]), (2, FOUND[3]), (4, FOUND[5])):
        while hits < round(found * QUESTIONS):
            titles = predictions[hits % QUESTIONS]
            titles[place] = "right" if hits < QUESTIONS else "also right"
            hits += 1
    return predictions, gold


def published(predictions: list[list[str]], gold: list[list[str]], k: int) -> str:
    """The published script's figure: it takes what is there of the first k, and divides by k all the same."""
    hits = sum(len(set(titles[:k]) & set(right)) for titles, right in zip(predictions, gold, strict=True))
    return f"{100 * hits / k / len(gold):.2f}"


def test_the_published_curve_follows_from_a_depth_of_five():
    predictions, gold = rag_questions()
    figures = [published(predictions, gold, k) for k in KS]
    assert figures == ["68.80", "40.58", "29.85", "20.11", "10.06", "6.70", "5.03", "2.01", "1.01"]
    # Ours agrees as far as anything was retrieved ...
    ours = page_curve(predictions, gold, KS[:4])
    assert [f"{100 * value:.2f}" for value in ours.values["precision"]] == figures[:4]
    assert (ours.depth, ours.shortest, ours.queries) == (5, 5, QUESTIONS)
    # ... and refuses the rest, which says nothing: beyond 5, only the divisor grows.
    with pytest.raises(UsageError, match=r"k 10, 15, 20, 50, 100 lies beyond the retrieved depth of 5: retrieve 100 "):
        page_curve(predictions, gold, KS)
    pretended = page_curve(predictions, gold, KS, depth=100)
    assert [f"{100 * value:.2f}" for value in pretended.values["precision"]] == figures
    assert pretended.values["recall"][3:] == [pretended.values["recall"][3]] * 6


def test_the_ceiling_falls_even_for_a_perfect_retriever():
    curve = precision_curve([list("abcde"), list("cdeba")], [{"a"}, {"c", "d"}], (1, 2, 3, 5))
    assert curve.values["ceiling"] == [1, (0.5 + 1) / 2, (1 / 3 + 2 / 3) / 2, (0.2 + 0.4) / 2]
    assert curve.values["precision"] == curve.values["ceiling"]
    assert curve.values["success"] == [1] * 4
    assert curve.values["recall"] == [0.75, 1, 1, 1]


def test_a_miss_and_a_question_without_gold_count():
    curve = precision_curve([["x", "a"], ["a", "b"], ["a", "b"]], [{"a", "z"}, set(), ["b", "b"]], (1, 2))
    assert curve.values["precision"] == [0, pytest.approx((0.5 + 0 + 0.5) / 3)]
    assert curve.values["ceiling"] == [pytest.approx(2 / 3), pytest.approx((1 + 0 + 0.5) / 3)]
    assert curve.values["success"] == [0, pytest.approx(2 / 3)]
    assert curve.values["recall"] == [0, pytest.approx((0.5 + 0 + 1) / 3)]
    assert (curve.without_gold, curve.level, curve.title_normalisation) == (1, "document", None)
    assert curve.row()["retrieved_depth"] == 2
    assert all(
        low <= value <= high
        for name in ("precision", "recall")
        for value, (low, high) in zip(curve.row()[name], curve.row()["intervals"][name], strict=True)
    )
    assert precision_curve([["a"]], [{"a"}], (1,)).row()["intervals"] is None


names = st.lists(st.sampled_from("abcdefgh"), max_size=8)


@given(st.lists(st.tuples(names, names), min_size=1, max_size=5), st.sets(st.integers(1, 10), min_size=1))
def test_every_figure_equals_its_definition(questions, ks):
    retrieved, gold = [list(found) for found, _ in questions], [wanted for _, wanted in questions]
    curve = precision_curve(retrieved, gold, tuple(ks), depth=10)
    for place, k in enumerate(sorted(ks)):
        hits = [len(set(found[:k]) & set(wanted)) for found, wanted in questions]
        sizes = [len(set(wanted)) for wanted in gold]
        count = len(questions)
        assert curve.values["precision"][place] == pytest.approx(sum(hit / k for hit in hits) / count)
        assert curve.values["ceiling"][place] == pytest.approx(sum(min(k, size) / k for size in sizes) / count)
        assert curve.values["success"][place] == pytest.approx(sum(hit > 0 for hit in hits) / count)
        recalls = [hit / size if size else 0 for hit, size in zip(hits, sizes, strict=True)]
        assert curve.values["recall"][place] == pytest.approx(sum(recalls) / count)
        assert curve.values["precision"][place] <= curve.values["ceiling"][place] + 1e-12


def test_a_run_and_qrels_give_the_curve_over_documents():
    run = {"q1": {"a": 0.5, "b": 0.5, "c": 0.1}, "q9": {"a": 1.0, "b": 0.5, "c": 0.25, "d": 0.1}}
    qrels = Qrels({"q1": {"b": 1.0, "c": 0.5}, "q2": {"a": 2.0}})
    curve = document_curve(run, qrels, (1, 3))
    assert curve.values["precision"] == [0.5, pytest.approx(1 / 6)]  # b before a; q2 has no results
    assert (curve.depth, curve.shortest, curve.queries) == (4, 0, 2)
    assert document_curve(run, qrels, (1, 3), threshold=0.5).values["recall"] == [0.25, 0.5]
    with pytest.raises(UsageError, match="k 3 lies beyond the retrieved depth of 2"):
        document_curve(run, qrels, (1, 3), depth=2)


# -- pages


def test_passages_of_one_page_are_one_hit_and_take_a_rank_each():
    curve = page_curve([["A", "A", "B"]], [["A", "B", "A"]], (1, 2, 3))
    assert curve.values["precision"] == [1, 0.5, pytest.approx(2 / 3)]
    assert curve.values["ceiling"] == [1, 1, pytest.approx(2 / 3)]
    assert curve.level == "page"


def test_the_normalisation_is_applied_to_both_sides_and_stated():
    predictions, gold = [["Café_Noir", '"It"']], [["CAFE\u0301 noir", "It"]]
    plain = page_curve(predictions, gold, (2,))
    assert (plain.values["precision"], plain.row()["title_normalisation"]) == ([0], "none")
    steps = "nfc,casefold,quotes,underscores"
    alike = page_curve(predictions, gold, (2,), normalisation=steps)
    assert (alike.values["precision"], alike.row()["title_normalisation"]) == ([1], steps)
    assert normaliser("spaces")("  a \u00a0 b ") == "a b"
    with pytest.raises(
        UsageError, match="no title normalisation 'casefoldd'; did you mean casefold.*there are none, nfc"
    ):
        normaliser("nfc,casefoldd")


def test_unequal_numbers_of_lines_are_refused_with_both():
    with pytest.raises(UsageError, match="there are predictions for 2 questions and gold for 3"):
        page_curve([["A"], ["B"]], [["A"], ["B"], ["C"]], (1,))
    with pytest.raises(UsageError, match="there is no question to judge"):
        page_curve([], [], (1,))


def test_an_empty_title_keeps_its_rank_and_is_never_right():
    assert page_curve([["", "A"]], [["", "A"]], (1, 2)).values["precision"] == [0, 0.5]
    assert page_curve([[""]], [[]], (1,)).values["precision"] == [0]


def test_page_files_are_read(tmp_path: Path):
    path = tmp_path / "pages"
    path.write_bytes(b'\xef\xbb\xbfA \tB "x"\t A \r\n\n\tB\n \nlast')
    assert read_pages(path) == [["A", 'B "x"', "A"], [], ["", "B"], [], ["last"]]


def test_predictions_lose_blanks_and_one_quote_at_each_end(tmp_path: Path):
    path = tmp_path / "predictions"
    corpus = {"1": '"A"', "2": '""B""', "3": '"', "4": 'C "x" ', "5": ' " D"', "6": "E"}
    pages = as_pages([["1", "2", "3", "4"], [], ["9", "5", "6"]], corpus)
    write_pages(pages, path)
    assert path.read_bytes() == b'A\t"B"\t\tC "x\n\n\tD\tE\n'
    assert read_pages(path) == pages
    for title in ("a\tb", "a\nb"):
        with pytest.raises(UsageError, match="holds a tab or a line break, which the file cannot hold"):
            write_pages([[title]], path)
    assert read_pages(path) == pages


titles = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\r\n\0"), min_size=1).filter(
    lambda title: title == title.strip(" ") and not title.startswith("\ufeff")
)


@given(st.lists(st.lists(titles, max_size=4)))
def test_what_is_written_is_read_back(tmp_path_factory, pages):
    path = tmp_path_factory.getbasetemp() / "pages"
    write_pages(pages, path)
    assert read_pages(path) == pages


def test_titles_come_from_the_corpus(tmp_path: Path):
    path = tmp_path / "corpus.tsv"
    path.write_text("id\ttitle\ttext\n1\tOne\ttext\n2\tTwo\ttext\n3\tThree\ttext\n")
    found = titles_of(Texts([path]), ["1", "3", "9"])
    assert found == {"1": "One", "3": "Three"}
    assert as_pages([["3", "9", "1"], []], found) == [["Three", "", "One"], []]
    assert next(iter(Texts([path]))) == Document("1", "text", "One")


def test_scores_that_are_nan_have_no_place():
    with pytest.raises(UsageError, match="NaN"):
        document_curve({"q": {"a": math.nan}}, Qrels({"q": {"a": 1.0}}), (1,))
