"""The encoder of any platform as MTEB takes one (extra `mteb`): what it evaluates is what fmbench measures.

import mteb, fmbench.mteb
model = fmbench.mteb.load("--platform openvino --model_name models/minilm")
mteb.evaluate(model, mteb.get_tasks(tasks=["STSBenchmark", "SciFact"]))
"""

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fmbench.distribution import to_install
from fmbench.encoder import Encoder, Role, add_encoder_arguments, take_recipe
from fmbench.errors import UsageError, one_line
from fmbench.options import Arguments, add_model_arguments, read
from fmbench.parsing import Parser
from fmbench.search import Block, choose_engine, search

if TYPE_CHECKING:
    import numpy as np

BLOCK = 50_000  # documents that are encoded, and searched, at once


def load(command: str) -> "MtebModel":
    """Return the model of a command line, such as `--platform cpu --model_name models/minilm --model:dtype bfloat16`.

    Its arguments are those of `fmbench retrieve` that say what to run and how to encode. Raises UsageError and
    PlatformError.
    """
    need_mteb()
    parser = Parser(prog="fmbench.mteb.load", allow_abbrev=False)
    add_model_arguments(parser)
    add_encoder_arguments(parser)
    values = read(parser, shlex.split(command))
    recipe = take_recipe(values)
    return MtebModel(Encoder.load(Arguments(**values), recipe))


def need_mteb() -> None:
    """Raise UsageError where mteb is not installed."""
    try:
        import mteb  # noqa: F401
    except ImportError:
        raise UsageError(f"MTEB's tasks need mteb: {to_install('mteb')}") from None


class MtebModel:
    """An encoder as MTEB's EncoderProtocol and SearchProtocol have it. Batches are by fmbench's own token budget.

    Texts of a task that says query or document have the prompt of that task, task type or role that the model's folder
    publishes, in MTEB's order; where it publishes none, that of the recipe. Other texts have the folder's default one.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._prompted: dict[str, Encoder] = {}
        self._corpus: Any = None
        self.mteb_model_meta = meta(encoder)

    def encode(self, inputs: Any, *, task_metadata: Any, hf_split: str, hf_subset: str, prompt_type: Any = None,
               **kwargs: Any) -> "np.ndarray":  # fmt: skip
        """Return one vector a text, float32 of shape (n, d). Raises UsageError for a task of another modality."""
        texts: list[str] = []
        for batch in inputs:
            if "text" not in batch:
                kinds = ", ".join(sorted(batch))
                raise UsageError(f"{task_metadata.name}: its items are {kinds}; this encoder takes text alone")
            texts += batch["text"]
        role: Role = "query" if prompt_type is not None and prompt_type.value == "query" else "passage"
        return self._encoder(task_metadata, prompt_type).encode(texts, role)

    def _encoder(self, task_metadata: Any, prompt_type: Any) -> Encoder:
        """Return the encoder with the prompt that a task's texts have."""
        from mteb.models.abs_encoder import get_prompt_name

        published = self.encoder.prompts
        name = get_prompt_name(published, task_metadata, prompt_type)
        if name is None and prompt_type is not None:
            return self.encoder
        prompt = published[name] if name is not None else self.encoder.default_prompt
        if prompt not in self._prompted:
            self._prompted[prompt] = self.encoder.with_prompt(prompt)
        return self._prompted[prompt]

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Return all similarities (n, m), as the model's folder says."""
        return self._scores("")(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Return the similarities (n,) of corresponding vectors."""
        return self._scores("pairwise_")(embeddings1, embeddings2)

    def _scores(self, prefix: str) -> Any:
        from mteb import similarity_functions

        name = "dot_score" if self.encoder.similarity == "dot" else "cos_sim"
        return getattr(similarity_functions, prefix + name)

    def result(self, task: Any) -> Any:
        """Return MTEB's result of one task; raises what MTEB raises."""
        import mteb

        (found,) = mteb.evaluate(self, task, cache=None, show_progress_bar=False).task_results
        return found

    def index(self, corpus: Any, **kwargs: Any) -> None:
        """Keep a corpus for the search, which encodes it."""
        self._corpus = corpus

    def search(
        self, queries: Any, *, top_k: int, top_ranked: Any = None, encode_kwargs: Mapping[str, Any], **task: Any
    ) -> dict[str, dict[str, float]]:
        """Return the top_k documents of every query with their scores, exactly; given candidates are reordered."""
        if top_ranked is not None:
            return self._reorder(queries, top_k=top_k, top_ranked=top_ranked, encode_kwargs=encode_kwargs, **task)
        task.pop("timer", None)
        vectors = self._vectors(queries, "query", encode_kwargs, task)
        blocks = (
            Block(part["id"], self._vectors(part, "document", encode_kwargs, task))
            for part in (
                self._corpus.select(range(start, min(start + BLOCK, len(self._corpus))))
                for start in range(0, len(self._corpus), BLOCK)
            )
        )
        similarity: Any = self.encoder.similarity or "cosine"
        found = search(
            vectors, list(queries["id"]), blocks, top_k, similarity,
            engine=choose_engine(self.encoder.platform, self.encoder.dimension), ignore_identical_ids=False,
        )  # fmt: skip
        return found.run()

    def _vectors(self, data: Any, role: str, encode_kwargs: Mapping[str, Any], task: Mapping[str, Any]) -> "np.ndarray":
        from mteb._create_dataloaders import create_dataloader
        from mteb.types import PromptType

        kind = PromptType(role)
        loader = create_dataloader(data, task_metadata=task["task_metadata"], prompt_type=kind,
                                   num_proc=task.get("num_proc"), **encode_kwargs)  # fmt: skip
        said = {name: task[name] for name in ("task_metadata", "hf_split", "hf_subset")}
        return self.encode(loader, prompt_type=kind, **said)

    def _reorder(self, queries: Any, **task: Any) -> dict[str, dict[str, float]]:
        """Return given candidates in the order of their scores: MTEB's own code, on these vectors."""
        from mteb.models.search_wrappers import SearchEncoderWrapper

        wrapper: Any = SearchEncoderWrapper(self)
        said = {name: value for name, value in task.items() if name not in ("top_k", "top_ranked", "timer")}
        wrapper.index(self._corpus, **said)
        found: dict[str, dict[str, float]] = wrapper.search(queries, **task)
        return found


def find_task(name: str) -> Any:
    """Return a new task of MTEB's. Raises UsageError for a name that is none, and for one that is not of texts."""
    import mteb

    try:
        task = mteb.get_task(name)
    except KeyError as error:
        raise UsageError(f"--tasks {name}: is no task of MTEB, and no file: {one_line(error)}") from None
    kinds = list(task.metadata.modalities)
    if kinds != ["text"]:
        raise UsageError(f"--tasks {name}: is of {', '.join(kinds)}; this encoder takes text alone")
    return task


def meta(encoder: Encoder) -> Any:
    """Return what MTEB's result files say of the model: its name, the digest of its weights, and its sizes."""
    from mteb.models.model_meta import ModelMeta, ScoringFunction

    owner, _, name = encoder.name.rpartition("/")
    dot = encoder.similarity == "dot"
    return ModelMeta.create_empty({
        "name": f"{owner.rpartition('/')[2] or 'fmbench'}/{name}",
        "revision": str(encoder.facts.get("model_digest") or "random"),
        "embed_dim": encoder.dimension,
        "max_tokens": encoder.recipe.passage_max_length,
        "similarity_fn_name": ScoringFunction.DOT_PRODUCT if dot else ScoringFunction.COSINE,
    })  # fmt: skip
