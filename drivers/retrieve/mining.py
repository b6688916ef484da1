"""Mining: deep enough a search for every query, scores of the positives, negatives by the rules."""

from collections.abc import Collection, Mapping

import numpy as np

from fmbench.collection import Dataset
from fmbench.distributed import Group
from fmbench.distributed.merging import merge_everywhere
from fmbench.ranking.mining import Mined, Rules, depth_groups, mine
from fmbench.search import Block, TopK
from fmbench.search.exact import ExactScores
from fmbench.search.topk import UNKNOWN, best

from .arguments import RetrieveArguments
from .searching import Searched

ALL = 2**31  # more documents than any query has positives

Scores = dict[str, dict[str, float]]


def rules_of(arguments: RetrieveArguments) -> Rules:
    """Return the rules of a command line. Raises UsageError for values that make no sense."""
    sampled = arguments.sample is not None
    return Rules(
        count=arguments.sample or arguments.depth,
        pool=arguments.depth if sampled else None,
        leave_out_judged=arguments.no_annot_in_mined_hn,
        skip_first=arguments.skip_first,
        max_score=arguments.max_negative_score,
        absolute_margin=arguments.absolute_margin,
        relative_margin=arguments.relative_margin,
        threshold=arguments.ir_metrics_relevance_threshold,
        seed=arguments.seed if sampled else None,
    )


def mined_from(found: Searched, dataset: Dataset, rules: Rules, group: Group) -> Mined:
    """Search every query as deep as it needs, and mine. Every rank returns the same."""
    run: Scores = {}
    for depth, queries in depth_groups(found.queries.ids, dataset.qrels, rules).items():
        run |= found.top(depth, queries).run()
    positives = None
    if dataset.qrels and rules.has_margin:
        positives = pair_scores(found, dataset.qrels.relevant(rules.threshold), group)
    return mine({query: run[query] for query in found.queries.ids}, dataset.qrels, rules, positives)


def pair_scores(found: Searched, pairs: Mapping[str, Collection[str]], group: Group) -> Scores:
    """Return the score of every pair of query and document, whether the search found it or not, on every rank.

    `pairs` are documents by query; those that the data set lacks have no score.
    """
    ids = found.queries.ids
    places = {name: place for place, name in enumerate(ids)}
    wanted: dict[str, list[int]] = {}
    for query, documents in pairs.items():
        for document in documents:
            if query in places:
                wanted.setdefault(document, []).append(places[query])
    exact = ExactScores(found.queries.as_array().astype(np.float32), found.similarity)
    hits: dict[str, list[tuple[float, str, int]]] = {name: [] for name in ids}
    for block in found.blocks():
        for place, document, score in scored(block, wanted, exact):
            hits[ids[place]].append((score, document, UNKNOWN))
    mine_only = TopK.of(hits, (best(each, ALL) for each in hits.values()))
    return merge_everywhere(group, mine_only, ALL).run()


def scored(block: Block, wanted: dict[str, list[int]], exact: ExactScores) -> list[tuple[int, str, float]]:
    """Return (query, document, score) of the wanted pairs whose document is in a block."""
    pairs = [(query, row) for row, name in enumerate(block.ids) for query in wanted.get(name, ())]
    if not pairs:
        return []
    queries, rows = np.array(pairs).T
    values = exact.of(queries, block.vectors, rows, threads=1).tolist()
    return [(query, block.ids[row], value) for (query, row), value in zip(pairs, values, strict=True)]
