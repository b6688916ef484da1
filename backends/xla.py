"""The devices behind torch_xla, Google's TPUs and AWS's Neuron: operations are recorded, compiled a shape, then run."""

import importlib
import importlib.util
from typing import Any, ClassVar

from fmbench.backend import Backend, Forward, Memory, Model
from fmbench.errors import PlatformError
from fmbench.options import Arguments


class XlaBackend(Backend):
    """A device of torch_xla. What was recorded is handed over at the end of each call, so that it is one graph.

    Each new shape costs a compilation, which can take minutes. There is no torch.xla: synchronising and counting are
    torch_xla's own.
    """

    compiler = "openxla"
    inference_mode = False  # its functional tensors have no version counter there
    tokens_per_batch = 16_384
    numbered = True
    package: ClassVar[str]  # whose import registers the device with torch_xla
    kind: ClassVar[str]  # what torch_xla.runtime calls it

    @classmethod
    def unavailable(cls) -> str | None:
        """Return which package is missing; whether there is a device is known once the runtime has started."""
        missing = [name for name in dict.fromkeys(("torch_xla", cls.package)) if importlib.util.find_spec(name) is None]
        return f"{' and '.join(missing)} not installed" if missing else None

    def _setup(self, arguments: Arguments) -> None:
        self._xla, self._core = (importlib.import_module(name) for name in ("torch_xla", "torch_xla.core.xla_model"))
        importlib.import_module(self.package)
        found = importlib.import_module("torch_xla.runtime").device_type()
        if found != self.kind:
            raise PlatformError(f"--platform {self.name}: torch_xla runs on {found} here; set PJRT_DEVICE={self.kind}")
        count = self._xla.device_count()
        if self._index >= count:
            raise PlatformError(f"--device {self._index}: {self.name} has {count} device(s), numbered from 0")
        self.device = self._xla.device(self._index)

    def fixed_shapes(self, arguments: Arguments) -> bool:
        """Return true: every shape costs a compilation."""
        return True

    def prepare(self, model: Model, arguments: Arguments) -> Forward:
        """Return a call that hands over what it has recorded, without waiting for it."""
        forward = super().prepare(model, arguments)

        def call(batch: dict[str, Any]) -> Any:
            output = forward(batch)
            self._xla.sync()
            return output

        return call

    def _place_model(self, model: Model) -> Model:
        return model.to(self.device)

    def place(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Copy the batch to the device; what pooling has recorded is handed over first, and makes no graph with it."""
        self._xla.sync()
        return {name: tensor.to(self.device) for name, tensor in batch.items()}

    def synchronize(self) -> None:
        """Hand over what was recorded, and wait until it is done."""
        self._xla.sync()
        self._core.wait_device_ops()

    def graph(self) -> str | None:
        """Return that each shape has its own graph."""
        return "static"

    def facts(self) -> dict[str, Any]:
        """Return which device it is; torch_xla does not tell its generation."""
        return {"device": str(self.device), "device_name": self.kind, "device_count": self._xla.device_count()}

    def memory(self) -> Memory | None:
        """Return None: a peak that is counted since the process began says nothing of a shape."""
        return None

    def free_bytes(self) -> int | None:
        """Return the device's free bytes, or None where torch_xla does not count them."""
        try:
            found = self._core.get_memory_info(self.device)
            return int(found["bytes_limit"]) - int(found["bytes_used"])
        except (KeyError, RuntimeError):
            return None


class TpuBackend(XlaBackend):
    """Google's TPUs."""

    name = "tpu"
    summary = "Google TPU, through torch_xla"
    synonyms = ("google", "cloud_tpu", "xla", "torch_xla", "torchtpu", "trillium", "ironwood", "v4", "v5e", "v5p",
                "v6e", "tpu_v4", "tpu_v5e", "tpu_v5p", "tpu_v6e")  # fmt: skip
    install = "pip install 'torch_xla[tpu]', of torch's own version, on a TPU VM"
    distributions = ("torch", "torch_xla", "libtpu")
    package = "torch_xla"
    kind = "TPU"
    resource = "tpu"


class NeuronBackend(XlaBackend):
    """AWS's Trainium and Inferentia2."""

    name = "neuron"
    summary = "AWS Trainium or Inferentia2, through torch_neuronx on torch_xla"
    synonyms = ("aws", "trainium", "trainium2", "trn1", "trn2", "inferentia", "inferentia2", "inf2", "neuronx")
    install = "the Neuron SDK on a trn or inf2 instance, with its torch-neuronx"
    distributions = ("torch", "torch_xla", "torch-neuronx", "neuronx-cc")
    package = "torch_neuronx"
    kind = "NEURON"
    resource = "neuron"
