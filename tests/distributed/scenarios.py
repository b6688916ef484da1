"""What the ranks of a test do. Each function is the whole program of one rank."""

import contextlib
import ctypes
import json
import os
import signal
import sys
import time

import numpy as np
import torch

from fmbench.distributed import DistributedRetriever, Group, measured_weights, merge_topk, share_of, shares
from fmbench.errors import FmbenchError, UsageError
from fmbench.measure import FakeClock
from fmbench.search import Block, search, write_run
from fmbench.search.torch_engine import TorchEngine

DOCUMENTS, DIMENSIONS, K = 211, 12, 9
# How many of the twelve queries each rank has, by the number of ranks.
CROWDED = 8  # seconds: so much later one rank may start than another where all jobs start at once
QUERIES = {1: [12], 2: [12, 0], 3: [0, 5, 7], 5: [3, 0, 4, 5, 0]}


class Corpus:
    """Vectors of which many are equal, in memory, with the interface of embeddings."""

    def __init__(self, documents=DOCUMENTS):
        generator = np.random.default_rng(0)
        pool = generator.standard_normal((documents // 5 + 1, DIMENSIONS)).astype(np.float16)
        self.vectors = pool[generator.integers(0, len(pool), documents)]
        self.ids = [f"d {number}é" for number in generator.permutation(documents)]

    def __len__(self):
        return len(self.ids)

    def blocks(self, rows):
        for start in range(0, len(self), 50):
            yield Block(self.ids[start : start + 50], self.vectors[start : start + 50])


def queries():
    return np.random.default_rng(1).standard_normal((12, DIMENSIONS)).astype(np.float32)


def agree(folder):
    """Everything that must not depend on the number of ranks."""
    with Group() as group:
        check_sending(group)
        check_weights(group)
        search_shares(group, folder)
        for sharded in (True, False):
            retrieve(group, folder, sharded)
        check_refusals(group)


def check_sending(group):
    mine = torch.full((group.rank, 2), group.rank, dtype=torch.int64)
    wanted = [torch.full((rank, 2), rank, dtype=torch.int64) for rank in range(group.world_size)]
    same(group.gather_all(mine), wanted)
    found = group.gather(mine.to(torch.uint8))
    assert (found is None) == (group.rank > 0)
    if found is not None:
        same(found, [tensor.to(torch.uint8) for tensor in wanted])
    sent = [torch.full((rank,), group.rank * 10.0 + rank) for rank in range(group.world_size)]
    received = group.exchange(sent, [group.rank] * group.world_size)
    same(received, [torch.full((group.rank,), rank * 10.0 + group.rank) for rank in range(group.world_size)])


def same(found, wanted):
    assert len(found) == len(wanted)
    for left, right in zip(found, wanted, strict=True):
        assert left.dtype == right.dtype
        assert torch.equal(left, right)


def check_weights(group):
    worked = []
    assert measured_weights(group, lambda: worked.append(1), "one device") == [1.0] * group.world_size
    assert worked == []
    clock = FakeClock([0, 1000 * (group.rank + 1)])
    weights = measured_weights(group, lambda: worked.append(1), f"device {group.rank}", clock)
    if group.world_size > 1:
        assert weights == [1 / (rank + 1) for rank in range(group.world_size)]
        assert worked == [1, 1]


def search_shares(group, folder):
    corpus = Corpus()
    names = [f"q{number}" for number in range(12)]
    weights = [float(rank != 1) for rank in range(group.world_size)]  # the second rank has nothing to search
    for similarity in ("dot", "cosine"):
        mine = shares(len(corpus), weights)[group.rank]
        part = slice(mine.start, mine.stop)
        block = Block(corpus.ids[part], corpus.vectors[part])
        found = search(
            queries(), names, [block], K, similarity, engine=TorchEngine(), ignore_identical_ids=False, first=mine.start
        )
        merged = merge_topk(group, found, K)
        everywhere = merge_topk(group, found, K, broadcast=True)
        assert (merged is None) == (group.rank > 0)
        write_run(folder / f"{similarity}-{group.world_size}-{group.rank}.jsonl", everywhere, "jsonl")
        if merged is not None:
            assert merged.ids == everywhere.ids
            assert [row.tolist() for row in merged.positions] == [row.tolist() for row in everywhere.positions]
    nothing = merge_topk(
        group, search(queries()[:0], [], [], K, engine=TorchEngine(), ignore_identical_ids=False), K, broadcast=True
    )
    assert nothing.query_ids == ()
    if group.world_size > 1:
        with refused(FmbenchError, "rank 1 searched for other queries than rank 0"):
            merge_topk(
                group,
                search(queries()[:1], [f"q{group.rank}"], [], K, engine=TorchEngine(), ignore_identical_ids=False),
                K,
            )


def retrieve(group, folder, sharded):
    corpus = Corpus()
    part = share_of(corpus, group, sharded=sharded)
    if not sharded:
        assert len(part) == (len(corpus) if group.rank == 0 else 0)
    documents = {name: {"title": name.upper()} for name in corpus.ids}
    embeddings = part if sharded or group.rank == 0 else None
    retriever = DistributedRetriever(embeddings, documents, group, engine=TorchEngine())
    retriever.init_retrieval()
    counts = QUERIES[group.world_size]
    mine = shares(12, counts)[group.rank]
    asked = queries()[mine.start : mine.stop]
    vectors, positions, found = retriever.retrieve(torch.from_numpy(asked) if group.rank % 2 else asked, K)
    assert (vectors.shape, vectors.dtype) == ((len(asked), K, DIMENSIONS), np.float32)
    assert (positions.shape, positions.dtype) == ((len(asked), K), np.int64)
    assert (vectors == corpus.vectors[positions]).all()
    assert found == [[documents[corpus.ids[row]] for row in rows] for rows in positions]
    again = retriever.retrieve(asked[:0], 1)  # no rank asks for anything
    assert (again[0].shape, again[1].shape, again[2]) == ((0, 1, DIMENSIONS), (0, 1), [])
    path = folder / f"retrieved-{sharded}-{group.world_size}-{group.rank}.json"
    path.write_text(json.dumps([positions.tolist(), [[item["title"] for item in row] for row in found]]))


class refused:  # noqa: N801 (reads like pytest.raises, which a rank has not)
    def __init__(self, kind, text):
        self.kind, self.text = kind, text

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        assert kind is self.kind, (kind, error)
        assert self.text in str(error), error
        return True


def check_refusals(group):
    """What is wrong on one rank is refused on all, and then the next question is answered."""
    corpus, last = Corpus(), group.world_size - 1
    retriever = DistributedRetriever(share_of(corpus, group), {}, group)
    with refused(FmbenchError, "call init_retrieval() first"):
        retriever.retrieve(queries(), 1)
    retriever.init_retrieval()
    with refused(UsageError, "n_docs = 212: the corpus has 211 documents"):
        retriever.retrieve(queries(), DOCUMENTS + 1)
    bad = queries()[:2]
    if group.rank == last:
        bad[1, 3] = np.nan
    with refused(UsageError, f"rank {last}: a query holds NaN"):
        retriever.retrieve(bad, 1)
    with refused(UsageError, f"rank {last}: queries (n, 12) are needed"):
        retriever.retrieve(queries()[:, :5] if group.rank == last else queries(), 1)
    with refused(UsageError, f"rank {last}: queries (n, 12) are needed"):
        retriever.retrieve(queries()[0] if group.rank == last else queries(), 1)
    if last:
        with refused(UsageError, f"rank {last} asks for 2 documents a query, rank 0 for 1"):
            retriever.retrieve(queries(), 1 + (group.rank == last))
    with refused(UsageError, "is in the index and not in the collection"):
        retriever.retrieve(queries()[:1], 1)
    if last:
        corpus.vectors = corpus.vectors[:, : 12 - (group.rank == last)]
        with refused(UsageError, f"rank {last} holds vectors of 11 dimensions, another rank of 12"):
            DistributedRetriever(share_of(corpus, group), {}, group).init_retrieval()


def guest(folder):
    """A program that has a process group of its own, and keeps it."""
    torch.distributed.init_process_group("gloo")
    with Group() as group:
        same(group.gather_all(torch.ones(1)), [torch.ones(1)] * group.world_size)
    torch.distributed.barrier()
    with Group() as group:  # and once more
        group.barrier()
    torch.distributed.destroy_process_group()


def left_open(folder):
    """Nobody closes the group, and rank 0 is ready first."""
    group = Group(patience=CROWDED)
    group.barrier()
    if group.rank == 1:
        time.sleep(CROWDED + 2)


def failing_outside(folder):
    """One rank has an exception, and nobody uses the group as a context."""
    group = Group()
    if group.rank == 1:
        raise ValueError("a bad number")
    group.barrier()


VICTIM = 2


def killed(folder):
    """One rank is killed while one waits for it, and one computes where nothing can interrupt it."""
    with Group() as group:
        group.barrier()
        if group.rank == VICTIM:
            os.kill(os.getpid(), signal.SIGKILL)
        if group.rank == 1:
            ctypes.CDLL(None).sleep(300)
        group.barrier()


def killed_unnoticed(folder):
    """One rank is killed while nobody waits for it."""
    with Group(patience=CROWDED) as group:
        temporary = folder / f"temporary-{group.rank}-unnoticed"
        if group.rank != VICTIM:
            temporary.write_text("")  # before anybody dies, however slow the disk is
        try:
            group.barrier()
            if group.rank == VICTIM:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(300)
        finally:
            temporary.unlink()


def first_killed(folder):
    """Rank 0, which serves the store, is killed."""
    with Group() as group:
        group.barrier()
        if group.rank == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if group.rank == 1:
            time.sleep(300)
        group.barrier()


def failing(folder):
    """One rank has an exception."""
    with Group() as group:
        group.barrier()
        if group.rank == 1:
            raise ValueError("a bad number\nand more")
        group.barrier()


def first_refusing(folder):
    """Rank 0 refuses what it is given, and takes its time to end; the others wait with a file for their finally."""
    with contextlib.ExitStack() as stack, Group() as group:
        temporary = folder / f"temporary-{group.rank}"
        temporary.write_text("")  # before anybody fails, however slow the disk is
        try:
            group.barrier()
            if group.rank == 0:
                stack.callback(time.sleep, 4)
                raise UsageError("--corpus: is empty")
            group.barrier()
        finally:
            temporary.unlink()


def slow(folder):
    """Ranks that come late, but live, are waited for. A crowded machine may hold their heartbeats up for seconds."""
    with Group(patience=10) as group:
        time.sleep(12 * (group.rank == 1))
        group.barrier()


if __name__ == "__main__":  # under torchrun
    from pathlib import Path

    from fmbench.console import run_main

    sys.exit(run_main(sys.argv[1], lambda: globals()[sys.argv[1]](Path(sys.argv[2])) or 0))
