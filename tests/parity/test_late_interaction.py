"""Late interaction as colbert-ai and PyLate compute it, on SciFact with real word pieces and a real body."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from fmbench.collection import Dataset
from fmbench.encoder import EncoderPlan
from fmbench.encoder.late import LateEncoder
from fmbench.search.maxsim import MaxSimSearcher

from ..encoder.conftest import text_arguments
from ..late_models import save_colbert
from .peers import run_peer

PASSAGES, QUERIES, DEPTH = 478, 80, 10
SCIFACT = Path(os.environ.get("FMBENCH_SCIFACT", Path(__file__).parents[3] / "shared" / "data" / "scifact"))
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    if not SCIFACT.is_dir():
        pytest.skip(f"{SCIFACT}: no SciFact there; name its folder with FMBENCH_SCIFACT")
    dataset = Dataset.from_folder(SCIFACT)
    passages = [document.passage for document, _ in zip(dataset.corpus, range(PASSAGES), strict=False)]
    queries = [query.text for query, _ in zip(dataset.queries, range(QUERIES), strict=False)]
    path = tmp_path_factory.mktemp("texts") / "texts.json"
    path.write_text(json.dumps({"passages": passages, "queries": queries}))
    return path


@pytest.fixture(scope="module", params=["minilm", "small"])
def checkpoint(request, tmp_path_factory, minilm):
    """A random head on MiniLM's body, or on a small one of random weights whose queries see their mask tokens."""
    root, small = tmp_path_factory.mktemp("colbert"), request.param == "small"
    body = small_body(root / "body", minilm) if small else minilm
    return save_colbert(root / "head", body, attend_to_mask_tokens=small, dim=96, query_maxlen=32, doc_maxlen=180)


def small_body(folder, minilm):
    """Write a BERT of two layers with MiniLM's word pieces."""
    import torch
    import transformers

    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    transformers.BertModel(transformers.BertConfig(initializer_range=0.3, **sizes)).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        shutil.copy(minilm / name, folder)
    return folder


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
