"""A candidate's vectors and rankings beside the reference's: figures that are computed by hand, and the verdict."""

from dataclasses import dataclass, field
from math import log2
from types import SimpleNamespace

import numpy as np
import pytest

from fmbench.backends.cpu import CpuBackend
from fmbench.collection import Document, Qrels
from fmbench.drivers.choose.arguments import PROFILES
from fmbench.drivers.choose.judging import Judge
from fmbench.drivers.choose.quality import Keep, Ranking, kept_of, quality
from fmbench.encoder import Timings

pytest.importorskip("ir_measures", reason="pip install 'fmbench[retrieval]'")
DOCUMENTS, QUERIES = 12, 8
LENGTH = sum(value**2 for value in range(1, DOCUMENTS + 1))  # squared, of every query's vector
KEEP = Keep("ndcg", 0.99)


@dataclass(frozen=True)
class Few:
    """Some texts."""

    kind: str
    size: int

    def __iter__(self):
        return (Document(f"{self.kind}{place}", f"{self.kind}{place}") for place in range(self.size))

    def digest(self):
        return f"{self.kind} {self.size}"

    def count(self):
        return self.size


@dataclass(frozen=True)
class FewJudged:
    """Each query's relevant document has its number."""

    judged: bool = True
    corpus: Few = Few("d", DOCUMENTS)
    queries: Few = Few("q", QUERIES)

    @property
    def qrels(self):
        return Qrels({f"q{place}": {f"d{place}": 1.0} for place in range(QUERIES)}) if self.judged else None


@dataclass
class FakeEncoder:
    """A fake: documents are the axes, and a query finds its own document first and then the others in their order.

    `swaps` has pairs of ranks of some queries that change places.
    """

    name: str
    swaps: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    encoded: list[str] = field(default_factory=list)
    dimension: int = DOCUMENTS
    similarity: str = "dot"
    sparse: bool = False
    timings: Timings = field(default_factory=Timings)

    @property
    def platform(self):
        return CpuBackend()

    def key(self, role):
        return {"role": role, "weights": self.name}

    def settle(self, texts, role):
        return 1024

    def encode_chunks(self, chunks, role, tokens_per_batch=None, kept=None):
        for texts in chunks:
            self.encoded += texts
            yield np.array([self.vector(text[0], int(text[1:])) for text in texts], np.float32)

    def vector(self, kind, number):
        if kind == "d":
            return np.eye(DOCUMENTS)[number]
        order = [number, *(place for place in range(DOCUMENTS) if place != number)]
        for one, other in self.swaps.get(number, ()):
            order[one], order[other] = order[other], order[one]
        vector = np.empty(DOCUMENTS)
        vector[order] = range(DOCUMENTS, 0, -1)
        return vector


@pytest.fixture
def ranking(tmp_path):
    def make(swaps=None, judged=True, name=None):
        encoder = FakeEncoder(name or repr(swaps), swaps or {})
        found = Ranking.of(encoder, FewJudged(judged), tmp_path / "cache")
        return found, encoder

    return make


def test_the_figures_of_a_candidate_are_those_computed_by_hand(ranking):
    reference, _ = ranking()
    candidate, _ = ranking({0: [(0, 1), (9, 10)], 1: [(9, 11)]})
    found = quality(reference, candidate, KEEP)
    cosines = [1.0] * (QUERIES + DOCUMENTS - 2) + [(LENGTH - 2) / LENGTH, (LENGTH - 4) / LENGTH]
    assert found.least_cosine == pytest.approx(min(cosines), abs=1e-12)
    assert found.mean_cosine == pytest.approx(sum(cosines) / len(cosines), abs=1e-12)
    assert found.overlap == pytest.approx((6 + 0.9 + 0.9) / QUERIES)
    change = (1 / log2(3) - 1) / QUERIES  # the relevant document of one query is the second one now
    assert (found.ndcg, found.ndcg_change) == (pytest.approx(1 + change), pytest.approx(change))
    assert found.ndcg_share == pytest.approx(1 + change)
    assert found.ndcg_p == 1  # one query that differs may as well have gone the other way
    assert found.kept == "not shown"


def test_what_no_query_keeps_is_worse_and_what_all_keep_is_shown(ranking):
    reference, _ = ranking()
    swapped, _ = ranking({number: [(0, 1)] for number in range(QUERIES)})
    found = quality(reference, swapped, KEEP)
    assert found.ndcg_share_interval == pytest.approx((1 / log2(3),) * 2)
    assert found.ndcg_interval == pytest.approx((1 / log2(3) - 1,) * 2)
    assert found.ndcg_p == pytest.approx(2 / 2**QUERIES)
    assert (found.kept, quality(reference, swapped, Keep("ndcg", 0.63)).kept) == ("worse", "shown")
    same = quality(reference, reference, KEEP)
    assert (same.least_cosine, same.overlap, same.ndcg_change, same.ndcg_p) == (1, 1, 0, 1)
    assert same.kept == quality(reference, reference, Keep("ndcg", 1.0)).kept == "shown"


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (Keep("overlap", 0.98), "worse"),
        (Keep("overlap", 0.97), "shown"),
        (Keep("cosine", 0.999), "worse"),
        (Keep("cosine", 0.99), "shown"),
    ],
)
def test_without_judgements_vectors_or_rankings_decide(keep, expected, ranking):
    reference, _ = ranking(judged=False)
    candidate, _ = ranking({0: [(9, 10)], 1: [(9, 11)]}, judged=False)  # overlap 97.5%, cosine 0.9938
    found = quality(reference, candidate, keep)
    assert found.kept == expected and found.ndcg is found.ndcg_share_interval is None
    with pytest.raises(ValueError, match="ndcg"):
        quality(reference, candidate, KEEP)


@pytest.mark.parametrize(
    ("interval", "expected"),
    [((0.991, 1.02), "shown"), ((0.97, 0.98), "worse"), ((0.97, 1.0), "not shown"), (None, "not shown")],
)
def test_the_whole_interval_decides(interval, expected):
    assert kept_of(KEEP, {"ndcg": interval}) == expected


def test_queries_of_one_winner_are_judged_among_the_passages_of_the_other(ranking):
    reference, _ = ranking()
    swapped, _ = ranking({number: [(0, 1)] for number in range(QUERIES)})
    names = SimpleNamespace(reference=SimpleNamespace(name="reference"))
    judge = Judge(names, {}, SimpleNamespace(collection=FewJudged()), KEEP, None, None, 0)
    rankings = {"reference": reference, "rounded": swapped, "equal": reference}
    judge.rankings = {(profile, name): one for profile in PROFILES for name, one in rankings.items()}
    found = judge.together("rounded", "equal")["together"]
    assert (found["queries"], found["passages"], found["kept"]) == ("rounded", "equal", "worse")
    assert found["ndcg"] == pytest.approx(1 / log2(3)) and found["least_cosine"] < 1
    assert judge.together("equal", "rounded")["together"]["ndcg"] == 1  # whose documents are the same
    for pair in (("rounded", "rounded"), ("rounded", None), ("nobody", "equal")):
        assert judge.together(*pair) == {}
    judge.keep = Keep("tasks", 0.99)
    assert judge.together("rounded", "equal")["together"]["kept"] is None


class OtherAlone(FakeEncoder):
    """As an engine whose graph of one text rounds otherwise: each query finds another document first."""

    looks = 0

    def encode(self, texts, role):
        (vectors,) = FakeEncoder("alone", {number: [(0, 1)] for number in range(QUERIES)}).encode_chunks([texts], role)
        self.encoded += [f"{text} alone" for text in texts]
        assert (len(texts), role) == (1, "query")
        return vectors

    def look_again(self):
        assert self.encoded[-1] == f"q{QUERIES - 1} alone"
        self.looks += 1


def test_queries_one_at_a_time_are_judged_as_they_run(tmp_path):
    encoder = OtherAlone("other alone")
    batched = Ranking.of(encoder, FewJudged(), tmp_path)
    alone = batched.one_at_a_time(encoder, FewJudged(), tmp_path)
    assert batched.evaluation.means()["ndcg_cut_10"] == 1
    assert alone.evaluation.means()["ndcg_cut_10"] == pytest.approx(1 / log2(3)) and alone.passages is batched.passages
    assert encoder.encoded[-QUERIES:] == [f"q{number} alone" for number in range(QUERIES)] and encoder.looks == 1
    count = len(encoder.encoded)
    batched.one_at_a_time(encoder, FewJudged(), tmp_path)
    assert len(encoder.encoded) == count  # from the cache, which keeps them apart
    assert Ranking.of(encoder, FewJudged(), tmp_path).evaluation.means()["ndcg_cut_10"] == 1


def test_texts_are_encoded_once(ranking):
    _, first = ranking(name="one")
    again, second = ranking(name="one")
    assert len(first.encoded) == DOCUMENTS + QUERIES and second.encoded == []
    assert again.evaluation.means()["ndcg_cut_10"] == 1
