"""Reading the run files that a search wrote: TREC, TSV or JSON lines."""

import json
from pathlib import Path

import numpy as np


def read_run(path: Path) -> dict[str, dict[str, float]]:
    """Return the scores, of float32, as `run[query id][document id]`, in the order of the file."""
    run: dict[str, dict[str, float]] = {}
    for line in path.read_text().split("\n")[:-1]:
        if line.startswith('{"qid": '):
            row = json.loads(line)
            run[row["qid"]] = {
                name: float(np.float32(score)) for name, score in zip(row["docid"], row["score"], strict=True)
            }
            continue
        fields = line.split("\t")
        if len(fields) == 4:
            query, name, _, score = fields
        else:
            query, _, name, _, score, _ = line.split(" ")
        run.setdefault(query, {})[name] = float(np.float32(score))
    return run
