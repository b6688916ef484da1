"""NVIDIA GPUs, and AMD's under ROCm, which torch also calls cuda."""

import importlib.util
from pathlib import Path
from typing import Any

from fmbench.backend import UNPADDED, Candidate, Forward, Model
from fmbench.counters import NO_COUNTER, Counter
from fmbench.distribution import to_install
from fmbench.facts import package_version
from fmbench.measure import Phase
from fmbench.options import Arguments

from .accelerator import AcceleratorBackend
from .nvml import Nvml

DRIVER_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # NVIDIA, ROCm, WSL

# Since which compute capability (CUDA C++ Programming Guide).
TENSOR_CORES = {"float16": (7, 0), "int8": (7, 2), "bfloat16": (8, 0), "tf32": (8, 0), "float8": (8, 9)}
FASTEST = ("bfloat16", "float16", "float32")  # bfloat16 first: as fast as float16, and no number is too large for it
GRAPHS = ("reduce-overhead", "max-autotune")  # modes of torch.compile that record a CUDA graph a shape


class CudaBackend(AcceleratorBackend):
    """CUDA or ROCm through torch."""

    name = "cuda"
    tokens_per_batch = 65_536  # 16,384 keep an H200 at four fifths of the texts a second, in bfloat16
    summary = "NVIDIA GPU, or AMD GPU under ROCm"
    install = f"the CUDA or ROCm build of torch, and the GPU's driver; {to_install('nvml')} adds clocks and power"
    synonyms = ("gpu", "nvidia", "nvidia_gpu", "rocm", "amd", "hip", "radeon", "geforce", "tensorrt")
    distributions = ("torch", "nvidia-ml-py")
    device_type = "cuda"
    unpadded = True

    @classmethod
    def unavailable(cls) -> str | None:
        """Return why torch sees no GPU; without importing torch where a CPU build can have none."""
        version = package_version("torch") or ""
        if version.endswith("+cpu"):
            return f"torch {version} is the CPU build"
        reason = super().unavailable()
        if reason and not any(Path(path).exists() for path in DRIVER_FILES):
            return f"{reason}, and this machine shows no GPU driver"
        return reason

    def candidates(self, arguments: Arguments) -> list[Candidate]:
        """Return the types, and in the fastest of them CUDA graphs and attention without padding, where they run."""
        found = super().candidates(arguments)
        fast = min(found, key=lambda one: FASTEST.index(one.name))
        if importlib.util.find_spec("triton"):
            graphs = f"{fast.overrides} --compile:mode reduce-overhead"
            found.append(Candidate("reduce-overhead", graphs, "a CUDA graph launches all kernels of a batch at once"))
        if fast.name == "bfloat16" and importlib.util.find_spec("torch.nn.attention.varlen"):
            unpadded = f"{fast.overrides} --model:attn_implementation {UNPADDED}"
            found.append(Candidate(UNPADDED, unpadded, "FlashAttention on tokens alone, where texts differ in length"))
        return found

    def fixed_shapes(self, arguments: Arguments) -> bool:
        """Return true where CUDA graphs are recorded, too."""
        return super().fixed_shapes(arguments) or records_graphs(arguments)

    def prepare(self, model: Model, arguments: Arguments) -> Forward:
        """Prepare the model."""
        self._records = records_graphs(arguments)
        return super().prepare(model, arguments)

    def warm_up(self, forward: Forward, batch: dict[str, Any]) -> list[Phase]:
        """Compile, and record the CUDA graph of a shape: which torch does at the second call."""

        def call() -> None:
            forward(batch)
            self.synchronize()

        return [Phase.timed(name, call) for name in ("compile", "record")] if self._records else []

    def _setup(self, arguments: Arguments) -> None:
        super()._setup(arguments)
        self._nvml = Nvml.open(identity(self._index))

    @classmethod
    def computes_fast(cls) -> list[str]:
        """Return the types that the tensor cores of the first visible GPU multiply; nothing where that is not known."""
        import torch

        if torch.version.hip or not torch.cuda.is_available():
            return []
        capability = torch.cuda.get_device_capability()
        return [kind for kind, least in TENSOR_CORES.items() if capability >= least]

    @classmethod
    def disturbances(cls) -> list[str]:
        """Return what other processes and the clocks do on each visible GPU."""
        import torch

        found = []
        for index in range(torch.cuda.device_count()):
            nvml = Nvml.open(identity(index))
            found += [f"GPU {index}: {text}" for text in nvml.disturbances()] if nvml else []
        return found

    def energy(self) -> Counter:
        """Return what the GPU took since its driver was loaded."""
        return self._nvml.energy() if self._nvml else NO_COUNTER

    def facts(self) -> dict[str, Any]:
        """Return name, capability, driver, CUDA or ROCm version, size, clocks and power limit."""
        import torch

        properties = torch.cuda.get_device_properties(self._index)
        return {
            **super().facts(),
            "compute_capability": f"{properties.major}.{properties.minor}",
            "multiprocessors": properties.multi_processor_count,
            "device_memory_bytes": properties.total_memory,
            "cuda": torch.version.cuda,
            "rocm": torch.version.hip,
            "cudnn": torch.backends.cudnn.version(),
            "matmul_precision": torch.get_float32_matmul_precision(),
            **(self._nvml.facts() if self._nvml else {}),
        }


def records_graphs(arguments: Arguments) -> bool:
    """Whether the command line asks for CUDA graphs."""
    return arguments.literal("compile", "mode") in GRAPHS


def identity(index: int) -> str | None:
    """Return a GPU's identity as NVML spells it; torch's index counts visible devices only."""
    import torch

    uuid = getattr(torch.cuda.get_device_properties(index), "uuid", None)
    return f"GPU-{uuid}" if uuid is not None else None
