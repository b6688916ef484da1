"""Reciprocal rank fusion: one ranking of several, by ranks alone (Cormack, Clarke and Büttcher, 2009)."""

from collections.abc import Mapping, Sequence

import numpy as np

from fmbench.search.topk import UNKNOWN, TopK

K = 60  # the paper's: how much less the first ranks count than 1, 1/2, 1/3

Run = Mapping[str, Sequence[str]]  # of each query its documents, best first


def fuse(runs: Sequence[Run], depth: int, k: int = K) -> TopK:
    """Return the `depth` best of each query by the sum of 1 / (k + rank) over runs, ranks from 1.

    Queries are those of any run, in the order in which they first come; equal sums are ordered by document id, as
    everywhere. A document that a run does not have gets nothing from it.
    """
    queries = list(dict.fromkeys(query for run in runs for query in run))
    hits = []
    for query in queries:
        sums: dict[str, float] = {}
        for run in runs:
            for rank, name in enumerate(run.get(query, ()), start=1):
                sums[name] = sums.get(name, 0.0) + 1 / (k + rank)
        scored = [(float(np.float32(score)), name, UNKNOWN) for name, score in sums.items()]
        hits.append(sorted(scored, reverse=True)[:depth])
    return TopK.of(queries, hits)
