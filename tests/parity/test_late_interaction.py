"""Late interaction as colbert-ai and PyLate compute it, on SciFact with real word pieces and a real body."""

import json

import numpy as np
import pytest

from fmbench.encoder import EncoderPlan
from fmbench.encoder.late import LateEncoder
from fmbench.search.maxsim import MaxSimSearcher

from ..encoder.conftest import text_arguments
from .peers import run_peer

DEPTH = 10
pytestmark = pytest.mark.slow


def check(folder, texts, found):
    """Hold a folder's vectors, scores and rankings against a peer's."""
    said = json.loads(texts.read_text())
    encoder = LateEncoder(EncoderPlan.of(text_arguments(folder), late=True))
    queries, passages = encoder.encode(said["queries"], "query"), encoder.encode(said["passages"])
    assert passages.lengths.tolist() == found["lengths"].tolist()
    assert np.abs(queries.vectors - found["queries"].reshape(queries.vectors.shape)).max() < 1e-5
    assert np.abs(passages.vectors - found["passages"]).max() < 1e-5
    names = [f"{place:04d}" for place in range(len(passages))]
    searcher = MaxSimSearcher(queries, list(map(str, range(len(queries)))), DEPTH, "cpu", False)
    searcher.add(names, passages)
    top = searcher.finish()
    for query, scores in enumerate(found["scores"]):
        order = np.argsort(-scores, kind="stable")[:DEPTH]
        assert [int(name) for name in top.ids[query]] == order.tolist()
        assert np.abs(top.scores[query] - scores[order]).max() < 1e-4


def test_as_colbert_ai(checkpoint, texts, tmp_path, restore_torch):
    run_peer("COLBERT", "colbert_peer.py", checkpoint, texts, tmp_path / "found.npz")
    check(checkpoint, texts, np.load(tmp_path / "found.npz"))


def test_as_pylate_and_from_what_it_saves(checkpoint, texts, tmp_path, restore_torch):
    run_peer("PYLATE", "pylate_peer.py", checkpoint, texts, tmp_path / "found.npz", tmp_path / "saved")
    found = np.load(tmp_path / "found.npz")
    check(checkpoint, texts, found)
    check(tmp_path / "saved", texts, found)
