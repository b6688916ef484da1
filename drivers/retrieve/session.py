"""One run of the retrieval driver: what every task works with, and the lines that they print."""

from dataclasses import dataclass
from typing import Any

from fmbench import host, lines
from fmbench.clock import Clock
from fmbench.collection import Texts
from fmbench.console import Progress
from fmbench.embeddings import Embeddings, open_or_encode
from fmbench.encoder import Encoder, EncoderPlan, Role, Timings
from fmbench.log import LogWriter
from fmbench.opening import platform_facts, run_facts, write_arguments
from fmbench.search import measure_latency

from .arguments import RetrieveArguments

TIMED = "texts to vectors, and search"


@dataclass
class Session:
    """The encoder on its platform, and the log."""

    arguments: RetrieveArguments
    encoder: Encoder
    log: LogWriter
    clock: Clock

    @classmethod
    def open(cls, arguments: RetrieveArguments, plan: EncoderPlan, log: LogWriter) -> "Session":
        """Load the encoder, and print what every log begins with."""
        clock = Clock()
        write_arguments(log, arguments, "retrieve")
        log.banner("RUNTIME")
        start = clock.now()
        encoder = Encoder(plan)
        seconds = (clock.now() - start) / 1e9
        shared = run_facts(arguments, plan.platform.distributions, TIMED)
        found = {**shared, **platform_facts(plan.platform, encoder.arguments), "seed": arguments.seed}
        log.write(lines.Env({"task": arguments.task, **found, **host.load_facts("start")}))
        log.write(lines.Setup(seconds))
        session = cls(arguments, encoder, log, clock)
        log.write(lines.Env({**encoder.facts, **session.recipe_facts()}))
        return session

    @property
    def similarity(self) -> Any:
        """What vectors are compared by: the command line's, else what the model's folder publishes, else cosine."""
        return self.arguments.similarity or self.encoder.similarity or "cosine"

    def recipe_facts(self) -> dict[str, Any]:
        """Return how texts become vectors, for the fingerprint."""
        recipe = self.encoder.recipe
        said = {name: value for name, value in vars(recipe).items() if name not in ("tokens_per_batch", "lengths")}
        said["pooling"] = list(recipe.pooling or ())
        return {"similarity": self.similarity, "dimensions": self.encoder.dimension, "recipe": said}

    def embed(self, texts: Texts, role: Role, dataset: str) -> Embeddings:
        """Return the vectors of texts, from the cache or encoded now, and print what that took."""
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
        said = encoding(self.encoder, dataset, role, len(found), start, self.clock.now())
        latency = self.encoding_latency(texts) if role == "query" else None
        self.log.write(lines.Enc({**said, "latency_ms": latency}))
        return found

    def encoding_latency(self, texts: Texts) -> dict[str, float] | None:
        """Return milliseconds from one query to its vector, tokenisation included."""
        count = self.arguments.latency_queries
        chosen = [text.text for _, text in zip(range(count), texts, strict=False)]
        if not chosen:
            return None
        return measure_latency(lambda text: self.encoder.encode([text], "query"), chosen, self.clock).percentiles()


def encoding(encoder: Encoder, dataset: str, role: Role, texts: int, start: int, end: int) -> dict[str, Any]:
    """Return what an ENC line says. Rates are of what was encoded, not of what the cache held."""
    timings, seconds = encoder.timings, (end - start) / 1e9
    fresh = timings.texts > 0
    stages = {name: round(spent, 6) for name, spent in timings.seconds.items()}
    return {
        "dataset": dataset,
        "role": role,
        "start": lines.format_time(start),
        "texts": texts,
        "empty": timings.empty_texts,
        "cached": texts - timings.texts,
        "tokens": timings.tokens,
        "padding_share": round(timings.padding_share, 6) if fresh else None,
        "tokens_per_batch": encoder.tokens_per_batch,
        "dimensions": encoder.dimension,
        "seconds": {**stages, "total": round(seconds, 6)},
        "texts_per_second": round(timings.texts / seconds, 3) if fresh else None,
        "tokens_per_second": round(timings.tokens / seconds, 3) if fresh else None,
        "latency_ms": None,
    }
