"""OpenVINO through torch.compile: a vendor's compile stack that any CPU can run."""

import contextlib
import importlib.util
import warnings
from typing import Any, ClassVar

from fmbench.backend import Backend, Forward, Model
from fmbench.energy import NO_COUNTER, Counter
from fmbench.errors import UsageError, nearest
from fmbench.options import Arguments

from .rapl import Rapl

BACKEND = "openvino"


class OpenvinoBackend(Backend):
    """The Dynamo backend `openvino`. Tensors stay on the CPU, and calls return finished results."""

    name = "openvino"
    _claimed: ClassVar[set[Any]] = set()  # graphs of this process that are known to be somebody's
    summary = "OpenVINO through torch.compile"
    install = "pip install 'fmbench[openvino]'"
    distributions = ("torch", "openvino")
    always_compiles = True
    yields = True

    @classmethod
    def unavailable(cls) -> str | None:
        """Return why OpenVINO cannot be used."""
        return None if importlib.util.find_spec("openvino") else "the openvino package is not installed"

    def _check(self, arguments: Arguments) -> None:
        backend = arguments.literal("compile", "backend", BACKEND)
        if backend != BACKEND:
            raise UsageError(
                f"--compile:backend {backend}: --platform openvino compiles with {BACKEND}; leave the option out, "
                "or take --platform cpu"
            )
        if arguments.device:
            raise UsageError(
                f"--device {arguments.device}: OpenVINO names its devices, as in "
                f"--compile:options:device GPU.{arguments.device}"
            )

    def fixed_shapes(self, arguments: Arguments) -> bool:
        """Return True unless --compile:dynamic@ True was said: this platform compiles in any case."""
        return arguments.literal("compile", "dynamic", False) is False

    def _setup(self, arguments: Arguments) -> None:
        with warnings.catch_warnings():  # openvino asks torch for a setting that new versions deprecate
            warnings.simplefilter("ignore", FutureWarning)
            import openvino.torch  # noqa: F401 (registers the Dynamo backend)

        self._device = "CPU"
        self._rapl = Rapl()
        forget_graphs()
        self._claimed.clear()

    def prepare(self, model: Model, arguments: Arguments) -> Forward:
        """Compile for OpenVINO, whether or not --compile was said: the platform is nothing else."""
        import openvino

        options = {"dynamic": False, **arguments.options["compile"], "backend": BACKEND}
        self._device = options.get("options", {}).get("device", "CPU")
        self._config = options.get("options", {}).get("config", {})
        devices = openvino.Core().available_devices
        if self._device not in devices:
            hint = nearest(self._device, devices)
            raise UsageError(f"--compile:options:device {self._device}: OpenVINO has {', '.join(devices)} here{hint}")
        self._graphs: dict[Any, Any] = {}
        compiled = self._compile(model, options)
        return lambda batch: compiled(**batch)

    def energy(self) -> Counter:
        """Return what the processor packages took, where the graph runs on them."""
        return self._rapl.read() if self._device == "CPU" else NO_COUNTER

    def facts(self) -> dict[str, Any]:
        """Return which devices OpenVINO sees."""
        import openvino

        core = openvino.Core()
        return {
            "device": "openvino",
            "openvino_devices": {
                device: core.get_property(device, "FULL_DEVICE_NAME") for device in core.available_devices
            },
        }

    def computes_in(self, dtype: str) -> str:
        """Return the dtype that OpenVINO is told, or inclined, to compute in."""
        import openvino

        hint = openvino.Core().get_property(self._device, "INFERENCE_PRECISION_HINT")
        named = self._config.get("INFERENCE_PRECISION_HINT", hint)
        short = named if isinstance(named, str) else named.to_string()
        return {"bf16": "bfloat16", "f16": "float16", "f32": "float32"}.get(short, dtype)

    def observe(self) -> None:
        """Take over the graphs that the last call compiled: several models may compile in one process."""
        graphs = compiled_graphs()
        if len(graphs) > len(self._claimed):
            self._graphs.update({key: graph for key, graph in graphs.items() if key not in self._claimed})
            self._claimed.update(graphs)

    def model_facts(self) -> dict[str, Any]:
        """Return the precision and the threads that OpenVINO chose.

        It may compute in bfloat16 what torch calls float32. Read from the compiled graphs; null where this version
        of OpenVINO does not show them.
        """
        graphs = list(self._graphs.values() or compiled_graphs().values())  # none of its own: it shares another's
        try:
            precisions = sorted({graph.get_property("INFERENCE_PRECISION_HINT").to_string() for graph in graphs})
            threads = max(int(graph.get_property("INFERENCE_NUM_THREADS")) for graph in graphs)
        except (AttributeError, RuntimeError, ValueError):
            return {"precision": None}
        return {"precision": ",".join(precisions), "openvino_graphs": len(graphs), "openvino_threads": threads}


def forget_graphs() -> None:
    """Drop what an earlier run in this process compiled; nothing of this run is compiled yet at set-up.

    Dynamo gives a new model of the same architecture the graph of the old one (weights are inputs of it), and facts
    would then be missing for the new run.
    """
    with contextlib.suppress(ImportError, AttributeError):
        from openvino.frontend.pytorch.torchdynamo import execute

        execute.clear_caches()


def compiled_graphs() -> dict[Any, Any]:
    """Return the graphs that this process has compiled, by number; none where this version hides them."""
    try:
        from openvino.frontend.pytorch.torchdynamo import execute

        return execute.compiled_cache
    except (ImportError, AttributeError):
        return {}
