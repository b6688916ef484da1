"""ONNX Runtime: torch's model exported to ONNX, or a published ONNX file as it is, on the providers of its wheel."""

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmbench.backend import Backend, Candidate, Forward, Model
from fmbench.console import note
from fmbench.counters import NO_COUNTER, Counter
from fmbench.digest import digest_of_files
from fmbench.distribution import to_install
from fmbench.errors import PlatformError, UsageError, nearest
from fmbench.measure import Phase
from fmbench.options import Arguments
from fmbench.quantisation import OPTIONS, Quantisation

from .instructions import fast, fast_types, multiplies_int8, warn_of_int8
from .rapl import Rapl

if TYPE_CHECKING:
    from fmbench.converted import ConvertedModel

CPU = "CPUExecutionProvider"
# What a wheel may have, and which one it is. Azure's, in every wheel, sends texts to a service.
PROVIDERS = {
    CPU: "onnxruntime",
    "CUDAExecutionProvider": "onnxruntime-gpu",
    "TensorrtExecutionProvider": "onnxruntime-gpu",
    "NvTensorRTRTXExecutionProvider": "onnxruntime-trt-rtx",
    "OpenVINOExecutionProvider": "onnxruntime-openvino",
    "MIGraphXExecutionProvider": "onnxruntime-migraphx",
    "CoreMLExecutionProvider": "onnxruntime, on macOS",
    "QNNExecutionProvider": "onnxruntime-qnn",
    "DmlExecutionProvider": "onnxruntime-directml",
}
# What torch calls the device whose memory a provider shares; tensors of the others stay on the host.
DEVICES = {"CUDAExecutionProvider": "cuda", "TensorrtExecutionProvider": "cuda", "MIGraphXExecutionProvider": "cuda"}
WAYS = {"int8": False, "int8-static": True}  # how numbers are rounded to 8 bits, and whether that wants texts
NOT_MULTIPLIED = ("float16", "bfloat16", "float64")  # by the kernels of the CPU
TO_EXPORT = ("onnx", "onnxscript")

# Read once, while the library is imported, which else writes an identity of this machine to the user's cache at once:
# its own disable_telemetry_events comes too late.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


class OnnxruntimeBackend(Backend):
    """A graph of ONNX Runtime. Calls return finished results."""

    name = "onnxruntime"
    summary = "ONNX Runtime, on an exported model or a published .onnx file"
    synonyms = ("ort", "onnx", "optimum", "fastembed", "directml", "coreml", "qnn", "tensorrt")
    options = ("provider", "model", *OPTIONS)
    install = to_install("onnxruntime")
    distributions = ("torch", "onnxruntime", "onnx", "onnxscript")

    @classmethod
    def unavailable(cls) -> str | None:
        """Return why ONNX Runtime cannot be used."""
        return None if importlib.util.find_spec("onnxruntime") else "the onnxruntime package is not installed"

    @classmethod
    def choices(cls) -> list[str]:
        """Return the providers that the installed wheel has."""
        import onnxruntime

        return [name for name in onnxruntime.get_available_providers() if name in PROVIDERS]

    @classmethod
    def computes_fast(cls) -> list[str]:
        """Return the types that the CPU multiplies in instructions of their own."""
        return fast_types()

    def candidates(self, arguments: Arguments) -> list[Candidate]:
        """Return float32, and int8 where the CPU multiplies that in instructions of its own."""
        found = [Candidate("float32", "", "nothing is rounded")]
        if named := fast("int8"):
            found.append(Candidate("int8", "--platform:quantize int8", f"this CPU multiplies {named}"))
        return found

    def compiles(self, arguments: Arguments) -> bool | None:
        """Return None: every model is a graph."""
        return None

    def _check(self, arguments: Arguments) -> None:
        if arguments.compile:
            raise UsageError("--compile: --platform onnxruntime does without torch.compile; leave it out")
        provider = self._provider_of(arguments)
        if arguments.device and provider == CPU:
            raise UsageError(f"--device {arguments.device}: the CPU is one device, number 0 (see --threads)")
        published, rounded = file_of(arguments), quantisation(arguments)
        if published and rounded:
            raise UsageError("--platform:quantize: a file of --platform:model runs as it is; leave one of them out")
        missing = [] if published else [name for name in TO_EXPORT if importlib.util.find_spec(name) is None]
        if missing:
            raise PlatformError(
                f"--platform onnxruntime: {' and '.join(missing)} not installed, which export models ({self.install}); "
                "--platform:model FILE.onnx does without"
            )

    def check_weights(self, arguments: Arguments, dtype: str | None) -> None:
        """Refuse what the kernels of the CPU do not multiply."""
        if dtype in NOT_MULTIPLIED and self._provider_of(arguments) == CPU and not file_of(arguments):
            raise not_multiplied(dtype)

    def _provider_of(self, arguments: Arguments) -> str:
        """Return the provider that is asked for. Raises UsageError and PlatformError."""
        named, here = str(arguments.literal("platform", "provider", CPU)), self.choices()
        if named not in PROVIDERS:
            hint = nearest(named, PROVIDERS) or f" (known: {', '.join(PROVIDERS)})"
            raise UsageError(f"--platform:provider {named}: unknown{hint}")
        if named not in here:
            raise PlatformError(
                f"--platform:provider {named}: the installed wheel has {', '.join(here)} only; in its place, "
                f"{PROVIDERS[named]} brings it"
            )
        return named

    def _setup(self, arguments: Arguments) -> None:
        import torch

        self._provider, self._file = self._provider_of(arguments), file_of(arguments)
        self._quantisation, self._rapl = quantisation(arguments), Rapl()
        self._converted: ConvertedModel | None = None
        shared = DEVICES.get(self._provider)
        if shared and getattr(torch, shared).is_available():
            self.device = torch.device(shared, self._index)

    def prepare(self, model: Model, arguments: Arguments) -> Forward:
        """Return the call of a graph, which is made at the first batch."""
        import torch

        from fmbench.converted import ConvertedModel

        from .onnxruntime_convert import OnnxConverter

        kinds = {parameter.dtype for parameter in model.parameters()} - {torch.float32}
        if self._provider == CPU and not self._file and kinds:  # only the checkpoint told
            raise not_multiplied(", ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds)))
        if self._quantisation and self._provider == CPU:
            warn_of_int8("--platform:quantize")
        converter = OnnxConverter(self._provider, self._index, self.device, self._file, self._quantisation)
        if self._file:
            converter.check_inputs()
        self.model, self._converted = model, ConvertedModel(model, converter)
        return self._converted

    def place(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Copy the batch to where the graph reads it without another copy."""
        return {name: tensor.to(self.device) for name, tensor in batch.items()} if self.device else batch

    def warm_up(self, forward: Forward, batch: dict[str, Any]) -> list[Phase]:
        """Make and check the graph where that is still to do, and say how much of it runs on the CPU instead."""
        phases = self._converted.ready(batch) if self._converted else []
        nodes = self._nodes()
        if phases and self._provider != CPU and nodes.get(CPU):
            note(f"{self._provider}: {nodes[CPU]} of {sum(nodes.values())} nodes run on the CPU instead")
        return phases

    def streams(self, batches: int) -> list[Forward]:
        """Return one call a stream, where the CPU computes; all threads in one call wait for each other."""
        return [*self._converted.streams(batches)] if self._converted else []

    def _nodes(self) -> dict[str, int]:
        """Return how many nodes each provider runs."""
        graphs = self._converted.graphs if self._converted else {}
        return next((graph.nodes for graph in graphs.values()), {})

    def graph(self) -> str | None:
        """Return that one graph computes every shape."""
        return "dynamic"

    def computes_in(self, dtype: str) -> str:
        """Return `int8` where most numbers are multiplied so; a published file tells once it has run."""
        return "int8" if self._quantisation else dtype

    def energy(self) -> Counter:
        """Return what the processor packages took, where the graph runs on them."""
        return self._rapl.read() if self._provider == CPU else NO_COUNTER

    def identity(self) -> dict[str, Any]:
        """Return the provider, a default perhaps, how numbers are rounded, and what a published file holds."""
        described = {"onnx_digest": digest_of_files(files(self._file))} if self._file else {}
        return {
            "provider": self._provider, **described, **(self._quantisation.facts() if self._quantisation else {}),
        }  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """Return where the graph runs, and which one it is beyond the model."""
        return {"device": "onnxruntime", **self.identity(), "providers": self.choices()}

    def program(self) -> str | None:
        """Return the session of the graph."""
        return self._converted.program() if self._converted else None

    def model_facts(self) -> dict[str, Any]:
        """Return what was seen of the graph while it ran: the type of most matrix products, and who runs its nodes."""
        graphs = list(self._converted.graphs.values()) if self._converted else []
        if not self._converted or not graphs:
            return {"precision": None}
        products = graphs[0].products
        return {
            "precision": max(products, key=lambda kind: products[kind]) if products else None,
            "products": products,
            "least_cosine": self._converted.least_cosine,
            "onnxruntime_nodes": graphs[0].nodes,
            "onnxruntime_threads": graphs[0].threads,
            "onnxruntime_streams": self._converted.stream_count,
        }


def not_multiplied(dtype: str) -> UsageError:
    """Return the error that says which weights the kernels of the CPU do not take."""
    return UsageError(
        f"--platform onnxruntime: the weights are {dtype}, which its CPU kernels do not multiply; add "
        "--model:dtype float32"
    )


def file_of(arguments: Arguments) -> Path | None:
    """Return the published file that is to run. Raises UsageError where there is none of that name."""
    named = arguments.literal("platform", "model")
    if named is None:
        return None
    path = Path(str(named)).expanduser()
    if not path.is_file():
        raise UsageError(f"--platform:model {path}: no such file; name one that ends in .onnx")
    return path


def files(path: Path) -> list[Path]:
    """Return an ONNX file and those beside it that hold its weights, whose names begin like its own."""
    return [found for found in path.parent.glob(f"{path.name}*") if found.is_file()]


def quantisation(arguments: Arguments) -> Quantisation | None:
    """Return how numbers are rounded to 8 bits. Raises UsageError."""
    return Quantisation.of(arguments, WAYS, "onnxruntime", narrow=not multiplies_int8())
