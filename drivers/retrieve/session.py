"""One run of the retrieval driver: the encoder, the log, and the processes that share the work."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fmbench import lines
from fmbench.clock import Clock
from fmbench.console import Progress, note
from fmbench.embeddings import Embeddings, open_or_encode
from fmbench.encoder import Encoder, Role, Timings
from fmbench.encoder.plan import EncoderPlan
from fmbench.collection import Texts
from fmbench.log import LogWriter
from fmbench.opening import platform_facts, run_facts, write_arguments

from .arguments import RetrieveArguments

TIMED = "encode and search"
PERCENTILES = {"p50": 50, "p95": 95, "p99": 99}


@dataclass
class Session:
    """What every task works with."""

    arguments: RetrieveArguments
    encoder: Encoder
    log: LogWriter
    clock: Clock

    @property
    def similarity(self) -> str:
        """What vectors are compared by: the command line's, else what the model's folder publishes, else cosine."""
        return self.arguments.similarity or self.encoder.similarity or "cosine"

    def embed(self, texts: Texts, role: Role, dataset: str) -> Embeddings:
        """Return the vectors of texts, and print what that took."""
        self.encoder.timings = Timings()
        progress = Progress()
        start = self.clock.now()
        found = open_or_encode(
            self.arguments.encoding_cache_dir,
            texts,
            self.encoder,
            role,
            progress=lambda done, count: progress.show(f"{dataset}: {done:,} of {count:,} {role} texts encoded"),
        )
        progress.clear()
        seconds = (self.clock.now() - start) / 1e9
        self.write_encoding(dataset, role, start, len(found), found.dim, seconds)
        return found
