"""A torch model as OpenVINO's own: its weights are constants there, which OpenVINO folds and packs for its kernels.

Under torch.compile they are inputs of the graph. Only the platform imports this file, once torch may be imported.
"""

import contextlib
import io
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from torch import Tensor
from torch.nn import functional

from fmbench.converted import Batch, ByPosition, Converter
from fmbench.precision import spelled
from fmbench.quantisation import Quantisation

PRODUCTS = {"FullyConnected", "MatMul", "MHA", "ScaledDotProductAttention"}
THREADING = {"INFERENCE_NUM_THREADS", "NUM_STREAMS", "PERFORMANCE_HINT", "PERFORMANCE_HINT_NUM_REQUESTS"}
FILE = "model.xml"
LEAST = torch.finfo(torch.float16).min  # of every type that a device computes in: with a score below it is 0
SHORT, STEP = 32, 16  # tokens of a text alone that has a graph of one shape, which are padded to a multiple of this


PROGRAM = """\
import numpy as np
import openvino

MODEL = {file!r}  # copy its folder: this one is a cache, and may be deleted
graph = openvino.compile_model(MODEL, {device!r}, {config!r})
request = graph.create_infer_request()


def infer(request, arrays):  # CompiledModel's own call looks into each array in Python: it takes longer than a text
    for place, array in enumerate(arrays):
        request.set_input_tensor(place, openvino.Tensor(array, shared_memory=True))
    request.start_async()
    request.wait()
    return request.get_output_tensor(0).data.copy()


"""
RUN = """\
def run(batch):
    return infer(request, [batch[name] for name in {names!r}])
"""
# In place of `run`, where short texts alone have graphs of their own.
SHORT_RUN = """\
alone = {{}}  # a short text alone is quicker in a graph of its own length


def run(batch):
    arrays = [batch[name] for name in {names!r}]
    rows, length = arrays[0].shape
    if rows > 1 or length > {short}:
        return infer(request, arrays)
    padded = length + -length % {step}
    if padded not in alone:
        model = openvino.Core().read_model(MODEL)
        model.reshape({{place: [1, padded] for place in range(len(arrays))}})
        alone[padded] = openvino.compile_model(model, {device!r}, {config!r}).create_infer_request()
    return infer(alone[padded], [np.pad(one, ((0, 0), (0, padded - length))) for one in arrays])[:, :length]
"""
# For batches in bulk, where each thread has a stream.
STREAMS = """

streams = openvino.compile_model(MODEL, {device!r}, {{**{config!r}, "NUM_STREAMS": {count}}})


def run_all(batches, finish):
    found = {{}}

    def keep(request, said):
        place, batch = said
        found[place] = finish(request.get_output_tensor(0).data.copy(), batch)

    requests = openvino.AsyncInferQueue(streams, {count})
    requests.set_callback(keep)
    for place, batch in enumerate(batches):
        requests.start_async([batch[name] for name in {names!r}], (place, batch))
    requests.wait_all()
    return [found[place] for place in sorted(found)]
"""


class OpenvinoGraph:
    """A compiled model and a request of it.

    A short text alone goes through a graph of its own length, opened at the first one: one graph for every shape
    prepares itself anew for each length, which takes as long as a short text.
    """

    def __init__(self, compiled: Any, config: Mapping[str, Any], alone: Callable[[int], Any] | None = None) -> None:
        """Take a compiled model, its properties, and what compiles it for one row of so many tokens."""
        self.compiled, self.config = compiled, config
        self._request = compiled.create_infer_request()
        self._alone, self._requests = alone, dict[int, Any]()

    def __call__(self, batch: Batch) -> Tensor:
        """Return the output, float32, in memory of its own."""
        arrays = [np.ascontiguousarray(tensor.numpy()) for tensor in batch.values()]
        rows, length = arrays[0].shape
        if self._alone and rows == 1 and length <= SHORT and "attention_mask" in batch:
            padded = [np.pad(one, ((0, 0), (0, -length % STEP))) for one in arrays]
            return run(self._one_row(padded[0].shape[1]), padded)[:, :length]
        return run(self._request, arrays)

    def _one_row(self, length: int) -> Any:
        """Return the request for one row of so many tokens."""
        if length not in self._requests and self._alone:
            self._requests[length] = self._alone(length).create_infer_request()
        return self._requests[length]

    def products(self) -> dict[str, int]:
        """Return how many matrix products are computed in which type. Empty where this version does not show it."""
        found: Counter[str] = Counter()
        for node in self.compiled.get_runtime_model().get_ops():
            if node.get_rt_info()["layerType"].value in PRODUCTS:
                name = spelled(node.input(0).get_source_output().get_element_type().to_string())
                found["int8" if name == "uint8" else name] += 1
        return dict(found)


def run(request: Any, arrays: Sequence[np.ndarray]) -> Tensor:
    """Return a request's output in memory of its own: the request writes over what it lends.

    That copy takes a thousandth of the call's time; the arrays are not copied. `infer` of the same request looks into
    each input and output in Python, which takes longer than a short text, and computes in the calling thread.
    """
    for place, array in enumerate(arrays):
        request.set_input_tensor(place, openvino.Tensor(array, shared_memory=True))
    request.start_async()
    request.wait()
    return torch.from_numpy(request.get_output_tensor(0).data.copy())


@contextlib.contextmanager
def finite_masks() -> Iterator[None]:
    """Within the context, let attention add a finite number where its mask says no.

    OpenVINO adds minus infinity, and makes NaN of a token that may see none: padding, all of whose window is padding,
    and in the next layer every token beside it, as no weight of 0 takes NaN away. Torch makes zeros of it.
    """
    attention = functional.scaled_dot_product_attention

    def finite(
        query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, *more: Any, **named: Any
    ) -> Tensor:
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            attn_mask = torch.where(attn_mask, 0.0, LEAST).to(query.dtype)
        return attention(query, key, value, attn_mask, *more, **named)

    functional.scaled_dot_product_attention = finite
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = attention


class OpenvinoConverter(Converter):
    """`openvino.convert_model`, and NNCF for 8 bits."""

    said = "--platform openvino"
    instead = "take --platform onnxruntime or --platform cpu"
    distributions = ("openvino",)

    def __init__(
        self, device: str, config: Mapping[str, Any], quantisation: Quantisation | None, positions: int | None
    ) -> None:
        """Take OpenVINO's name of the device, its properties, and how numbers are rounded to 8 bits, if they are.

        `positions` is how many tokens the model takes, None for no limit.
        """
        self._device, self._config, self.quantisation = device, config, quantisation
        self._short = device == "CPU" and (positions is None or positions >= SHORT)

    def export(self, module: ByPosition, example: Batch, folder: Path) -> None:
        """Trace the model."""
        with finite_masks():
            graph = openvino.convert_model(module, example_input=tuple(example.values()))
        for node in graph.inputs:
            node.get_node().set_partial_shape(openvino.PartialShape([-1, -1]))
        graph.validate_nodes_and_infer_types()
        openvino.save_model(graph, folder / FILE, compress_to_fp16=False)

    def open(self, folder: Path) -> OpenvinoGraph:
        """Compile the model. It has as many threads as torch, unless its properties say otherwise."""
        model = openvino.Core().read_model(folder / FILE)
        return OpenvinoGraph(*self._compiled(model, {}), partial(self._alone, model) if self._short else None)

    def _alone(self, model: openvino.Model, length: int) -> Any:
        """Compile the model for one row of so many tokens. Its weights are pages of the file, removed or not."""
        graph = model.clone()
        graph.reshape({place: [1, length] for place in range(len(graph.inputs))})
        return self._compiled(graph, {})[0]

    def streams(self, folder: Path, count: int) -> list[OpenvinoGraph]:
        """Compile the model for so many streams, unless its properties say how threads are used."""
        if self._device != "CPU" or self._config.keys() & THREADING:
            return []
        compiled = self._compiled(folder / FILE, {"NUM_STREAMS": count})
        return [OpenvinoGraph(*compiled) for _ in range(count)]

    def _compiled(self, model: Any, more: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return a model, or that of a file, compiled with further properties, and all of them."""
        threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads()} if self._device == "CPU" else {}
        config = {**threads, **self._config, **more}
        return openvino.compile_model(model, self._device, config), config

    def program(self, folder: Path, graph: OpenvinoGraph, names: tuple[str, ...], streams: int) -> str:
        """Return the compiled model on the same device with the same properties."""
        parts = [PROGRAM, SHORT_RUN if self._short and "attention_mask" in names else RUN]
        return "".join([*parts, *([STREAMS] if streams > 1 else [])]).format(
            file=str(folder / FILE),
            device=self._device,
            config=graph.config,
            names=names,
            short=SHORT,
            step=STEP,
            count=streams,
        )

    def quantise(self, exported: Path, folder: Path, texts: Sequence[Batch]) -> None:
        """Round weights, and with texts to learn from activations too, as NNCF does it for transformers."""
        import nncf

        nncf.set_log_level(logging.ERROR)
        graph = openvino.Core().read_model(exported / FILE)
        with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
            if texts:
                narrow = self.quantisation is not None and self.quantisation.narrow
                overflow = nncf.OverflowFix.ENABLE if narrow else nncf.OverflowFix.DISABLE
                graph = nncf.quantize(
                    graph,
                    nncf.Dataset([[tensor.numpy() for tensor in text.values()] for text in texts]),
                    subset_size=len(texts),
                    model_type=nncf.ModelType.TRANSFORMER,
                    advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=overflow),
                )
            else:
                graph = nncf.compress_weights(graph)
        openvino.save_model(graph, folder / FILE, compress_to_fp16=False)
