"""Run by the Python of colbert-ai: colbert_peer.py CHECKPOINT TEXTS.json OUT.npz. Vectors, and scores of all pairs."""

import json
import sys

import numpy as np
import torch
from colbert.infra import ColBERTConfig
from colbert.modeling.checkpoint import Checkpoint
from colbert.modeling.colbert import colbert_score

folder, texts, out = sys.argv[1:]
with open(texts) as file:  # noqa: PTH123
    said = json.load(file)
checkpoint = Checkpoint(folder, colbert_config=ColBERTConfig(checkpoint=folder), verbose=0)
queries = checkpoint.queryFromText(said["queries"])
passages = checkpoint.docFromText(said["passages"], bsize=32, keep_dims=False)[0]
lengths = torch.tensor([len(passage) for passage in passages])
padded = torch.nn.utils.rnn.pad_sequence(passages, batch_first=True)
mask = (torch.arange(padded.shape[1]) < lengths[:, None])[..., None]
scores = torch.stack([colbert_score(query[None], padded, mask) for query in queries])
np.savez(out, scores=scores, queries=queries, passages=torch.cat(passages), lengths=lengths)
