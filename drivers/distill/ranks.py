"""Training under torchrun: every process holds a copy and computes its share of each batch."""

import dataclasses
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from fmbench.backend import Backend
from fmbench.errors import UsageError
from fmbench.options import Arguments

if TYPE_CHECKING:
    import torch

A = TypeVar("A", bound=Arguments)


class Ranks:
    """The processes of one training run. Alone, every method does nothing.

    Gradients are averaged in one call a step. Nothing else is exchanged, so that the copies stay equal bit for bit.
    """

    def __init__(self) -> None:
        self.rank = int(os.environ.get("RANK", "0"))  # as torchrun says it
        self.size = int(os.environ.get("WORLD_SIZE", "1"))

    @property
    def leads(self) -> bool:
        """Whether this process writes files and lines."""
        return self.rank == 0

    def device_of(self, platform: Backend, arguments: A) -> A:
        """Return the command line with this process's own device, where the platform has several."""
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if self.size == 1 or not local or arguments.device is not None:
            return arguments
        mine = dataclasses.replace(arguments, device=local)
        try:
            platform.check(mine)
        except UsageError:  # the platform is one device, which all processes share
            return arguments
        return mine

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
        """Return the rows of all processes, in the order of ranks; gradients flow back to where rows came from."""
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
