"""A torch model as a graph of ONNX Runtime. Only the platform imports this file, once torch may be imported."""

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fmbench.converted import Batch, ByPosition, Converter
from fmbench.errors import PlatformError, UsageError, first_line
from fmbench.precision import spelled
from fmbench.quantisation import Quantisation

CPU = "CPUExecutionProvider"
FILE = "model.onnx"
OPSET = 23  # the first that has attention as one operation, for which ONNX Runtime has a kernel
HIDDEN = ("last_hidden_state", "token_embeddings")  # what published files call the hidden states
REQUIRED, KNOWN = {"input_ids", "attention_mask"}, {"input_ids", "attention_mask", "token_type_ids"}
# Operations of a graph as it runs, with which numbers are multiplied in 8 bits.
INT8 = {
    "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QLinearMatMul", "QGemm", "QAttention",
}  # fmt: skip
FLOAT = {
    "MatMul", "Gemm", "FusedMatMul", "FusedGemm", "FusedMatMulActivation", "Attention", "MultiHeadAttention",
    "MatMulNBits",
}  # fmt: skip
ROUNDED = INT8 | {"MatMulNBits", "DequantizeLinear"}  # with which a graph computes from numbers of 8 bits or fewer


PROGRAM = """\
import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import, which else notes an identity of this machine
import onnxruntime

MODEL = {file!r}  # copy its folder: this one is a cache, and may be deleted


def session_of(threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(MODEL, options, providers=[{provider!r}])


def infer(session, batch):
    return session.run([{output!r}], {{one.name: batch[one.name] for one in session.get_inputs()}})[0]


session = session_of({threads})


def run(batch):
    return infer(session, batch)
"""
# For batches in bulk, where each thread has a stream.
STREAMS = """

from concurrent.futures import ThreadPoolExecutor

streams = session_of({threads} // {count})


def run_all(batches, finish):
    with ThreadPoolExecutor({count}) as threads:
        return list(threads.map(lambda batch: finish(infer(streams, batch), batch), batches))
"""


class OnnxGraph:
    """A session. Its first call is watched, by ONNX Runtime itself: `nodes` by provider and `products` by type.

    `rounded` is whether numbers were of 8 bits or fewer.
    """

    def __init__(
        self, session: Any, device: torch.device | None, seen: tempfile.TemporaryDirectory[str] | None = None
    ) -> None:
        """Take a session, the device of inputs and outputs if not the host, and a folder if it profiles into one."""
        self.session, self._device = session, device
        self.threads: int = session.get_session_options().intra_op_num_threads
        self._inputs = [one.name for one in session.get_inputs()]
        self.output = output_of(session)
        self.nodes: dict[str, int] = {}
        self.products: dict[str, int] = {}
        self.rounded = False
        self._seen = seen

    def __call__(self, batch: Batch) -> Tensor:
        """Return the output, float32, in memory of its own. Token types are zeros where the graph alone wants them."""
        given = {name: batch[name] if name in batch else batch["input_ids"] * 0 for name in self._inputs}
        found = self._bound(given, self._device) if self._device else self._run(given)
        if self._seen is not None:
            self._count()
        return found.float()

    def _run(self, given: Batch) -> Tensor:
        """Run on tensors of the host."""
        found = self.session.run([self.output], {name: tensor.numpy() for name, tensor in given.items()})
        return torch.from_numpy(found[0])

    def _bound(self, given: Batch, device: torch.device) -> Tensor:
        """Run on tensors of a device, which stay there."""
        import numpy as np

        where = (device.type, device.index or 0)
        binding = self.session.io_binding()
        kept = {name: tensor.to(device).contiguous() for name, tensor in given.items()}
        for name, tensor in kept.items():
            binding.bind_input(name, *where, np.int64, tuple(tensor.shape), tensor.data_ptr())
        binding.bind_output(self.output, *where)
        if device.type != "cpu":
            getattr(torch, device.type).synchronize()  # the session has a stream of its own
        self.session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return torch.from_dlpack(binding.get_outputs()[0]._ortvalue.to_dlpack())

    def _count(self) -> None:
        """Read what ONNX Runtime noted of the first call, after all of its own optimisations."""
        events = json.loads(Path(self.session.end_profiling()).read_text(encoding="utf-8"))
        kernels = [one["args"] for one in events if one.get("cat") == "Node" and one["name"].endswith("kernel_time")]
        self.nodes = dict(Counter(one["provider"] for one in kernels))
        self.products = dict(Counter(kind for one in kernels if (kind := product(one)) is not None))
        self.rounded = any(one["op_name"] in ROUNDED for one in kernels)
        if self._seen is not None:
            self._seen.cleanup()
        self._seen = None


def product(kernel: dict[str, Any]) -> str | None:
    """Return the type that a kernel multiplies matrices in; None for one that does not."""
    name = kernel["op_name"]
    if name in INT8:
        return "int8"
    return spelled(next(iter(kernel["input_type_shape"][0]))) if name in FLOAT else None


class OnnxConverter(Converter):
    """`torch.onnx.export`, and the quantisation of ONNX Runtime."""

    said = "--platform onnxruntime"
    instead = "take --platform cpu"
    distributions = ("onnxruntime", "onnx", "onnxscript")

    def __init__(
        self,
        provider: str,
        index: int,
        device: torch.device | None,
        published: Path | None,
        quantisation: Quantisation | None,
    ) -> None:
        """Take the provider with the number of its device, and the device of torch that it shares memory with."""
        self._provider, self._index, self._device = provider, index, device
        self.published, self.quantisation = published, quantisation

    def export(self, module: ByPosition, example: Batch, folder: Path) -> None:
        """Export the model, its constants folded; what remains is ONNX Runtime's to fuse.

        Torch's own fusions would write rotations (RoPE) as one operation with angles of a single row, for all of a
        batch: ONNX Runtime refuses that for two rows or more. Its own kernels are no slower without.
        """
        from onnxscript import optimizer

        sizes = ({0: "batch", 1: "length"},) * len(example)
        program = torch.onnx.export(
            module,
            tuple(example.values()),
            dynamo=True,
            input_names=list(example),
            output_names=[HIDDEN[0]],
            dynamic_shapes=(sizes,),
            opset_version=OPSET,
            verbose=False,
            optimize=False,
        )
        if program is None:
            raise PlatformError(f"{self.said}: torch exported nothing; {self.instead}")
        optimizer.optimize(program.model)
        program.save(folder / FILE)

    def open(self, folder: Path) -> OnnxGraph:
        """Open a session, with as many threads as torch, and watch its first call."""
        seen = tempfile.TemporaryDirectory(prefix="fmbench-")
        return OnnxGraph(self._session(folder, torch.get_num_threads(), seen.name), self._device, seen)

    def streams(self, folder: Path, count: int) -> list[OnnxGraph]:
        """Open a session that is called by so many threads, where the host computes; its own are in every call."""
        if self._provider != CPU:
            return []
        session = self._session(folder, torch.get_num_threads() // count)
        return [OnnxGraph(session, self._device) for _ in range(count)]

    def _session(self, folder: Path, threads: int, seen: str | None = None) -> Any:
        """Open a session, whose threads spin no longer than a call takes; `seen` is where it says what it did."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.log_severity_level = 4  # what it has to say of an error is in the exception
        if seen:
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(seen, "profile"))
        numbered = {"device_id": str(self._index)} if self._device else {}
        session = onnxruntime.InferenceSession(
            self.published or folder / FILE, options, providers=[(self._provider, numbered)]
        )
        session.disable_fallback()
        if self._provider not in session.get_providers():
            raise PlatformError(f"--platform:provider {self._provider}: did not start; its libraries are not found")
        return session

    def rounds(self, graph: OnnxGraph) -> bool:
        """Whether a graph, which has run, computes with numbers of 8 bits or fewer."""
        return graph.rounded

    def program(self, folder: Path, graph: OnnxGraph, names: tuple[str, ...], streams: int) -> str:
        """Return the session with the same threads and provider."""
        return (PROGRAM + (STREAMS if streams > 1 else "")).format(
            file=str(self.published or folder / FILE),
            threads=graph.threads,
            provider=self._provider,
            output=graph.output,
            count=streams,
        )

    def check_inputs(self) -> None:
        """Raise UsageError where the published file is none that takes tokens and returns their vectors."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            session = onnxruntime.InferenceSession(self.published, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # no ONNX, weights that are not beside it, an operation of another version
            raise UsageError(f"--platform:model {self.published}: {first_line(error)}") from None
        names = {one.name for one in session.get_inputs()}
        if not REQUIRED <= names <= KNOWN:
            raise UsageError(
                f"--platform:model {self.published}: its inputs are {', '.join(sorted(names))}; input_ids, "
                "attention_mask and perhaps token_type_ids are what an encoder of texts takes"
            )
        output_of(session)

    def quantise(self, exported: Path, folder: Path, texts: Sequence[Batch]) -> None:
        """Round the weights of matrix products, a scale a channel, and what they are multiplied with.

        Without texts the latter's scale is found in every call, else once for all.
        """
        from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static

        class Reader(CalibrationDataReader):
            left = iter(texts)

            def get_next(self) -> dict[str, Any] | None:
                text = next(self.left, None)
                return None if text is None else {name: tensor.numpy() for name, tensor in text.items()}

        common = {
            "op_types_to_quantize": ["MatMul"],
            "per_channel": True,
            "reduce_range": bool(self.quantisation and self.quantisation.narrow),
            "weight_type": QuantType.QInt8,
            "use_external_data_format": len(list(exported.iterdir())) > 1,
            "extra_options": {"MatMulConstBOnly": True},
        }
        if texts:
            quantize_static(exported / FILE, folder / FILE, Reader(), activation_type=QuantType.QUInt8, **common)
        else:
            quantize_dynamic(exported / FILE, folder / FILE, **common)


def output_of(session: Any) -> str:
    """Return the name of a session's hidden states, or of its only output. Raises UsageError."""
    outputs = [one.name for one in session.get_outputs()]
    found = next(
        (name for name in (*HIDDEN, *outputs[:1]) if name in outputs and (name in HIDDEN or len(outputs) == 1)), None
    )
    if found is None:
        raise UsageError(
            f"--platform:model: its outputs are {', '.join(outputs)}; none of them is called {' or '.join(HIDDEN)}"
        )
    return found
