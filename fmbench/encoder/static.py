"""`Encoder` for a folder that is a table of token vectors: the same calls, by NumPy on the host, on any platform."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from fmbench import facts, model, torch_settings
from fmbench.errors import UsageError
from fmbench.identity import identify

from .bad_vectors import check_finite
from .compute import Kept
from .encoder import Encoder
from .plan import EncoderPlan
from .recipe import ROLES, Role
from .table import TableEncoder, read_rules, read_table
from .timings import STAGES, Timings

NOT_TAKEN = ("pooling", "include_prompt", "tokens_per_batch", "lengths")  # options that no table has a use for


class StaticEncoder(Encoder):
    """Queries and passages are the mean of their tokens' rows. What torch would make of them is not asked."""

    def __init__(self, plan: EncoderPlan) -> None:
        """Set the platform up, on which the search runs, and map the table. Raises UsageError and PlatformError."""
        check_use(plan)
        plan.platform.setup(plan.arguments)
        self.arguments = arguments = plan.arguments.evaluated()
        torch_settings.Settings([(arguments.options, arguments.threads)]).activate(0)
        said = plan.said.over(plan.folder.recipe)
        rows = read_table(plan.folder.first, said.truncate_dim)
        self._tables = {
            role: TableEncoder(
                rows, read_rules(plan.folder.first, said.max_length(role), plan.prompt(role)), plan.prompt(role),
                bool(said.normalise),
            )
            for role in ROLES
        }  # fmt: skip
        query, passage = (self._tables[role].max_length for role in ROLES)
        self.recipe = dataclasses.replace(
            said, pooling=("mean",), include_prompt=True, query_max_length=query, passage_max_length=passage
        )
        self.platform, self.steps = plan.platform, ()
        self.name, self.similarity = model.published_name(arguments), plan.folder.similarity
        self.facts = {
            "model": self.name, "model_class": plan.folder.kind, "model_source": plan.source.kind,
            "weights": arguments.weights, **identify(plan.source, arguments, plan.folder.path).facts(),
            "parameters": rows.size, "model_bytes": rows.nbytes, "dtype": "float32", "precision": "float32",
            "computed_by": "numpy",
        }  # fmt: skip
        self.timings = Timings()

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        return self._tables["query"].dimensions

    def budget(self, role: Role) -> None:
        """Return None: nothing is padded, so that a batch has no size that matters."""

    def settle(self, texts: Sequence[str], role: Role) -> int:
        """Return 0, for no budget."""
        return 0

    def key(self, role: Role) -> dict[str, Any]:
        """Return everything that changes a vector, as JSON values by name."""
        said = dataclasses.asdict(self.recipe)
        return {
            **{part: self.facts[facts.MODEL][part] for part in ("weights", "tokenizer", "modules")},
            "prompt": self.recipe.prompt(role), "max_length": self.recipe.max_length(role),
            **{name: said[name] for name in ("normalise", "truncate_dim")},
            "computed_by": "numpy",
            "libraries": {name: facts.package_version(name) for name in ("numpy", "tokenizers")},
        }  # fmt: skip

    def encode(self, texts: Sequence[str], role: Role = "passage", once: bool = True) -> np.ndarray:
        """Return one vector a text, float32 of shape (n, d), in the order of the texts. Raises BadVectorError.

        No platform computes it, and each is computed `once`.
        """
        table, timings = self._tables[role], Timings(len(texts), seconds=dict.fromkeys(STAGES, 0.0))
        with timings.stage("tokenise"):
            ids = table.tokens(texts)
        with timings.stage("forward"):
            vectors = np.stack([table.vector(row) for row in ids])
        timings.empty_texts = sum(not text.strip() for text in texts)
        timings.tokens = timings.padded_tokens = sum(map(len, ids))
        timings.batches = 1
        self.timings.include(timings)
        check_finite(vectors, texts, lambda: "its table")
        return vectors

    def encode_chunks(
        self, chunks: Iterable[Sequence[str]], role: Role, tokens_per_batch: int | None = None,
        kept: Iterator[Kept] | None = None, once: bool = True,
    ) -> Iterator[np.ndarray]:  # fmt: skip
        """Yield the vectors of each chunk of texts; computing them takes no longer than looking for what is kept."""
        for texts in chunks:
            yield self.encode(texts, role)


def check_use(plan: EncoderPlan) -> None:
    """Raise UsageError for what changes nothing of a table, and would be believed to."""
    arguments = plan.arguments
    asked = [name for name in NOT_TAKEN if getattr(plan.said, name) is not None]
    asked += [f"{name}:" for name in ("model", "compile") if arguments.options[name]]
    asked += ["weights random"] if arguments.weights == "random" else []
    if asked:
        said = f"{plan.folder.path} is a table of token vectors, which are averaged in float32"
        raise UsageError(f"--{asked[0]}: {said}; leave it out")
    if plan.said.truncate_dim and plan.folder.recipe.normalise and plan.said.normalise is None:
        raise UsageError(f"--truncate_dim: {plan.folder.path} normalises whole vectors; say --normalize yes with it")
