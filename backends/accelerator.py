"""The devices that torch reaches through torch.accelerator: one generic class, one name each."""

from typing import Any, ClassVar

from fmbench.backend import Backend, Candidate, Memory, Model
from fmbench.errors import PlatformError
from fmbench.options import Arguments


class AcceleratorBackend(Backend):
    """A device of torch's own: inputs move to it, calls are asynchronous, memory is counted."""

    tokens_per_batch = 16_384  # a CPU's 1,024 leave such a device waiting for its next launch

    numbered = True
    resource = "gpu"
    device_type: ClassVar[str]

    @classmethod
    def unavailable(cls) -> str | None:
        """Return why torch sees no such device."""
        import torch

        module = cls.module()
        if module is None or not module.is_available():
            return f"torch {torch.__version__} sees no {cls.device_type} device"
        return None

    @classmethod
    def module(cls) -> Any | None:
        """Return torch's module of the device (torch.xpu), or None where torch was built without it."""
        import torch

        return getattr(torch, cls.device_type, None)

    @classmethod
    def devices(cls) -> int:
        """Return how many torch sees."""
        module = cls.module()
        return int(module.device_count()) if module is not None and hasattr(module, "device_count") else 1

    def candidates(self, arguments: Arguments) -> list[Candidate]:
        """Return float32, and the 16-bit types that the device is known to multiply faster."""
        fast = [kind for kind in self.computes_fast() if kind in ("bfloat16", "float16")]
        reasons = {"float32": "nothing is rounded", **dict.fromkeys(fast, "the device has units for it")}
        return [Candidate(kind, f"--model:dtype@ torch.{kind}", reason) for kind, reason in reasons.items()]

    def _setup(self, arguments: Arguments) -> None:
        import torch

        count = self.devices()
        if self._index >= count:
            raise PlatformError(f"--device {self._index}: {self.name} has {count} device(s), numbered from 0")
        self.device = torch.device(self.device_type, self._index)
        if hasattr(self._module(), "set_device"):
            self._module().set_device(self._index)

    def _module(self) -> Any:
        module = self.module()
        if module is None:
            raise PlatformError(f"torch has no module for {self.device_type}")
        return module

    def _place_model(self, model: Model) -> Model:
        return model.to(self.device)

    def place(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Copy the batch to the device."""
        return {name: tensor.to(self.device) for name, tensor in batch.items()}

    def synchronize(self) -> None:
        """Wait until the device has finished."""
        self._module().synchronize()

    def recover(self) -> None:
        """Give cached blocks back, so that the next shape finds the memory whole."""
        if hasattr(self._module(), "empty_cache"):
            self._module().empty_cache()

    def facts(self) -> dict[str, Any]:
        """Return the device's name."""
        module = self._module()
        named = hasattr(module, "get_device_name")
        return {"device": str(self.device), "device_name": module.get_device_name(self._index) if named else None}

    def memory(self) -> Memory | None:
        """Return the peak that torch's allocator counted, or None where the device has no such counter."""
        module = self._module()
        return Memory(module.max_memory_allocated()) if hasattr(module, "max_memory_allocated") else None

    def free_bytes(self) -> int | None:
        """Return the device's free bytes, or None where its module does not say."""
        module = self._module()
        return int(module.mem_get_info(self._index)[0]) if hasattr(module, "mem_get_info") else None

    def reset_memory(self) -> None:
        """Start a new peak."""
        if hasattr(self._module(), "reset_peak_memory_stats"):
            self._module().reset_peak_memory_stats()


class MpsBackend(AcceleratorBackend):
    """Apple's GPUs."""

    name = "mps"
    summary = "Apple GPU (Metal)"
    synonyms = ("gpu", "metal", "apple", "apple_gpu", "mac", "macos", "m1", "m2", "m3", "m4", "mlx", "coreml")
    install = "a Mac with Apple silicon and pip install torch"
    numbered = False
    device_type = "mps"

    @classmethod
    def unavailable(cls) -> str | None:
        """Return why torch sees no Apple GPU."""
        import torch

        return None if torch.backends.mps.is_available() else f"torch {torch.__version__} sees no mps device"


class XpuBackend(AcceleratorBackend):
    """Intel's GPUs."""

    name = "xpu"
    summary = "Intel GPU"
    synonyms = ("gpu", "intel", "intel_gpu", "arc", "ipex", "oneapi", "sycl", "level_zero")
    install = "the XPU build of torch and Intel's GPU driver"
    device_type = "xpu"


class HpuBackend(AcceleratorBackend):
    """Intel's Gaudi accelerators."""

    name = "hpu"
    summary = "Intel Gaudi"
    synonyms = ("habana", "gaudi", "gaudi2", "gaudi3", "synapse")
    install = "the Gaudi image, with habana-torch-plugin"
    distributions = ("torch", "habana-torch-plugin")
    resource = "hpu"
    device_type = "hpu"

    @classmethod
    def module(cls) -> Any | None:
        """Return torch.hpu, which the vendor's package registers."""
        import importlib.util

        if importlib.util.find_spec("habana_frameworks") is None:
            return None
        import habana_frameworks.torch  # noqa: F401 (registers torch.hpu)

        return super().module()
