"""A platform for fmbench: the CPU, where torch.autocast computes matrix products in 16 bits."""

import importlib.util
from typing import Any

from fmbench.backend import Backend, Candidate, Forward, Model
from fmbench.errors import UsageError, nearest
from fmbench.options import Arguments

DTYPES = ("bfloat16", "float16")


class CpuAutocastBackend(Backend):
    """The timed call runs under torch.autocast; the weights stay as they were loaded."""

    name = "cpu-autocast"
    summary = "the CPU, with torch.autocast to 16 bits"
    install = "pip install torch"
    options = ("dtype",)  # --platform:dtype

    @classmethod
    def unavailable(cls) -> str | None:
        """Return why the platform cannot be used, without importing what it needs."""
        return None if importlib.util.find_spec("torch") else "torch is not installed"

    def candidates(self, arguments: Arguments) -> list[Candidate]:
        """Return what is worth trying here."""
        return [Candidate(name, f"--platform:dtype {name}", f"matrix products in {name}") for name in DTYPES]

    def _check(self, arguments: Arguments) -> None:
        named = wanted(arguments)
        if named not in DTYPES:
            raise UsageError(f"--platform:dtype: write {' or '.join(DTYPES)}{nearest(str(named), DTYPES)}")
        if arguments.device:
            raise UsageError(f"--device {arguments.device}: the CPU is one device, number 0")

    def _setup(self, arguments: Arguments) -> None:
        self._dtype = str(wanted(arguments))

    def prepare(self, model: Model, arguments: Arguments) -> Forward:
        """Wrap the call that is timed."""
        import torch

        forward = super().prepare(model, arguments)
        dtype = getattr(torch, self._dtype)

        def call(batch: dict[str, Any]) -> Any:
            with torch.autocast("cpu", dtype=dtype):
                return forward(batch)

        return call

    def facts(self) -> dict[str, Any]:
        """Return what tells these figures from those of plain float32."""
        return {"device": "cpu", "precision": self._dtype}


def wanted(arguments: Arguments) -> Any:
    """Return what --platform:dtype says; `literal` reads a value before and after it is evaluated."""
    return arguments.literal("platform", "dtype", DTYPES[0])
