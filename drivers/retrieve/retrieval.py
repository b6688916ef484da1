"""One run of the retrieval driver: what every task works with, and the lines that they print."""

from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

from fmbench import lines
from fmbench.collection import Texts
from fmbench.console import Progress, note
from fmbench.distributed import Group, measured_weights
from fmbench.embeddings import Embeddings, open_or_encode
from fmbench.encoder import CHUNK, STAGES, Encoder, EncoderPlan, Role, Timings
from fmbench.encoder.folder import TABLE
from fmbench.encoder.late import LateEncoder
from fmbench.encoder.static import StaticEncoder
from fmbench.measure import Clock
from fmbench.search import measure_latency
from fmbench.session import LogWriter, Session, note_precision, platform_facts, run_facts
from fmbench.stats import median

from .arguments import RetrieveArguments
from .work import Work

TIMED = "texts to vectors, and search"


@dataclass
class Retrieval:
    """The encoder on its platform, and the log."""

    arguments: RetrieveArguments
    encoder: Encoder
    log: LogWriter
    clock: Clock
    group: Group
    _weights: list[float] | None = None

    @classmethod
    def set_up(cls, arguments: RetrieveArguments, plan: EncoderPlan, run: Session, group: Group) -> "Retrieval":
        """Load the encoder, and print what the log begins with."""
        run.begin()
        run.log.banner("RUNTIME")
        start = run.clock.now()
        encoder = encoder_of(plan)
        seconds = (run.clock.now() - start) / 1e9
        shared = run_facts(arguments, plan.platform.distributions, TIMED)
        ranks = {"ranks": group.world_size} if group.world_size > 1 else {}
        run.describe({"task": arguments.task, **shared, **platform_facts(plan.platform, encoder.arguments), **ranks})
        run.log.write(lines.Setup(seconds))
        if group.rank == 0:
            note_precision(plan.platform, encoder.facts)
        found = cls(arguments, encoder, run.log, run.clock, group)
        run.log.write(lines.JsonLine("ENV", {**encoder.facts, **found.recipe_facts(), "prompts": plan.prompt_names}))
        return found

    @property
    def similarity(self) -> Any:
        """What vectors are compared by: the command line's, else what the model's folder publishes, else cosine."""
        return self.arguments.similarity or self.encoder.similarity or "cosine"

    def recipe_facts(self) -> dict[str, Any]:
        """Return how texts become vectors, for the fingerprint."""
        found = {"similarity": self.similarity, "dimensions": self.encoder.dimension, **self.encoder.recipe_facts()}
        if isinstance(self.encoder, LateEncoder):
            found["recipe"]["pooling"] = []  # nothing is pooled here
        return found

    def embed(self, texts: Texts, role: Role, dataset: str) -> Embeddings:
        """Return the vectors of texts, from the cache or encoded now, and print what that took.

        Of passages, each rank gets its own consecutive share; the queries are needed on all.
        """
        timings = self.encoder.timings = Timings()
        progress = Progress()
        start = self.clock.now()
        mine: Any = {"rank": self.group.rank, "world": self.group.world_size, "weights": self.weights(texts)}
        found = open_or_encode(
            self.arguments.encoding_cache_dir,
            texts,
            self.encoder,
            role,
            progress=lambda done, count: progress.count(
                done, count, f"{self.whose}{dataset}: {done:,} of {count:,} {role} texts"
            ),
            **(mine if role == "passage" else {}),
        )
        progress.clear()
        work = Work.of(timings, len(found), (self.clock.now() - start) / 1e9)
        latency = self.encoding_latency(texts) if role == "query" else {"latency_ms": None}
        self.write_encoding(dataset, role, start, work, found.tokens_per_batch, latency)
        return found

    def encode_queries(self, queries: Texts, dataset: str) -> tuple[list[str], Any]:
        """Return the ids of queries and what becomes of them, which no cache keeps; print what that took."""
        timings = self.encoder.timings = Timings()
        start = self.clock.now()
        texts = list(queries)
        vectors = self.encoder.encode([text.text for text in texts], "query")
        work = Work.of(timings, len(texts), (self.clock.now() - start) / 1e9)
        latency, budget = self.encoding_latency(queries), self.encoder.budget("query")
        self.write_encoding(dataset, "query", start, work, budget.tokens if budget else None, latency)
        return [text.id for text in texts], vectors

    @property
    def whose(self) -> str:
        """What a message of this process begins with where there are several."""
        return f"rank {self.group.rank}: " if self.group.world_size > 1 else ""

    def weights(self, corpus: Texts) -> list[float] | None:
        """Return how large a share of the corpus each rank takes: measured once, on the first passages."""
        if not self.arguments.fair_sharding or self.group.world_size == 1:
            return None
        if self._weights is None:
            sample = [document.passage for document in islice(corpus, CHUNK)]
            device = str(self.encoder.platform.ask_facts())
            timings = self.encoder.timings
            with timings.phase("weights"):
                self.encoder.timings = Timings()  # the trial is no encoding
                self._weights = measured_weights(
                    self.group, lambda: self.encoder.encode(sample, "passage", once=True), device
                )
                self.encoder.timings = timings
        return self._weights

    def write_encoding(
        self, dataset: str, role: Role, start: int, work: Work, budget: int | None, latency: dict[str, Any]
    ) -> None:
        """Print what encoding took: of passages, on all ranks together, by the clock of the slowest.

        PHASE lines say what is in no rate, on this rank; `budget` is the token budget of the batches, and `latency`
        what `encoding_latency` returns.
        """
        if role == "passage":
            work = work.over(self.group)
        for line in self.encoder.timings.phase_lines(dataset=dataset, role=role):
            if line.data["name"] == "budget":
                self.say_budget(line.data, role)
            self.log.write(line)
        said = {"dataset": dataset, "role": role, "start": lines.format_time(start), **work.row()}
        own = self.encoder.budget(role)
        origin = own.origin if own and own.tokens == budget else None  # else it is of what the vectors were begun with
        settings = {"tokens_per_batch": budget, "budget_from": origin, "dimensions": self.encoder.dimension}
        self.log.write(lines.JsonLine("ENC", {**said, **settings, **latency}))

    def say_budget(self, phase: dict[str, Any], role: Role) -> None:
        """Add to the phase of the token budget's search what was tried, and tell the user."""
        budget = self.encoder.budget(role)
        if budget is None:
            return
        tried = {str(tokens): round(rate, 1) for tokens, rate in budget.tried.items()}
        phase.update(tokens_per_batch=budget.tokens, tokens_per_second=tried)
        rates = ", ".join(f"{tokens}: {rate:,.0f}" for tokens, rate in tried.items())
        said = f"{budget.tokens} is taken for {role} texts, {budget.origin}"
        note(f"--tokens_per_batch auto: {said} (tokens/s by budget: {rates})")

    def encoding_latency(self, texts: Texts) -> dict[str, Any]:
        """Return milliseconds from one query to its vector, tokenisation included, and the median of each stage."""
        count = self.arguments.latency_queries
        chosen = [text.text for _, text in zip(range(count), texts, strict=False)]
        if not chosen:
            return {"latency_ms": None}
        if self.encoder.arguments.compile or self.encoder.platform.always_compiles:
            for text in chosen:  # what compiles has then seen every shape
                self.encoder.encode([text], "query", once=True)
        sums: list[dict[str, float]] = []  # of all stages, after each query

        def answer(text: str) -> None:
            self.encoder.encode([text], "query", once=True)
            sums.append(dict(self.encoder.timings.seconds))

        latency = measure_latency(answer, chosen, self.clock).percentiles()
        steps = list(pairwise(sums))[-len(chosen) :]
        stages = {
            name: round(median([(after[name] - before[name]) * 1e3 for before, after in steps]), 6)
            for name in ("tokenise", *STAGES[1:])
        }
        return {"latency_ms": latency, "latency_stages_ms": stages}


def encoder_of(plan: EncoderPlan) -> Encoder:
    """Load the encoder that a model's folder asks for. Raises UsageError and PlatformError."""
    if plan.folder.late is not None:
        return LateEncoder(plan)
    return StaticEncoder(plan) if plan.folder.kind == TABLE else Encoder(plan)
