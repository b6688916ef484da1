"""torch_sendnn: a Dynamo backend. Model and tensors stay on the CPU; the compiled graph runs on the card."""

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar

from fmbench.backend import Forward, Model
from fmbench.errors import PlatformError, UsageError
from fmbench.measure import Phase
from fmbench.options import Arguments

from .stack import QUIET, Stack


class Sendnn(Stack):
    """The stack of the container images: `torch.compile(backend="sendnn")`. Calls return finished CPU tensors."""

    name = "sendnn"
    package = "torch_sendnn"
    dtypes = ("float16",)
    # FLEX_COMPUTE and FLEX_DEVICE are left alone: they choose between a card and a simulator.
    defaults: ClassVar[Mapping[str, str]] = {
        **QUIET,
        "COMPILATION_MODE": "offline",  # encoders; decoders have a mode of their own
        "DTCOMPILER_KEEP_EXPORT": "-1",
        "TORCH_DEVICE_BACKEND_AUTOLOAD": "0",  # else `import torch` loads the other stack where it is installed
    }

    def check(self, arguments: Arguments) -> None:
        """Refuse a command line that lacks what the stack needs, and name all of it."""
        missing = missing_arguments(arguments)
        if missing:
            raise UsageError(f"--platform spyre with torch_sendnn also needs {' '.join(missing)}")
        if arguments.device:
            raise UsageError(
                f"--device {arguments.device}: torch_sendnn takes its card from the environment; "
                f"set SPYRE_DEVICES={arguments.device} instead"
            )
        super().check(arguments)

    def _load(self, index: int) -> None:
        import torch

        self._modules = import_torch_sendnn()
        if "sendnn" not in torch.compiler.list_backends(exclude_tags=()):
            raise PlatformError("torch_sendnn registered no Dynamo backend named sendnn")

    def advice(self, model: Model, arguments: Arguments) -> list[str]:
        """Add what the compiler makes of the attention."""
        lines = super().advice(model, arguments)
        attention = getattr(getattr(model, "config", None), "_attn_implementation", "eager")
        if attention != "eager":
            lines.append(
                f"{attention} attention compiles for very long or not at all: --model:attn_implementation eager"
            )
        return lines

    def warm_up(self, forward: Forward, batch: dict[str, Any]) -> list[Phase]:
        """Compile the shape, deploy it to the card, and run it once more.

        Inside `warmup_mode` a call only records its graph, and leaving it compiles: the first phase is the whole
        block. Without it (older releases) the first call does everything.
        """
        mark_static(batch)
        warmup_mode = next((module.warmup_mode for module in self._modules if hasattr(module, "warmup_mode")), None)
        if warmup_mode is None:
            return super().warm_up(forward, batch)

        def compile_graph() -> None:
            with warmup_mode():
                forward(batch)

        return [
            Phase.timed("compile", compile_graph),
            Phase.timed("deploy", lambda: forward(batch)),
            Phase.timed("steady", lambda: forward(batch)),
        ]


def missing_arguments(arguments: Arguments) -> list[str]:
    """Return each argument that torch_sendnn needs and the command line lacks, spelled as it is typed."""
    backend = arguments.literal("compile", "backend")
    gradients = arguments.literal("torch.call", "set_grad_enabled")
    present = {
        "--compile": arguments.compile,
        "--compile:backend sendnn": backend == "sendnn",
        "--torch.call:set_grad_enabled@ False": gradients is False or arguments.inference,
    }
    return [spelled for spelled, there in present.items() if not there]


def import_torch_sendnn() -> list[Any]:
    """Import the package and return the modules that may hold its functions.

    Releases differ: some are used as `import torch_sendnn`, some as `from torch_sendnn import torch_sendnn`.
    """
    package = importlib.import_module("torch_sendnn")
    try:
        importlib.import_module("torch_sendnn.torch_sendnn")
    except ModuleNotFoundError as error:
        if error.name != "torch_sendnn.torch_sendnn":
            raise
    return [module for module in (getattr(package, "torch_sendnn", None), package) if module is not None]


def mark_static(batch: dict[str, Any]) -> None:
    """Tell Dynamo that batch and sequence are fixed. Once, on the warm-up batch: the graph keeps it."""
    import torch

    for tensor in batch.values():
        for dimension in range(min(2, tensor.dim())):
            torch._dynamo.mark_static(tensor, dimension)
