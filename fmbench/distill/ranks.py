"""Training under torchrun: every process holds a copy and computes its share of each batch."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class Ranks:
    """The processes of one training run. Alone, every method does nothing.

    Gradients are averaged in one call a step. Nothing else is exchanged, so that the copies stay equal bit for bit.
    """

    def __init__(self) -> None:
        self.rank = int(os.environ.get("RANK", "0"))
        self.size = int(os.environ.get("WORLD_SIZE", "1"))

    @property
    def leads(self) -> bool:
        """Whether this process writes files and lines."""
        return self.rank == 0

    def join(self) -> None:
        """Meet the other processes; torch picks what suits the device (gloo, nccl, ...)."""
        import torch

        if self.size > 1 and not torch.distributed.is_initialized():
            torch.distributed.init_process_group()

    def leave(self) -> None:
        """Part from the other processes."""
        import torch

        if self.size > 1 and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    def average_gradients(self, parameters: "Iterable[torch.nn.Parameter]") -> None:
        """Replace every gradient by its mean over the processes."""
        if self.size == 1:
            return
        import torch

        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        torch.distributed.all_reduce(flat)
        flat /= self.size
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()

    def gathered(self, rows: "torch.Tensor") -> "torch.Tensor":
        """Return the rows of all processes, in the order of their ranks; gradients flow back to where rows came from."""
        if self.size == 1:
            return rows
        import torch
        from torch.distributed.nn.functional import all_gather

        if rows.requires_grad:
            return torch.cat(all_gather(rows))
        parts = [torch.empty_like(rows) for _ in range(self.size)]
        torch.distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    def wait(self) -> None:
        """Wait until all are here."""
        if self.size > 1:
            import torch

            torch.distributed.barrier()
