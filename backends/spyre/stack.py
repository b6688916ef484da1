"""What the two software stacks of the Spyre card have in common. Imports no vendor library."""

import importlib.metadata
import importlib.util
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from fmbench.backend import Forward, Memory, Model
from fmbench.console import warn
from fmbench.errors import FmbenchError, PlatformError, UsageError, first_line
from fmbench.measure import Phase
from fmbench.options import Arguments

STICK = 64  # float16 values in a stick: the 128 bytes that the card moves at once

QUIET = {"DTLOG_LEVEL": "error", "DT_DEEPRT_VERBOSE": "-1", "TORCH_SENDNN_LOG": "CRITICAL"}

# Variables that change what is measured. Names and prefixes are narrow: facts are published.
READ = ("AIU_WORLD_", "COMPILATION_MODE", "DATA_PREC", "DISABLE_COMPILATION", "DTCOMPILER_", "DTLOG_LEVEL",
        "DT_DEEPRT_", "FLEX_", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "RANK", "SENCORE", "SPYRE_DEVICES",
        "TORCH_DEVICE_BACKEND_AUTOLOAD", "TORCH_SENDNN_", "TORCH_SPYRE_", "WORLD_SIZE")  # fmt: skip

SIMULATORS = {
    ("FLEX_COMPUTE", "SENULATOR"): "a simulator computes, not a card",
    ("FLEX_DEVICE", "MOCK"): "a simulated device computes, not a card",
    ("FLEX_DEVICE", "COMPILE"): "graphs are compiled and no card runs them",
}


def simulation(variables: Mapping[str, str]) -> str | None:
    """Return why figures taken under these variables are not a card's, or None."""
    for (name, value), reason in SIMULATORS.items():
        if variables.get(name, "").upper() == value:
            return f"{name}={value}: {reason}"
    return None


class Stack(ABC):
    """One way to drive the card: what it needs, how it places, compiles, waits and counts."""

    name: ClassVar[str]  # what --platform:stack says
    package: ClassVar[str]  # what is imported
    device: str = "spyre"
    dtypes: ClassVar[tuple[str, ...]]  # what the card computes in, best first
    defaults: ClassVar[Mapping[str, str]]  # variables that are set where the user has not set them

    @classmethod
    def installed(cls) -> bool:
        """Whether the package is there, without importing it. A bare folder of that name does not count."""
        spec = importlib.util.find_spec(cls.package)
        return spec is not None and spec.origin is not None

    def check(self, arguments: Arguments) -> None:
        """Refuse dynamic shapes: the card runs what was compiled for one shape."""
        dynamic = arguments.literal("compile", "dynamic")
        if dynamic is not None and dynamic is not False:
            raise UsageError(
                "--compile:dynamic: Spyre compiles fixed shapes; leave it out or give --compile:dynamic@ False"
            )

    def setup(self, index: int) -> None:
        """Set variables, then import the library: it reads them once, while it is imported.

        Raises PlatformError where the library cannot be imported or finds no card.
        """
        self._ours = sorted(set(self.defaults) - set(os.environ))
        for name in self._ours:
            os.environ[name] = self.defaults[name]
        try:
            self._load(index)
        except FmbenchError:
            raise
        except Exception as error:  # a vendor's library may raise anything
            raise PlatformError(
                f"{self.package} cannot be used: {type(error).__name__}: {first_line(error)}"
            ) from error
        self._variables = {name: os.environ[name] for name in sorted(os.environ) if name.startswith(READ)}
        reason = simulation(self._variables)
        if reason:
            warn(f"spyre: simulated, not publishable ({reason})")

    @abstractmethod
    def _load(self, index: int) -> None:
        """Import the library and select a card."""

    def advice(self, model: Model, arguments: Arguments) -> list[str]:
        """Return one line for each setting that the card would like to be different."""
        lines = []
        dtype = str(getattr(model, "dtype", self.dtypes[0])).removeprefix("torch.")
        if dtype not in self.dtypes:
            lines.append(f"the model is {dtype}, the card computes in {self.dtypes[0]}: --model:dtype@ torch.float16")
        if getattr(model, "pooler", None) is not None:
            lines.append("the pooler runs in every forward pass; to leave it out: --model:add_pooling_layer@ False")
        for size in dict.fromkeys(size for size, _ in arguments.shapes):
            if size % STICK:
                whole = -(-size // STICK) * STICK
                lines.append(f"{size} tokens do not fill sticks of {STICK}; the next whole size: --input_sizes {whole}")
        return lines

    def place_model(self, model: Model) -> Model:
        """Return the model where the stack wants it."""
        return model

    def place(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the batch where the stack wants it."""
        return batch

    def warm_up(self, forward: Forward, batch: dict[str, Any]) -> list[Phase]:
        """Run the batch twice: the first call compiles, the second shows what is left."""

        def run() -> None:
            forward(batch)
            self.synchronize()

        return [Phase.timed("compile", run), Phase.timed("steady", run)]

    def synchronize(self) -> None:
        """Wait for the card; nothing to do where outputs come back finished."""

    def facts(self) -> dict[str, Any]:
        """Return the stack, its version, the variables in force, and those of them that are ours."""
        facts: dict[str, Any] = {
            "device": self.device,
            "stack": self.name,
            self.package: self.version(),
            "spyre_variables": self._variables,
            "defaults": self._ours,
        }
        reason = simulation(self._variables)
        return {**facts, "simulated": reason} if reason else facts

    @classmethod
    def version(cls) -> str | None:
        """Return the installed version, or None where the package carries no metadata."""
        try:
            return importlib.metadata.version(cls.package)
        except importlib.metadata.PackageNotFoundError:
            return None

    def memory(self) -> Memory | None:
        """Return the peak on the card, or None where the stack does not count."""
        return None

    def reset_memory(self) -> None:
        """Start a new peak."""
