"""Exact search: the k best documents of every query, the same ones on every engine.

An engine multiplies fast and roughly. Its error has a known bound, so that the few documents that may be among the
best are known for certain; those are scored exactly. Equal scores are ordered by document id, so that neither the
engine, nor the size of blocks, nor the number of processes shows in a result.
"""

from .block import Block
from .choice import choose_engine, default_engine
from .exact import Similarity
from .latency import Latency, measure_latency
from .runs import write_run
from .searcher import Index, Searcher, search
from .topk import TopK, merge

__all__ = [
    "Block",
    "Index",
    "Latency",
    "Searcher",
    "Similarity",
    "TopK",
    "choose_engine",
    "default_engine",
    "measure_latency",
    "merge",
    "search",
    "write_run",
]
