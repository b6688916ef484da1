"""The devices that torch reaches through torch.accelerator: one generic class, one name each."""

import importlib
import importlib.metadata
import importlib.util
from typing import Any, ClassVar

from fmbench.backend import Backend, Candidate, Memory, Model
from fmbench.errors import PlatformError, UsageError
from fmbench.options import Arguments


class AcceleratorBackend(Backend):
    """A device of torch's own: inputs move to it, calls are asynchronous, memory is counted."""

    tokens_per_batch = 16_384  # a CPU's 1,024 leave such a device waiting for its next launch

    numbered = True
    resource = "gpu"
    device_type: str
    vendor: ClassVar[str | None] = None  # the module whose import registers torch's module of the device

    @classmethod
    def unavailable(cls) -> str | None:
        """Return why torch sees no such device."""
        import torch

        if cls.vendor and importlib.util.find_spec(cls.vendor.partition(".")[0]) is None:
            return f"{cls.vendor.partition('.')[0]} is not installed"
        module = cls.module()
        if module is None or not module.is_available():
            return f"torch {torch.__version__} sees no {cls.device_type} device"
        return None

    @classmethod
    def module(cls) -> Any | None:
        """Return torch's module of the device (torch.xpu), or None where torch was built without it."""
        import torch

        if cls.vendor:
            importlib.import_module(cls.vendor)
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
        for name in ("set_device", "set_device_index"):  # the latter in torch.accelerator
            getattr(self._module(), name, lambda index: None)(self._index)

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
    vendor = "habana_frameworks.torch"


class NpuBackend(AcceleratorBackend):
    """Huawei's Ascend."""

    name = "npu"
    summary = "Huawei Ascend NPU"
    synonyms = ("huawei", "ascend", "ascend910", "910b", "310p", "cann", "torch_npu", "atlas")
    install = "CANN and the driver, then pip install torch-npu, of torch's own version"
    distributions = ("torch", "torch-npu")
    resource = "npu"
    device_type = "npu"
    vendor = "torch_npu"


class MtiaBackend(AcceleratorBackend):
    """Meta's MTIA."""

    name = "mtia"
    summary = "Meta MTIA"
    synonyms = ("meta", "facebook")
    install = "a build of torch for MTIA; Meta publishes none"
    resource = "mtia"
    device_type = "mtia"


class NamedBackend(AcceleratorBackend):
    """Any other device of torch: one that a vendor's package registers when torch is imported, under its own name.

    What torch's module of it lacks is taken from torch.accelerator; what that lacks too is not known, and left out.
    """

    name = "accelerator"
    summary = "any other device that torch has: --platform:device_type NAME"
    options = ("device_type",)
    needs_option = True
    synonyms = ("privateuse1", "privateuseone", "openreg", "custom", "device")
    install = "the vendor's package, which registers its device when torch is imported"

    @classmethod
    def unavailable(cls) -> str | None:
        """Return that torch has no accelerator."""
        return None if cls.choices() else "torch sees no accelerator"

    @classmethod
    def module(cls) -> Any | None:
        """Return torch's module of the device that it has, or torch.accelerator."""
        import torch

        return next((getattr(torch, name, torch.accelerator) for name in cls.choices()), None)

    @classmethod
    def choices(cls) -> list[str]:
        """Return the name of the device that torch has; there is one in a process."""
        import torch

        found = torch.accelerator.current_accelerator()
        return [found.type] if found and torch.accelerator.is_available() else []

    @classmethod
    def devices(cls) -> int:
        """Return how many torch sees."""
        import torch

        return torch.accelerator.device_count()

    def _check(self, arguments: Arguments) -> None:
        named, here = arguments.literal("platform", "device_type"), self.choices()
        if named not in here:
            said = "say which" if named is None else f"{named} is none of them"
            raise UsageError(f"--platform:device_type: {said}; torch has {', '.join(here)}")

    def _setup(self, arguments: Arguments) -> None:
        self.device_type = str(arguments.literal("platform", "device_type"))
        super()._setup(arguments)

    def facts(self) -> dict[str, Any]:
        """Return the device's name, and the versions of the packages that register devices."""
        found = importlib.metadata.entry_points(group="torch.backends")
        return {**super().facts(), "registered_by": {one.dist.name: one.dist.version for one in found if one.dist}}
