"""Run by a Python with transformers before 5: rag_retriever_peer.py FOLDER_OF_THE_SCRIPTS IN.npz OUT K. Two ranks ask.

The retriever is the published one; only its index, which would be a download, is a plain search here.
"""

import sys

import numpy as np
import torch
import torch.distributed as dist

RANKS, PORT = 2, 29_581


class PlainIndex:
    """Documents by inner product."""

    def __init__(self, documents: np.ndarray) -> None:
        self.documents = documents

    def init_index(self) -> None:
        """Nothing is to be loaded."""

    def get_top_docs(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and vectors."""
        ids = np.argsort(-(queries @ self.documents.T), axis=1, kind="stable")[:, :k]
        return ids, self.documents[ids]

    def get_doc_dicts(self, ids: np.ndarray) -> list[dict]:
        """Return nothing of the texts."""
        return [{} for _ in ids]


def ask(rank: int, folder: str, source: str, out: str, k: int) -> None:
    """Retrieve the rank's half of the queries."""
    sys.path.insert(0, folder)
    from distributed_pytorch_retriever import RagPyTorchDistributedRetriever

    said = np.load(source)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{PORT}", rank=rank, world_size=RANKS)
    retriever = RagPyTorchDistributedRetriever.__new__(RagPyTorchDistributedRetriever)
    retriever.index, retriever.batch_size, retriever.process_group = PlainIndex(said["documents"]), 8, None
    retriever._infer_socket_ifname = lambda: "lo"
    retriever.init_retrieval(PORT)
    vectors, ids, _ = retriever.retrieve(np.split(said["queries"], RANKS)[rank], k)
    np.savez(f"{out}-{rank}.npz", vectors=vectors, ids=ids)
    dist.destroy_process_group()


if __name__ == "__main__":
    scripts, given, target, depth = sys.argv[1:]
    torch.multiprocessing.spawn(ask, (scripts, given, target, int(depth)), nprocs=RANKS)
