"""What one forward pass has to do: floating-point operations, and bytes to move. Counted, not timed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fmbench.outputs import answer

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Cost:
    """Work of one forward pass. `bytes` is weights once, and every intermediate tensor written and read once.

    `shape` is that of the numbers that it returns, as `fmbench.outputs.answer` takes them; None where not known.

    A fused kernel moves less than that, so a share of the bandwidth limit above 1 means that fusion helped.
    """

    flops: int
    bytes: int
    shape: tuple[int, ...] | None = None

    @property
    def intensity(self) -> float:
        """Floating-point operations a byte."""
        return self.flops / self.bytes if self.bytes else float("inf")


def cost_of(model: "torch.nn.Module", input_size: int, batch_size: int) -> Cost:
    """Count a forward pass on tensors without storage: no memory, no time, the same on every device.

    Operations are torch's own count (torch.utils.flop_counter: matrix products, attention, convolutions). The mask is
    left out, because an all-ones mask changes no product and would be inspected. Raises whatever a model raises that
    cannot run on storage-less tensors.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    ids = torch.ones(batch_size, input_size, dtype=torch.int64, device="meta")
    tensors = {name: tensor.to("meta") for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
    traffic = traffic_counter()
    with torch.no_grad(), FlopCounterMode(display=False) as flops, traffic:
        output = torch.func.functional_call(model, tensors, (), {"input_ids": ids})
    shape = tuple(answer(output, (batch_size,)).shape)
    return Cost(int(flops.get_total_flops()), weight_bytes(model) + 2 * traffic.written, shape)


def weight_bytes(model: "torch.nn.Module") -> int:
    """Return the bytes of all weights that a forward pass reads whole: embedding tables are read by the row."""
    import torch

    tables = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, torch.nn.Embedding)
        for parameter in module.parameters()
    }
    return sum(p.numel() * p.element_size() for p in model.parameters() if id(p) not in tables)


def traffic_counter() -> Any:
    """Return a torch dispatch mode whose `written` adds up the bytes of every new tensor (views make none)."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Traffic(TorchDispatchMode):
        written = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            result = func(*args, **(kwargs or {}))
            if not func.is_view:
                new = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
                self.written += sum(tensor.numel() * tensor.element_size() for tensor in new)
            return result

    return Traffic()
