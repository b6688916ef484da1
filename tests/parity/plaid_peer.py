"""Run by the Python of colbert-ai: plaid_peer.py CHECKPOINT TEXTS.json INDEX SEED OUT.json [CENTROIDS.pt].

Makes an index as it does, from another seed than its own or with centroids that another build made, and says what its
own Searcher finds there.
"""

import json
import sys
from pathlib import Path

import torch
from colbert import Indexer, Searcher
from colbert.indexing.collection_indexer import CollectionIndexer
from colbert.infra import ColBERTConfig, Run, RunConfig, launcher

checkpoint, texts, index, seed, out, *centroids = sys.argv[1:]
own_seed = launcher.set_seed
launcher.set_seed = lambda _: own_seed(int(seed))
if centroids:
    CollectionIndexer._train_kmeans = lambda *_: torch.load(centroids[0]).float()
said = json.loads(Path(texts).read_text())
folder = Path(index)
with Run().context(RunConfig(nranks=1, avoid_fork_if_possible=True, index_root=str(folder.parent))):
    config = ColBERTConfig(nbits=4, index_bsize=32)
    Indexer(checkpoint, config=config, verbose=0).index(folder.name, said["passages"])
    searcher = Searcher(folder.name, collection=said["passages"], verbose=0)
    found = [searcher.search(query, k=10) for query in said["queries"]]
Path(out).write_text(json.dumps([dict(zip(ids, scores, strict=True)) for ids, _, scores in found]))
