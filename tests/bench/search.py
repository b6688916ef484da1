"""Exact search against two others, on the same vectors and threads, in turn: the ratios of each round.

1,000 queries, 200,000 documents of 384 dimensions, k = 100. Ours takes the vectors as they come and returns ids and
exact scores; faiss has its index built before, and the re-implementation of Trove's collector ends with ids as well.
Trove multiplies a batch of documents with a batch of queries. With vectors that are there already (as here) the former
is its --per_device_matmul_batch_size, the latter the batch that it encodes with.

And an index of 1,000,000 random documents (`python -m tests.bench.search million` measures that alone).
"""

import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

from fmbench.backend import find
from fmbench.search import Block, Index, TopK, choose_engine, search
from fmbench.stats import median

QUERIES, DOCUMENTS, DIMENSIONS, K = 1000, 200_000, 384, 100
# Documents and queries at once: what Trove's documents suggest, with an encoding batch of 256; the best for Trove here,
# all queries at once; and the same with documents that caches hold.
BATCHES = ((40_960, 256), (40_960, QUERIES), (4096, QUERIES))
ROUNDS = 7
MILLION = 1_000_000
# Of queries at once: the goal, as times as fast as faiss, and the rounds.
AT_ONCE = {1: ("1.0", 15), 1000: ("1.5", 5)}


class FastResultHeapqReimplementation:
    """Trove's collector as its behaviour is described, written anew: top-k of each batch, merged into that of before.

    Scores and numbers stay tensors; numbers become ids at the end. One for each batch of queries.
    """

    def __init__(self, k: int, ids: list[str]) -> None:
        self._k, self._ids = k, ids
        self._scores = self._numbers = self._pending = None

    def add_documents(self, first: int, scores: "object") -> None:
        """Take the scores (queries, batch) of one batch of documents, from the first-th on."""
        import torch

        self._merge()
        values, columns = torch.topk(scores, min(self._k, scores.shape[1]), dim=1)
        self._pending = (values, columns + first)

    def _merge(self) -> None:
        import torch

        if self._pending is None:
            return
        values, numbers = self._pending
        if self._scores is not None:
            values = torch.cat([self._scores, values], dim=1)
            numbers = torch.cat([self._numbers, numbers], dim=1)
            values, chosen = torch.topk(values, min(self._k, values.shape[1]), dim=1)
            numbers = numbers.gather(1, chosen)
        self._scores, self._numbers, self._pending = values, numbers, None

    def export(self) -> list[list[tuple[str, float]]]:
        """Return ids and scores."""
        self._merge()
        pairs = zip(self._numbers.tolist(), self._scores.tolist(), strict=True)
        return [[(self._ids[number], score) for number, score in zip(*both, strict=True)] for both in pairs]


def ratios(rounds: int = ROUNDS) -> dict[str, float]:
    """Return the median over rounds of our seconds as a share of each other's, and of its own."""
    seconds: dict[str, list[float]] = {}
    calls = contestants()
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds.setdefault(name, []).append(time.perf_counter() - start)
    ours = seconds.pop("fmbench")
    return {
        name: median([mine / other for mine, other in zip(ours, theirs, strict=True)])
        for name, theirs in seconds.items()
    }


def contestants() -> dict[str, Callable[[], object]]:
    """Return the searches by name. They find the same documents."""
    import faiss
    import torch

    generator = np.random.default_rng(0)
    documents, queries = (unit(generator, count) for count in (DOCUMENTS, QUERIES))
    ids, query_ids = (
        [f"{letter}{number}" for number in range(count)] for letter, count in (("d", DOCUMENTS), ("q", QUERIES))
    )
    index = faiss.IndexFlatIP(DIMENSIONS)
    index.add(documents)
    backend = find("cpu")

    def ours() -> TopK:
        engine = choose_engine(backend, DIMENSIONS)
        return search(queries, query_ids, [Block(ids, documents)], K, engine=engine, ignore_identical_ids=False)

    def trove(many: int, asked: int) -> list[list[tuple[str, float]]]:
        left, right = torch.from_numpy(queries).split(asked), torch.from_numpy(documents)
        collectors = [FastResultHeapqReimplementation(K, ids) for _ in left]
        for first in range(0, DOCUMENTS, many):
            for some, collector in zip(left, collectors, strict=True):
                collector.add_documents(first, some @ right[first : first + many].T)
        return [pairs for collector in collectors for pairs in collector.export()]

    check(ours(), index.search(queries, K)[1], trove(*BATCHES[0]))
    return {
        "fmbench": ours,
        "faiss IndexFlatIP": lambda: index.search(queries, K),
        **{f"Trove {batches}": lambda batches=batches: trove(*batches) for batches in BATCHES},
    }


def of_a_million() -> Iterator[tuple[int, int, float]]:
    """Yield queries at once, k, and how many times as fast as faiss an index of a million documents is, in turn.

    Both indexes are there before; the middle of the rounds. They find the same documents, else the bench stops.
    """
    import faiss

    generator = np.random.default_rng(0)
    documents, queries = unit(generator, MILLION), unit(generator, max(AT_ONCE))
    blocks = [Block([f"d{number}" for number in range(MILLION)], documents)]
    ours, theirs = Index(blocks, "dot", choose_engine(find("cpu"), DIMENSIONS)), faiss.IndexFlatIP(DIMENSIONS)
    theirs.add(documents)
    names = [f"q{number}" for number in range(len(queries))]
    for count, (_, rounds) in AT_ONCE.items():
        for k in (10, 100):
            found = []
            for _ in range(rounds + 1):
                start = time.perf_counter()
                top = ours.search(queries[:count], names[:count], k)
                middle = time.perf_counter()
                _, chosen = theirs.search(queries[:count], k)
                found.append((time.perf_counter() - middle) / (middle - start))
                same(top, chosen)
            yield count, k, median(found[1:])


def unit(generator: np.random.Generator, count: int) -> np.ndarray:
    """Return random vectors of length 1."""
    vectors = generator.standard_normal((count, DIMENSIONS), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def check(ours: TopK, faiss_rows: np.ndarray, trove: list[list[tuple[str, float]]]) -> None:
    """Stop where the searches do not find the same: then the ratio would mean nothing."""
    same(ours, faiss_rows)
    if any(set(ids) != {name for name, _ in pairs} for ids, pairs in zip(ours.ids, trove, strict=True)):
        raise SystemExit("the searches do not find the same documents")


def same(ours: TopK, faiss_rows: np.ndarray) -> None:
    """Stop where faiss does not find the same."""
    for positions, rows in zip(ours.positions, faiss_rows, strict=True):
        if set(positions.tolist()) != set(rows.tolist()):
            raise SystemExit("the searches do not find the same documents")


def rows() -> Iterator[tuple[str, str, str]]:
    """Yield (what, the target, the figure)."""
    found = ratios()
    size = f"{QUERIES:,} x {DOCUMENTS:,} x {DIMENSIONS}, k = {K}"
    yield (
        f"exact search, {size}: seconds as a share of faiss IndexFlatIP's",
        "1.00",
        f"{found['faiss IndexFlatIP']:.2f}",
    )
    for batches in BATCHES:
        what = "the same: of Trove's FastResultHeapq, re-implemented, {:,} documents and {:,} queries at once"
        yield what.format(*batches), "0.50", f"{found[f'Trove {batches}']:.2f}"
    for count, k, ratio in of_a_million():
        what = f"exact search, {count:,} x {MILLION:,} x {DIMENSIONS}, k = {k}: times as fast as faiss IndexFlatIP"
        yield what, AT_ONCE[count][0], f"{ratio:.2f}"


if __name__ == "__main__":
    print(*(of_a_million() if sys.argv[1:] == ["million"] else rows()), sep="\n")
