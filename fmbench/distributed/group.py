"""The ranks of a job, and what they send each other: on the CPU through a gloo group of their own, but for training."""

import atexit
import contextlib
import os
import socket
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from fmbench import children
from fmbench.ending import exit_code
from fmbench.errors import FmbenchError, first_line, one_line

from .environment import Launch, read_launch
from .watch import PATIENCE, Watch

if TYPE_CHECKING:
    import torch

START = timedelta(minutes=10)  # in which all ranks have to come
FOREVER = timedelta(days=365)  # a rank may wait for one that works; one that died is found by the watch

Result = TypeVar("Result")


class Group:
    """All ranks. Every method is called by all of them, in the same order.

    Use it as a context: an exception on one rank then ends the job, and every rank says which one it was and why. A
    rank that is killed ends the job too, within 45 seconds; those that run torch's or other code that holds
    Python's lock for as long as `patience` seconds count as killed.
    """

    def __init__(self, launch: Launch | None = None, patience: float = PATIENCE, backend: str | None = "gloo") -> None:
        """Meet the other ranks. A process group that the program has initialised is used for that, and stays.

        `backend` is what the tensors of training go through: None is whatever suits the device that they are on.
        Raises UsageError for a wrong environment and FmbenchError where not all ranks come.
        """
        self._launch = launch or read_launch()
        self._owns_default = False
        self._watch: Watch | None = None
        self._gloo: Any = None
        if self._launch.world_size > 1:
            self._meet(patience, backend)

    @property
    def rank(self) -> int:
        """The number of this process, from 0 on."""
        return self._launch.rank

    @property
    def local_rank(self) -> int:
        """The number of this process among those of this machine: the device that it takes."""
        return self._launch.local_rank

    @property
    def world_size(self) -> int:
        """How many processes there are."""
        return self._launch.world_size

    def _meet(self, patience: float, backend: str | None) -> None:
        import torch
        from torch import distributed

        if "TORCHELASTIC_RUN_ID" in os.environ and (bind := children.bound(os.getppid())):
            bind()  # torchrun, which asks its ranks to end, may be killed itself
        self._owns_default = not distributed.is_initialized()
        try:
            if self._owns_default:
                distributed.init_process_group(backend, timeout=START)
            self._gloo = distributed.new_group(backend="gloo", timeout=FOREVER)
            port = torch.zeros(1, dtype=torch.int64)
            address = self._launch.address or socket.gethostname()
            if self.rank == 0:
                self._watch = Watch(0, self.world_size, address, None, patience)
                port[0] = self._watch.port
            distributed.broadcast(port, 0, group=self._gloo)
            if self._watch is None:
                self._watch = Watch(self.rank, self.world_size, address, int(port), patience)
            distributed.barrier(group=self._gloo)
        except (RuntimeError, ValueError) as error:
            raise FmbenchError(f"rank {self.rank} did not meet the others: {first_line(error)}") from None
        atexit.register(self._at_exit)

    def _at_exit(self) -> None:
        """Say how this rank ended, where nobody closed the group."""
        if self._watch is None:
            return
        error = getattr(sys, "last_value", None)
        if self._watch.failure is not None:
            sys.stdout.flush()
            os._exit(self._watch.failure.code)  # gloo would wait for ranks that are gone
        elif error is not None:
            self._watch.report(*explained(error))
        else:
            self._watch.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        elif self._watch is not None:
            with contextlib.suppress(KeyboardInterrupt):  # of the watch, as it finds what is found here too
                if isinstance(error, KeyboardInterrupt) and self._watch.all_asked():
                    return
                if self._watch.failure is None:
                    self._watch.report(*explained(error))
            if self._watch.failure is not None:
                raise SystemExit(self._watch.failure.code) from None  # the watch has said why

    def close(self) -> None:
        """Leave the group, with all others."""
        if self._watch is None:
            return
        from torch import distributed

        self.barrier()
        self._watch.leave()
        self._watch = None
        if self._owns_default:
            distributed.destroy_process_group()

    def _run(self, call: Callable[[], Result]) -> Result:
        """Return the result of a collective call. Where it fails, somebody has died: the watch ends this process."""
        if self._watch is not None:
            self._watch.waits = True
        try:
            return call()
        except RuntimeError as error:
            if self._watch is not None:
                self._watch.verdict()
            raise FmbenchError(f"rank {self.rank} has lost the others: {first_line(error)}") from None
        finally:
            if self._watch is not None:
                self._watch.waits = False

    def barrier(self) -> None:
        """Wait for all ranks, for as long as they live."""
        if self._gloo is not None:
            from torch import distributed

            self._run(lambda: distributed.barrier(group=self._gloo))

    def gather_all(self, tensor: "torch.Tensor") -> "list[torch.Tensor]":
        """Return the tensors of all ranks, on every rank. They may differ in their first dimension, and be empty."""
        if self._gloo is None:
            return [tensor]
        import torch
        from torch import distributed

        def gather() -> list[torch.Tensor]:
            buffers = [tensor.new_empty((rows, *tensor.shape[1:])) for rows in self._rows(tensor)]
            buffers[self.rank] = tensor.contiguous()
            for rank, buffer in enumerate(buffers):
                if buffer.numel():
                    distributed.broadcast(buffer, rank, group=self._gloo)
            return buffers

        return self._run(gather)

    def _rows(self, tensor: "torch.Tensor") -> list[int]:
        """Return the first dimension of every rank's tensor."""
        import torch
        from torch import distributed

        counts = [torch.zeros(1, dtype=torch.int64) for _ in range(self.world_size)]
        distributed.all_gather(counts, torch.tensor([len(tensor)]), group=self._gloo)
        return [int(count) for count in counts]

    def gather(self, tensor: "torch.Tensor") -> "list[torch.Tensor] | None":
        """Return the tensors of all ranks on rank 0, None on the others. They may differ in their first dimension."""
        if self._gloo is None:
            return [tensor]

        def gather() -> "list[torch.Tensor]":
            rows = self._rows(tensor)
            sent = [tensor if rank == 0 else tensor[:0] for rank in range(self.world_size)]
            return self._swap(sent, rows if self.rank == 0 else [0] * self.world_size)

        found = self._run(gather)
        return found if self.rank == 0 else None

    def exchange(self, sent: "Sequence[torch.Tensor]", rows: Sequence[int]) -> "list[torch.Tensor]":
        """Send one tensor to each rank, and return what each sends to this one.

        All are of one type and alike but for their first dimension; `rows` says how long the received ones are.
        """
        return list(sent) if self._gloo is None else self._run(lambda: self._swap(sent, rows))

    def _swap(self, sent: "Sequence[torch.Tensor]", rows: Sequence[int]) -> "list[torch.Tensor]":
        from torch import distributed

        received: list[torch.Tensor] = []
        requests: list[Any] = []
        for rank, (tensor, count) in enumerate(zip(sent, rows, strict=True)):
            if rank == self.rank:
                received.append(tensor)
                continue
            buffer = tensor.new_empty((count, *tensor.shape[1:]))
            if tensor.numel():
                requests.append(distributed.isend(tensor.contiguous(), rank, group=self._gloo))
            if buffer.numel():
                requests.append(distributed.irecv(buffer, rank, group=self._gloo))
            received.append(buffer)
        for request in requests:
            request.wait()
        return received

    def average(self, gradients: "Sequence[torch.Tensor]") -> None:
        """Replace each tensor by its mean over the ranks, in one call, where the tensors are."""
        if self._gloo is None:
            return
        import torch
        from torch import distributed

        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        self._run(lambda: distributed.all_reduce(flat))
        flat /= self.world_size
        for gradient, mean in zip(gradients, flat.split([one.numel() for one in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def gather_rows(self, rows: "torch.Tensor") -> "torch.Tensor":
        """Return the rows of all ranks, as many of each, on their device; gradients flow back to their ranks."""
        if self._gloo is None:
            return rows
        import torch
        from torch import distributed
        from torch.distributed.nn.functional import all_gather

        if rows.requires_grad:
            return torch.cat(self._run(lambda: all_gather(rows)))
        parts = [torch.empty_like(rows) for _ in range(self.world_size)]
        self._run(lambda: distributed.all_gather(parts, rows.contiguous()))
        return torch.cat(parts)


def explained(error: BaseException) -> tuple[str, int]:
    """Return what is said of an exception that ends a rank, and the exit code of the others."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", exit_code(error)
    if isinstance(error, FmbenchError):
        return one_line(error), error.exit_code
    return f"{type(error).__name__}: {first_line(error)}", 1
