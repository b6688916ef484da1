"""NVIDIA GPUs, and AMD's under ROCm, which torch also calls cuda."""

from pathlib import Path
from typing import Any

from fmbench.counters import NO_COUNTER, Counter
from fmbench.facts import package_version
from fmbench.options import Arguments

from .accelerator import AcceleratorBackend
from .nvml import Nvml

DRIVER_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # NVIDIA, ROCm, WSL

# Since which compute capability (CUDA C++ Programming Guide).
TENSOR_CORES = {"float16": (7, 0), "int8": (7, 2), "bfloat16": (8, 0), "tf32": (8, 0), "float8": (8, 9)}


class CudaBackend(AcceleratorBackend):
    """CUDA or ROCm through torch."""

    name = "cuda"
    summary = "NVIDIA GPU, or AMD GPU under ROCm"
    install = "the CUDA or ROCm build of torch, and the GPU's driver; pip install 'fmbench[nvml]' adds clocks and power"
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


def identity(index: int) -> str | None:
    """Return a GPU's identity as NVML spells it; torch's index counts visible devices only."""
    import torch

    uuid = getattr(torch.cuda.get_device_properties(index), "uuid", None)
    return f"GPU-{uuid}" if uuid is not None else None
