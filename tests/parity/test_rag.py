"""The RAG example of transformers, of which FMBENCH_RAG_SCRIPT is eval_rag.py: precision at k, and its retriever."""

import os
import random
import re
from pathlib import Path

import numpy as np
import pytest

from fmbench.distributed import DistributedRetriever
from fmbench.ranking.pages import read_pages, write_pages
from fmbench.ranking.precision_curve import page_curve
from fmbench.search import Block

from .peers import run_peer

TITLES = [f"Title {number} of 'a' page" for number in range(60)]
K_VALUES = (1, 2, 3, 5, 10)


@pytest.fixture
def script():
    found = os.environ.get("FMBENCH_RAG_SCRIPT")
    return Path(found) if found else pytest.skip("FMBENCH_RAG_SCRIPT names no eval_rag.py")


@pytest.mark.parametrize("seed", range(5))
def test_the_curve_is_that_of_the_published_script(script, tmp_path, seed):
    draw = random.Random(seed)
    predictions = [draw.choices(TITLES, k=10) for _ in range(200)]  # several passages of one page
    gold = [draw.choices(titles + TITLES, k=draw.randint(1, 4)) for titles in predictions]
    write_pages(predictions, tmp_path / "predictions")
    write_pages(gold, tmp_path / "gold")
    words = (script, tmp_path / "predictions", tmp_path / "gold", ",".join(map(str, K_VALUES)))
    said = re.findall(r"Precision@\d+: +([\d.]+)", run_peer("RAG", "rag_peer.py", *words))
    curve = page_curve(read_pages(tmp_path / "predictions"), read_pages(tmp_path / "gold"), K_VALUES)
    assert [f"{100 * value:.2f}" for value in curve.values["precision"]] == said


class Corpus:
    """Vectors of documents, named by their places."""

    def __init__(self, vectors):
        self.vectors = vectors

    def __len__(self):
        return len(self.vectors)

    def blocks(self, rows):
        yield Block([str(place) for place in range(len(self))], self.vectors)


def test_every_rank_is_answered_as_by_the_published_retriever(script, tmp_path):
    draw = np.random.default_rng(5)
    documents, queries = (draw.normal(size=(count, 32)).astype(np.float32) for count in (500, 12))
    np.savez(tmp_path / "in.npz", documents=documents, queries=queries)
    run_peer("RAG", "rag_retriever_peer.py", script.parent, tmp_path / "in.npz", tmp_path / "out", 7)
    said = [np.load(tmp_path / f"out-{rank}.npz") for rank in range(2)]
    retriever = DistributedRetriever(Corpus(documents), {str(place): {} for place in range(500)})
    retriever.init_retrieval()
    vectors, positions, _ = retriever.retrieve(queries, 7)
    assert (positions == np.concatenate([one["ids"] for one in said])).all()
    assert (vectors == np.concatenate([one["vectors"] for one in said])).all()
