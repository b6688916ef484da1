"""Probe `remove_dense`: the model without its feed-forward matrices, to tell their drift from the attention's."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ..context import Context
from ..probe import Probe
from ..sentence import EIGHT, autocast, steps

if TYPE_CHECKING:
    import torch

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

        with removed(context.model) as names, autocast(context):
            found = list(steps(context, list(EIGHT)))
        yield "replaced", torch.tensor([len(names)])
        yield from found


@contextlib.contextmanager
def removed(model: "torch.nn.Module") -> Iterator[list[str]]:
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
