"""Run by the Python of PyLate: pylate_peer.py CHECKPOINT TEXTS.json OUT.npz SAVED. Also saves the model its way."""

import json
import sys

import numpy as np
import torch
from pylate import models, scores

folder, texts, out, saved = sys.argv[1:]
with open(texts) as file:  # noqa: PTH123
    said = json.load(file)
model = models.ColBERT(folder, device="cpu")
queries = model.encode(said["queries"], is_query=True, convert_to_numpy=False, convert_to_tensor=True)
passages = model.encode(said["passages"], is_query=False, convert_to_numpy=False, convert_to_tensor=True)
found = [torch.cat([scores.colbert_scores(query[None], passage[None])[0] for passage in passages]) for query in queries]
lengths = np.array([len(passage) for passage in passages])
np.savez(out, scores=torch.stack(found), queries=torch.stack(list(queries)), passages=torch.cat(list(passages)),
         lengths=lengths)  # fmt: skip
model.save(saved)
