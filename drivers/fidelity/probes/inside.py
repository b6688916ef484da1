"""Probes of the inside of a model: layers and leaf modules as they are, in mixed precision, with parts taken out."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ..context import Context
from ..layers import EIGHT, INPUTS, SENTENCE, autocast, layer_by_layer, observe, steps, weight_digests
from ..probe import Probe

if TYPE_CHECKING:
    import torch

HIDDEN_TEXTS = 64  # every layer of every text of a corpus would take a hundred times the corpus


class Hidden(Probe):
    """Hidden states of the first passages after the embeddings and after each layer, (tokens, hidden size)."""

    name = "hidden"
    summary = f"hidden states after each layer, of the first {HIDDEN_TEXTS} passages, padding left out"
    options: ClassVar[dict[str, Any]] = {"texts": HIDDEN_TEXTS}
    layers = True

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield the layers of a batch, batch after batch."""
        for prepared in context.batches(count=HIDDEN_TEXTS):
            mask = prepared.inputs["attention_mask"].bool()
            yield from layer_by_layer(context.model, context.place(prepared.inputs), mask)


MODULE_TEXTS = 4
MOST_TOKENS = 64  # a text: enough to see a module, and the capture stays small


class Modules(Probe):
    """Input and output of each leaf module in the order of the calls, for one batch of the first passages."""

    name = "modules"
    summary = (
        f"input and output of every leaf module, for the first {MODULE_TEXTS} passages (`bisect` substitutes them)"
    )
    options: ClassVar[dict[str, Any]] = {"texts": MODULE_TEXTS, "most_tokens": MOST_TOKENS}
    layers = True

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield the batch, then each call."""
        inputs = context.one_batch(context.texts("passage", MODULE_TEXTS))
        inputs = {name: part[:, :MOST_TOKENS].contiguous() for name, part in inputs.items()}
        for name, part in inputs.items():
            yield f"{INPUTS}{name}", part
        yield from observe(context.model, context.place(inputs))


class Bert(Probe):
    """Digests of the weights, each layer's output, and what the head makes of the last."""

    name = "bert"
    summary = "one fixed sentence: weights, each layer, linear head, punctuation mask, normalised"
    layers = True

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield the steps in the order that they happen."""
        yield "weights", weight_digests(context.model)
        yield from steps(context, [SENTENCE])


class AmpBert(Probe):
    """As `bert`, of eight texts, under torch.autocast in bfloat16."""

    name = "amp_bert"
    summary = "eight fixed texts in mixed precision (torch.autocast, bfloat16), layer by layer"
    options: ClassVar[dict[str, Any]] = {"dtype": "bfloat16"}
    layers = True

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield the steps in the order that they happen."""
        with autocast(context):
            yield from list(steps(context, list(EIGHT)))


DENSE = ("intermediate.dense", "output.dense")


class RemoveDense(Probe):
    """As `amp_bert`, with `intermediate.dense` and `output.dense` of each layer replaced by the identity.

    Where only both together keep the shape, both go, or none: a model whose layers lack them runs as it is.
    """

    name = "remove_dense"
    summary = "as amp_bert, with intermediate.dense and output.dense of each layer replaced by the identity"
    options: ClassVar[dict[str, Any]] = {"dtype": "bfloat16"}
    layers = True

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield how many matrices were replaced, and the steps without them."""
        import torch

        with remove_matrices(context.model) as names, autocast(context):
            found = list(steps(context, list(EIGHT)))
        yield "replaced", torch.tensor([len(names)])
        yield from found


@contextlib.contextmanager
def remove_matrices(model: "torch.nn.Module") -> Iterator[list[str]]:
    """Replace the feed-forward matrices by the identity inside the context; yield their names."""
    import torch

    found = {name: module for name, module in model.named_modules() if is_dense(name, module)}
    whole = {name: module for name, module in found.items() if fits(name, found)}
    try:
        for name in whole:
            model.set_submodule(name, torch.nn.Identity())
        yield list(whole)
    finally:
        for name, module in whole.items():
            model.set_submodule(name, module)


def is_dense(name: str, module: "torch.nn.Module") -> bool:
    """Whether a module is one of a layer's two feed-forward matrices, not the attention's own `output.dense`."""
    import torch

    return isinstance(module, torch.nn.Linear) and name.endswith(DENSE) and ".attention." not in name


def fits(name: str, found: "dict[str, torch.nn.Module]") -> bool:
    """Whether a layer's shapes allow it: both matrices are there, and undo each other's shape."""
    layer = name.removesuffix(DENSE[0]).removesuffix(DENSE[1])
    pair = [found.get(f"{layer}{end}") for end in DENSE]
    return all(pair) and (pair[0].in_features, pair[0].out_features) == (pair[1].out_features, pair[1].in_features)  # type: ignore[union-attr]
