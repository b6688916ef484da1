"""Hard negatives by BM25 (extra `bm25`): the documents that share a query's words and are not relevant to it."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np

from fmbench.collection import Document
from fmbench.console import Progress
from fmbench.distribution import to_install
from fmbench.errors import UsageError
from fmbench.ranking.order import ordered

# Lucene's formula with the parameters of Anserini, by which BEIR's BM25 is known. Words are lowered; none is left out.
SETTINGS = {"method": "lucene", "k1": 0.9, "b": 0.4}


def bm25_negatives(
    corpus: Iterable[Document], queries: Mapping[str, str], relevant: Mapping[str, AbstractSet[str]], count: int
) -> dict[str, dict[str, float]]:
    """Return for each query, by id, the scores of its first `count` documents that share a word and are not relevant.

    The order is that of every ranking here, ties included. Raises UsageError where bm25s is missing.
    """
    try:
        import bm25s
    except ImportError:
        raise UsageError(f"--bm25_negatives needs bm25s: {to_install('bm25')}") from None
    names, texts = zip(*((document.id, document.passage) for document in corpus), strict=True)
    index = bm25s.BM25(**SETTINGS)
    index.index(words(bm25s, texts), show_progress=False)
    found: dict[str, dict[str, float]] = {}
    progress = Progress()
    for query, asked in zip(queries, words(bm25s, queries.values()), strict=True):
        progress.show(f"BM25: {len(found):,} of {len(queries):,} queries")
        left_out = {query, *relevant.get(query, ())}
        scores = index.get_scores(asked) if asked else np.zeros(len(names))
        # The last of the first has so many before it, and ties with what comes behind it.
        most = min(count + len(left_out), len(names))
        least = max(np.partition(scores, -most)[-most], np.finfo(np.float32).tiny)
        ranking = {names[place]: float(scores[place]) for place in np.flatnonzero(scores >= least)}
        kept = [name for name in ordered(ranking) if name not in left_out][:count]
        found[query] = {name: ranking[name] for name in kept}
    progress.clear()
    return found


def words(bm25s: Any, texts: Iterable[str]) -> list[list[str]]:
    """Return the words of texts."""
    found: list[list[str]] = bm25s.tokenize(list(texts), stopwords=None, return_ids=False, show_progress=False)
    return found
