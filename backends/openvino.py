"""OpenVINO: a vendor's compile stack that any CPU can run, through its own conversion or torch.compile."""

import contextlib
import importlib.util
import shlex
import sys
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from fmbench.backend import Backend, Candidate, Forward, Model
from fmbench.counters import NO_COUNTER, Counter
from fmbench.distribution import to_install
from fmbench.errors import PlatformError, UsageError, nearest
from fmbench.expressions import Expression
from fmbench.measure import Phase
from fmbench.options import Arguments
from fmbench.precision import spelled
from fmbench.quantisation import OPTIONS, Quantisation

from .instructions import fast, multiplies_int8, warn_of_int8
from .rapl import Rapl

if TYPE_CHECKING:
    from fmbench.converted import ConvertedModel

BACKEND = "openvino"
COMPUTED = ("bfloat16", "float16", "float32")  # of other hints the model's own type decides
# OpenVINO's Dynamo backend hands what it cannot take back to torch and says so in a debug log alone.
NOT_COMPILED = (
    "OpenVINO compiled nothing, and torch would have computed instead (it takes no bfloat16 weights this way); "
    "leave --platform:frontend torch.compile out, or take --platform cpu"
)
PRECISION = "--compile:options:config:INFERENCE_PRECISION_HINT {}"  # an override
COUNTS = ("INFERENCE_NUM_THREADS", "NUM_STREAMS")

# Without this package OpenVINO's converter and nncf report their use to nobody. With it they do unless a file says
# otherwise, from processes of their own, which compute beside what is measured.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
CONVERT_MODEL, TORCH_COMPILE = FRONTENDS = ("convert_model", "torch.compile")
INT8, INT8_WEIGHTS = "int8", "int8-weights"
WAYS = {INT8: True, INT8_WEIGHTS: False}  # how numbers are rounded to 8 bits, and whether that wants texts


class OpenvinoBackend(Backend):
    """`openvino.convert_model`, or the Dynamo backend `openvino`. Tensors stay on the CPU, and results are finished."""

    name = "openvino"
    _claimed: ClassVar[set[Any]] = set()  # graphs of this process that are known to be somebody's
    summary = "OpenVINO through its own conversion, or through torch.compile"
    synonyms = ("ov", "openvino_cpu", "intel", "npu", "optimum")
    compiler = BACKEND
    options = ("frontend", *OPTIONS)  # one of FRONTENDS, and how numbers are rounded
    install = to_install("openvino")
    distributions = ("torch", "openvino")
    always_compiles = True
    short_text = 32  # as `openvino_convert.SHORT`
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
        rounded = quantisation(arguments)
        if frontend(arguments) == CONVERT_MODEL:
            check_conversion(arguments.options["compile"])
        elif rounded:
            raise UsageError("--platform:quantize: is for --platform:frontend convert_model; leave the other one out")
        if rounded and importlib.util.find_spec("nncf") is None:
            raise PlatformError(f"--platform:quantize: the nncf package is not installed ({to_install('openvino')})")

    def check_weights(self, arguments: Arguments, dtype: str | None) -> None:
        """Refuse what torch would compute instead."""
        if dtype == "bfloat16" and frontend(arguments) == TORCH_COMPILE:
            raise UsageError(NOT_COMPILED)

    def candidates(self, arguments: Arguments) -> list[Candidate]:
        """Return float32, and what the CPU multiplies in instructions of its own; int8 where texts are named."""
        reasons = {"f32": "nothing is rounded"}
        if named := fast("bfloat16"):
            reasons["bf16"] = f"this CPU multiplies {named}"
        found = [Candidate(spelled(hint), PRECISION.format(hint), reason) for hint, reason in reasons.items()]
        texts, named = arguments.literal("platform", "calibration"), fast("int8")
        if texts and named:
            rounded = f"--platform:quantize {INT8} --platform:calibration {shlex.quote(str(texts))}"
            found.append(Candidate(INT8, rounded, f"this CPU multiplies {named}; nncf rounds after the texts' numbers"))
        return found

    def fixed_shapes(self, arguments: Arguments) -> bool:
        """Return True where each shape is compiled: unless --compile:dynamic@ True was said, or OpenVINO converts."""
        return frontend(arguments) == TORCH_COMPILE and arguments.literal("compile", "dynamic", False) is False

    def compiles(self, arguments: Arguments) -> bool | None:
        """Return True for torch.compile's frontend, None where OpenVINO converts."""
        return True if frontend(arguments) == TORCH_COMPILE else None

    def _setup(self, arguments: Arguments) -> None:
        with warnings.catch_warnings():  # openvino asks torch for a setting that new versions deprecate
            warnings.simplefilter("ignore", FutureWarning)
            import openvino.torch  # noqa: F401 (registers the Dynamo backend)

        self._device = "CPU"
        self._frontend = frontend(arguments)
        self._quantisation = quantisation(arguments)
        self._converted: ConvertedModel | None = None
        self._rapl = Rapl()
        forget_graphs()
        self._claimed.clear()

    def prepare(self, model: Model, arguments: Arguments) -> Forward:
        """Compile for OpenVINO, whether or not --compile was said: the platform is nothing else."""
        import openvino

        if self._frontend == CONVERT_MODEL:
            check_conversion(arguments.options["compile"])
        options = {"dynamic": False, **arguments.options["compile"], "backend": BACKEND}
        self._device = options.get("options", {}).get("device", "CPU")
        self._config = options.get("options", {}).get("config", {})
        devices = openvino.Core().available_devices
        if self._device not in devices:
            hint = nearest(self._device, devices)
            raise UsageError(f"--compile:options:device {self._device}: OpenVINO has {', '.join(devices)} here{hint}")
        self._graphs: dict[Any, Any] = {}
        if self._frontend == CONVERT_MODEL:
            from fmbench.converted import ConvertedModel
            from fmbench.positions import maximum_length

            from .openvino_convert import OpenvinoConverter

            if self._quantisation and self._device == "CPU":
                warn_of_int8("--platform:quantize")
            named = self._device, self._config, self._quantisation
            positions = maximum_length(model) if hasattr(model, "config") else 0  # a model of the library, or any other
            self._converted = ConvertedModel(model, OpenvinoConverter(*named, positions))
            self._graphs = self._converted.graphs
            return self._converted
        return self._compiled(model, options)

    def _compiled(self, model: Model, options: dict[str, Any]) -> Forward:
        """Return the model through torch.compile, with torch's number of threads where the CPU computes."""
        import torch

        if any(parameter.dtype == torch.bfloat16 for parameter in model.parameters()):
            raise UsageError(NOT_COMPILED)
        inner = dict(options.get("options", {}))
        if self._device == "CPU":
            inner["config"] = {"INFERENCE_NUM_THREADS": str(torch.get_num_threads()), **self._config}
        self.model = compiled = self._compile(model, {**options, "options": inner})
        graphs = compiled_graphs()

        def forward(batch: dict[str, Any]) -> Any:
            result = compiled(**batch)
            if graphs is not None and not graphs:
                raise PlatformError(NOT_COMPILED)
            return result

        return forward

    def warm_up(self, forward: Forward, batch: dict[str, Any]) -> list[Phase]:
        """Convert and check the model where that is still to do; torch.compile compiles inside the first call."""
        return self._converted.ready(batch) if self._converted else []

    def streams(self, batches: int) -> list[Forward]:
        """Return one call a stream, of a converted model on the CPU; all threads in one call wait for each other."""
        return [*self._converted.streams(batches)] if self._converted else []

    def energy(self) -> Counter:
        """Return what the processor packages took, where the graph runs on them."""
        return self._rapl.read() if self._device == "CPU" else NO_COUNTER

    def facts(self) -> dict[str, Any]:
        """Return which devices OpenVINO sees, and how models get there."""
        import openvino

        core = openvino.Core()
        return {
            "device": "openvino",
            "openvino_frontend": self._frontend,
            **(self._quantisation.facts() if self._quantisation else {}),
            "openvino_devices": {
                device: core.get_property(device, "FULL_DEVICE_NAME") for device in core.available_devices
            },
        }

    def identity(self) -> dict[str, Any]:
        """Return the frontend, a default perhaps, and how numbers are rounded."""
        return {"frontend": self._frontend, **(self._quantisation.facts() if self._quantisation else {})}

    def computes_in(self, dtype: str) -> str:
        """Return the dtype that OpenVINO is told, or inclined, to compute in."""
        import openvino

        if self._quantisation and self._quantisation.name == INT8:
            return "int8"

        hint = openvino.Core().get_property(self._device, "INFERENCE_PRECISION_HINT")
        named = self._config.get("INFERENCE_PRECISION_HINT", hint)
        short = named if isinstance(named, str) else named.to_string()
        return spelled(short) if spelled(short) in COMPUTED else dtype

    def observe(self) -> None:
        """Take over the graphs that the last call compiled: several models may compile in one process."""
        graphs = {} if self._converted else compiled_graphs() or {}
        if len(graphs) > len(self._claimed):
            self._graphs.update({key: graph for key, graph in graphs.items() if key not in self._claimed})
            self._claimed.update(graphs)

    def graph(self) -> str | None:
        """Return `dynamic` for a converted model, of which one graph computes every shape; else what Dynamo says."""
        return "dynamic" if self._converted else super().graph()

    def program(self) -> str | None:
        """Return the compiled model, where it was converted."""
        return self._converted.program() if self._converted else None

    def model_facts(self) -> dict[str, Any]:
        """Return the precision and the threads that OpenVINO chose, and whether each is kept on a CPU of its own.

        It may compute in bfloat16 what torch calls float32. Read from the compiled graphs; null where this version
        of OpenVINO does not show them.
        """
        shared = {} if self._converted else compiled_graphs() or {}
        graphs = list(self._graphs.values() or shared.values())  # none of its own: it shares another's
        computed: dict[str, Any] = {}
        if self._converted:
            computed = (
                {"products": graphs[0].products(), "least_cosine": self._converted.least_cosine} if graphs else {}
            )
            graphs += [graphs[0] for graphs in self._converted.streamed.values() if graphs]
            graphs = [graph.compiled for graph in graphs]
        try:
            hints = {graph.get_property("INFERENCE_PRECISION_HINT").to_string() for graph in graphs}
            threads, streams = (max(int(graph.get_property(name)) for graph in graphs) for name in COUNTS)
            pinning = any(bool(graph.get_property("ENABLE_CPU_PINNING")) for graph in graphs)
        except (AttributeError, RuntimeError, ValueError):
            return {"precision": None}
        return {
            "precision": "int8" if "int8" in computed.get("products", ()) else ",".join(sorted(map(spelled, hints))),
            **computed,
            "openvino_graphs": len(graphs),
            "openvino_threads": threads,
            "openvino_streams": streams,
            "openvino_pinning": pinning,
        }


def frontend(arguments: Arguments) -> str:
    """Return how models get to OpenVINO. Raises UsageError for an unknown name."""
    if arguments.platform != OpenvinoBackend.name:  # the CPU's, with this compiler
        return TORCH_COMPILE
    named = arguments.literal("platform", "frontend", CONVERT_MODEL)
    if named not in FRONTENDS:
        hint = nearest(str(named), FRONTENDS)
        raise UsageError(f"--platform:frontend {named}: unknown{hint} (the frontends are {', '.join(FRONTENDS)})")
    return str(named)


def quantisation(arguments: Arguments) -> Quantisation | None:
    """Return how numbers are rounded to 8 bits. Raises UsageError."""
    return Quantisation.of(arguments, WAYS, "nncf", narrow=not multiplies_int8())


def check_conversion(options: Mapping[str, Any]) -> None:
    """Raise UsageError for what `--compile:` says and only torch.compile could honour. `options` may be unevaluated."""
    inner = options.get("options", {})
    below = inner if isinstance(inner, dict) else {} if isinstance(inner, Expression) else {"": inner}
    refused = [key for key in options if key not in ("backend", "options")]
    refused += [f"options:{key}".rstrip(":") for key in below if key not in ("device", "config")]
    for key in refused:
        raise UsageError(
            f"--compile:{key}: OpenVINO converts the model without torch.compile, and its shapes are dynamic; it takes "
            "--compile:options:device and --compile:options:config, the rest --platform:frontend torch.compile"
        )


def forget_graphs() -> None:
    """Drop what an earlier run in this process compiled; nothing of this run is compiled yet at set-up.

    Dynamo gives a new model of the same architecture the graph of the old one (weights are inputs of it), and facts
    would then be missing for the new run.
    """
    with contextlib.suppress(ImportError, AttributeError):
        from openvino.frontend.pytorch.torchdynamo import execute

        execute.clear_caches()


def compiled_graphs() -> dict[Any, Any] | None:
    """Return the graphs that this process has compiled, by number, as they come; None where this version hides them."""
    try:
        from openvino.frontend.pytorch.torchdynamo import execute

        return execute.compiled_cache
    except (ImportError, AttributeError):
        return None
