"""What the cases of late interaction share: a part of SciFact, and ColBERT checkpoints on MiniLM's word pieces."""

import json
import os
import shutil
from itertools import islice
from pathlib import Path

import pytest

from fmbench.collection import Dataset

from ..late_models import save_colbert

PASSAGES, QUERIES = 478, 80
SCIFACT = Path(os.environ.get("FMBENCH_SCIFACT", Path(__file__).parents[3] / "shared" / "data" / "scifact"))


@pytest.fixture(scope="session")
def collection(tmp_path_factory):
    """SciFact's first queries, the passages that are judged for them, and as many others, in a folder of its kind."""
    if not SCIFACT.is_dir():
        pytest.skip(f"{SCIFACT}: no SciFact there; name its folder with FMBENCH_SCIFACT")
    dataset, folder = Dataset.from_folder(SCIFACT), tmp_path_factory.mktemp("collection") / "scifact"
    (folder / "qrels").mkdir(parents=True)
    queries = list(islice(dataset.queries, QUERIES))
    gains = {query.id: dataset.qrels.gains[query.id] for query in queries}
    judged = {document for found in gains.values() for document in found}
    ids = [document.id for document in dataset.corpus]
    chosen = judged | set(islice((name for name in ids if name not in judged), PASSAGES - len(judged)))
    rows = [row for row in (SCIFACT / "corpus.jsonl").open(encoding="utf-8") if json.loads(row)["_id"] in chosen]
    (folder / "corpus.jsonl").write_text("".join(rows), encoding="utf-8")
    said = "".join(json.dumps({"_id": query.id, "text": query.text}) + "\n" for query in queries)
    (folder / "queries.jsonl").write_text(said, encoding="utf-8")
    rows = [f"{query}\t{document}\t{gain}\n" for query, found in gains.items() for document, gain in found.items()]
    (folder / "qrels" / "test.tsv").write_text("".join(["query-id\tcorpus-id\tscore\n", *rows]), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def texts(collection):
    """A file of the collection's texts, as the peers read them."""
    dataset = Dataset.from_folder(collection)
    passages, queries = [each.passage for each in dataset.corpus], [each.text for each in dataset.queries]
    assert (len(passages), len(queries)) == (PASSAGES, QUERIES)
    path = collection.parent / "texts.json"
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
