"""Several processes as one: sharding, merging, retrieval, and the end of all of them when one dies.

Every process (a rank) is started by torchrun, or with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT in its environment.
One process alone needs none of it. Ranks exchange tensors on the CPU, through gloo, and nothing that is pickled.
"""

from .group import Group
from .merging import merge_topk
from .retriever import DistributedRetriever, share_of
from .sharding import measured_weights, shares

__all__ = ["DistributedRetriever", "Group", "measured_weights", "merge_topk", "share_of", "shares"]
