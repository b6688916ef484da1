"""A query encoder: read from a folder of any kind, and in service: text in, vector on the host out, on any platform."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from fmbench.backend import Backend
from fmbench.encoder import EncoderPlan, Role
from fmbench.encoder.batches import Batch
from fmbench.encoder.compute import collate
from fmbench.encoder.folder import TABLE, TRANSFORMER
from fmbench.encoder.loading import load as load_model
from fmbench.encoder.loading import reads_types
from fmbench.encoder.network import Head, Network, RecurrentNetwork, State, TableNetwork, TransformerNetwork
from fmbench.encoder.steps import Normalise, read_weights
from fmbench.encoder.table import LONGEST, read_rules, read_table
from fmbench.encoder.tokens import Tokenizer, Tokens, resolved
from fmbench.errors import UsageError, first_line
from fmbench.json_file import read_required
from fmbench.source import DTYPE_KEYS

if TYPE_CHECKING:
    from fmbench.options import Arguments

SIZES = ("layers", "hidden_size", "dimensions", "vocabulary", "width")
Place = Callable[[dict[str, Tensor]], dict[str, Tensor]]  # a backend's `place`: tensors to the device


def load(plan: EncoderPlan, role: Role = "query", length: int | None = None) -> tuple[Network, Tokenizer]:
    """Return an encoder in evaluation mode, and its tokenizer, which cuts at `length` or as the folder says.

    Of a transformer the vectors are those of `fmbench.encoder.Encoder` in float32, whatever type the folder has.
    Raises UsageError for a folder that is not complete.
    """
    if plan.folder.kind == TRANSFORMER:
        network, tokenizer = load_transformer(plan, role, length)
        return network.eval(), tokenizer
    tokenizer = bare_tokenizer(plan, length)
    if plan.folder.kind == TABLE:
        rows = read_table(plan.folder.first, plan.folder.recipe.truncate_dim)
        return TableNetwork(torch.from_numpy(np.array(rows))).eval(), tokenizer
    return load_recurrent(plan).eval(), tokenizer


def load_transformer(
    plan: EncoderPlan, role: Role = "query", length: int | None = None
) -> tuple[TransformerNetwork, Tokenizer]:
    """Return a transformer with everything that its folder and the command line have follow it. Raises UsageError."""
    arguments = plan.arguments.evaluated()
    asked = {key: value for key, value in arguments.options["model"].items() if key not in DTYPE_KEYS}
    options = {**arguments.options, "model": {**asked, "dtype": torch.float32}}
    origin, model, limit = load_model(plan, dataclasses.replace(arguments, options=options), pooler=False)
    recipe = resolved(plan, origin, limit)
    plan.source.check_lengths([length] if length else [], limit, said="--student_length")
    tokenizer = Tokenizer(origin, recipe.prompt(role) or "", length or recipe.max_length(role))
    drops = (Normalise,) if recipe.normalise is False else ()
    steps = [step.load() for step in plan.folder.steps if not isinstance(step, drops)]
    head = Head(steps, recipe.truncate_dim, bool(recipe.normalise))
    excluded = 0 if recipe.include_prompt is not False else tokenizer.prompt_length
    types = "token_type_ids" in origin.model_input_names and reads_types(model, tokenizer.padding_id)
    try:
        return TransformerNetwork(model, recipe.pooling or (), head, excluded, types), tokenizer
    except RuntimeError as error:
        raise UsageError(f"{plan.folder.path}: its modules do not take what is pooled ({first_line(error)})") from None


def load_recurrent(plan: EncoderPlan) -> RecurrentNetwork:
    """Load a recurrent student. Raises UsageError for a damaged folder."""
    folder = plan.folder.first
    config = read_required(folder / "config.json")
    if config.text("cell") not in ("gru", "lstm"):
        raise config.wrong("cell", "gru or lstm")
    sizes = {key: config.known_count(key) for key in SIZES}
    found = RecurrentNetwork.empty({"cell": config.text("cell"), **sizes, "ff": config.integer("ff") or 0})
    try:
        found.load_state_dict(read_weights(folder))
    except RuntimeError as error:
        raise UsageError(f"{folder}: the weights are not those of its config.json ({first_line(error)})") from None
    return found


def bare_tokenizer(plan: EncoderPlan, length: int | None) -> Tokenizer:
    """Load a tokenizer.json that stands alone, to be used without special tokens. Raises UsageError."""
    import transformers

    prompt = plan.prompt("query")
    rules = read_rules(plan.folder.first, length, prompt)
    origin = transformers.PreTrainedTokenizerFast(tokenizer_object=rules)
    return Tokenizer(origin, prompt, rules.truncation["max_length"], special_tokens=False)


def batch_of(
    tokens: Tokens, positions: Sequence[int] | np.ndarray, types: bool = False, length: int = 0
) -> dict[str, Tensor]:
    """Return some texts as an encoder takes them: filled up with 0, which the mask does not count, to one length."""
    chosen = np.asarray(positions)
    longest = int((tokens.starts[chosen + 1] - tokens.starts[chosen]).max(initial=1))
    return collate(tokens, Batch(chosen, max(longest, length), len(chosen)), padding_id=0, types=types)


@dataclass(frozen=True)
class Begun:
    """A query up to its last word: the state after so many tokens, and the word."""

    state: State | None
    tokens: int
    word: str


class Normalised(nn.Module):
    """An encoder as a platform runs it: its normalised vectors, and nothing that only training needs."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.config = getattr(network, "config", None)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Return normalised vectors (n, dimensions)."""
        return self.network.vectors(input_ids, attention_mask, token_type_ids)


class QueryEncoder:
    """Calls are what a search service does for a query: tokenise, place, compute, and bring the vector back.

    Where the platform wants fixed shapes, queries are padded to the tokenizer's length.
    """

    def __init__(self, network: Network, tokenizer: Tokenizer, platform: Backend, arguments: "Arguments") -> None:
        """Place the network. Raises UsageError where shapes are fixed and nothing says how long queries may be."""
        self.network, self.tokenizer, self.platform = network.eval(), tokenizer, platform
        self.dimensions, self.max_length = network.dimensions, tokenizer.max_length
        self._fixed = 0
        if platform.fixed_shapes(arguments):
            if tokenizer.max_length is None:
                raise UsageError(f"--platform {platform.name}: give --query_max_len; shapes are fixed")
            self._fixed = tokenizer.max_length
        self._forward = platform.prepare(Normalised(network), arguments)

    def __call__(self, text: str) -> np.ndarray:
        """Return one query's vector, float32 of shape (dimensions)."""
        ids, types = self.tokenizer.one(text)
        if not ids or self._fixed or self.network.types:
            return self.vectors(self.tokenizer([text]), [0])[0]
        batch = {"input_ids": torch.tensor([ids])}  # the quick way: at batch 1, what lies around costs more
        batch["attention_mask"] = torch.ones_like(batch["input_ids"])
        if types is not None:
            batch["token_type_ids"] = torch.tensor([types])
        return self._computed(batch)[0]

    def many(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """Return the vectors of many queries, float32 of shape (n, dimensions), in their order."""
        tokens = self.tokenizer(texts)
        order = np.argsort(tokens.lengths, kind="stable")
        found = np.empty((len(texts), self.network.dimensions), dtype=np.float32)
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            found[batch] = self.vectors(tokens, batch)
        return found

    def vectors(self, tokens: Tokens, positions: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the vectors of some texts."""
        return self._computed(batch_of(tokens, positions, self.network.types, self._fixed))

    def _computed(self, batch: dict[str, Tensor]) -> np.ndarray:
        with torch.inference_mode() if self.platform.inference_mode else torch.no_grad():
            vectors: Any = self._forward(self.platform.place(batch))
            self.platform.synchronize()
            return vectors.cpu().float().numpy()

    def begin(self, text: str) -> Begun:
        """Read a query up to its last word, as it is typed. Recurrent students only."""
        start, _, word = text.rstrip().rpartition(" ")
        with torch.inference_mode():
            ids = self.tokenizer.one(start)[0]
            return Begun(self._recurrent().advance(self._placed(ids)) if ids else None, len(ids), word)

    def finish(self, begun: Begun) -> np.ndarray:
        """Return the vector, float32 of shape (dimensions), once the last word is there."""
        with torch.inference_mode():
            ids = self.tokenizer.one(begun.word)[0][: (self.tokenizer.max_length or LONGEST) - begun.tokens]
            state = begun.state
            if ids:
                state = self._recurrent().advance(self._placed(ids), state)
            if state is None:
                return self.vectors(self.tokenizer([""]), [0])[0]
            vector = self._recurrent().vectors_of_state(state)
            self.platform.synchronize()
            return vector.cpu().float().numpy()[0]

    def _recurrent(self) -> RecurrentNetwork:
        if not isinstance(self.network, RecurrentNetwork):
            raise TypeError(f"a {type(self.network).__name__} needs the whole query")
        return self.network

    def _placed(self, ids: Sequence[int]) -> Tensor:
        return self.platform.place({"input_ids": torch.tensor([ids], dtype=torch.long)})["input_ids"]
