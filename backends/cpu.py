"""The CPU: what torch runs on everywhere. Calls return finished results, so there is nothing to wait for."""

import os
import re
import shutil
from typing import Any

from fmbench.backend import UNPADDED, Backend, Candidate, Forward, Model
from fmbench.console import note
from fmbench.counters import Counter
from fmbench.errors import UsageError
from fmbench.options import Arguments

from .instructions import fast, fast_types
from .openvino import OpenvinoBackend
from .rapl import Rapl

FLOAT32 = "--model:dtype@ torch.float32"
INT8 = (
    f"{FLOAT32} --model:quantization_config@ "
    "'transformers.TorchAoConfig(torchao.quantization.Int8DynamicActivationInt8WeightConfig())'"
)
LIBRARIES = {
    "mkl": re.compile(r"Math Kernel Library Version ([\d.]+)"),
    "onednn": re.compile(r"MKL-DNN v([\d.]+)"),
}


class CpuBackend(Backend):
    """Eager or compiled torch on the host's cores."""

    name = "cpu"
    summary = "torch on the host's cores"
    plain = True
    unpadded = True  # the reference, to test what CUDA does
    synonyms = ("host", "x86", "x86_64", "amd64", "arm", "aarch64", "intel", "torch", "pytorch", "eager")

    @classmethod
    def unavailable(cls) -> str | None:
        """Return None: torch always has a CPU."""
        return None

    @classmethod
    def computes_fast(cls) -> list[str]:
        """Return the types that the CPU multiplies in instructions of their own."""
        return fast_types()

    def candidates(self, arguments: Arguments) -> list[Candidate]:
        """Return float32, what the CPU multiplies in instructions of its own, and torch.compile."""
        found = [Candidate("float32", FLOAT32, "the type that every CPU computes in")]
        if named := fast("bfloat16"):
            found.append(Candidate("bfloat16", "--model:dtype@ torch.bfloat16", f"this CPU multiplies {named}"))
        if named := fast("int8"):
            found.append(Candidate("int8", INT8, f"this CPU multiplies {named}; torchao rounds"))
        if any(map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++"))):
            found.append(Candidate("inductor", f"{FLOAT32} --compile:backend inductor --compile:dynamic@ True",
                                   "torch.compile joins what runs between matrix products"))  # fmt: skip
        return found

    def _check(self, arguments: Arguments) -> None:
        if arguments.device:
            raise UsageError(f"--device {arguments.device}: the CPU is one device, number 0 (see --threads)")
        if asks_openvino(arguments):
            OpenvinoBackend.require()

    def check_weights(self, arguments: Arguments, dtype: str | None) -> None:
        """Refuse what a vendor's compiler refuses, where it is asked for."""
        if asks_openvino(arguments):
            OpenvinoBackend().check_weights(arguments, dtype)

    def _setup(self, arguments: Arguments) -> None:
        if arguments.literal("model", "attn_implementation") == UNPADDED:
            note("unpadded attention on the CPU goes from text to text: it shows what is right, not how fast it can be")
        self._rapl = Rapl()
        self._compiler: Backend | None = None

    def fixed_shapes(self, arguments: Arguments) -> bool:
        """Return what the compiler says, where a vendor's is asked for."""
        if asks_openvino(arguments):
            return OpenvinoBackend().fixed_shapes(arguments)
        return super().fixed_shapes(arguments)

    def prepare(self, model: Model, arguments: Arguments) -> Forward:
        """Prepare the model; a vendor's compiler that runs on the host is asked for what only it knows."""
        if not asks_openvino(arguments):
            return super().prepare(model, arguments)
        self._compiler = OpenvinoBackend()
        self.yields = self._compiler.yields
        self._compiler.setup(arguments)
        return self._compiler.prepare(model, arguments)

    def computes_in(self, dtype: str) -> str:
        """Return the dtype that the compiler computes in, else that of the weights."""
        return self._compiler.computes_in(dtype) if self._compiler else dtype

    def observe(self) -> None:
        """Let the compiler look at what it did."""
        if self._compiler:
            self._compiler.observe()

    def graph(self) -> str | None:
        """Return which graph the compiler computed with."""
        return self._compiler.graph() if self._compiler else super().graph()

    def model_facts(self) -> dict[str, Any]:
        """Return what the compiler chose."""
        return self._compiler.model_facts() if self._compiler else {}

    def energy(self) -> Counter:
        """Return what the processor packages took, as far as the kernel lets us read it."""
        return self._rapl.read()

    def facts(self) -> dict[str, Any]:
        """Return which instructions torch's kernels use, and which libraries it was built with multiply matrices."""
        import torch

        built = {name: found.search(torch.__config__.show()) for name, found in LIBRARIES.items()}
        libraries = {name: found and found[1] for name, found in built.items()}
        return {"device": "cpu", "cpu_capability": torch.backends.cpu.get_cpu_capability(), **libraries}


def asks_openvino(arguments: Arguments) -> bool:
    """Whether the command line compiles with OpenVINO, which is a platform of its own as well."""
    return bool(arguments.literal("compile", "backend") == OpenvinoBackend.name)
