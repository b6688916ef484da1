"""A torch model as OpenVINO's own: its weights are constants there, which OpenVINO folds and packs for its kernels.

Under torch.compile they are inputs of the graph. Only the platform imports this file, once torch may be imported.
"""

import contextlib
import io
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from torch import Tensor

from fmbench.converted import Batch, ByPosition, Converter
from fmbench.precision import spelled
from fmbench.quantisation import Quantisation

PRODUCTS = {"FullyConnected", "MatMul", "MHA", "ScaledDotProductAttention"}
THREADING = {"INFERENCE_NUM_THREADS", "NUM_STREAMS", "PERFORMANCE_HINT", "PERFORMANCE_HINT_NUM_REQUESTS"}
FILE = "model.xml"


PROGRAM = """\
import openvino

MODEL = {file!r}  # copy its folder: this one is a cache, and may be deleted
graph = openvino.compile_model(MODEL, {device!r}, {config!r})


def run(batch):
    return graph([batch[name] for name in {names!r}])[0]
"""


class OpenvinoGraph:
    """A compiled model and a request of it."""

    def __init__(self, compiled: Any, config: Mapping[str, Any]) -> None:
        self.compiled, self.config = compiled, config
        self._request = compiled.create_infer_request()

    def __call__(self, batch: Batch) -> Tensor:
        """Return the output, float32, in memory of its own: the request writes over what it lends.

        That copy takes a thousandth of the call's time; the batch is not copied. `infer` of the same request looks into
        each input and output in Python, which takes longer than a short text, and computes in the calling thread.
        """
        arrays = [np.ascontiguousarray(tensor.numpy()) for tensor in batch.values()]
        for place, array in enumerate(arrays):
            self._request.set_input_tensor(place, openvino.Tensor(array, shared_memory=True))
        self._request.start_async()
        self._request.wait()
        return torch.from_numpy(self._request.get_output_tensor(0).data.copy())

    def products(self) -> dict[str, int]:
        """Return how many matrix products are computed in which type. Empty where this version does not show it."""
        found: Counter[str] = Counter()
        for node in self.compiled.get_runtime_model().get_ops():
            if node.get_rt_info()["layerType"].value in PRODUCTS:
                name = spelled(node.input(0).get_source_output().get_element_type().to_string())
                found["int8" if name == "uint8" else name] += 1
        return dict(found)


class OpenvinoConverter(Converter):
    """`openvino.convert_model`, and NNCF for 8 bits."""

    said = "--platform openvino"
    instead = "take --platform:frontend torch.compile"
    distributions = ("openvino",)

    def __init__(self, device: str, config: Mapping[str, Any], quantisation: Quantisation | None) -> None:
        """Take OpenVINO's name of the device, its properties, and how numbers are rounded to 8 bits, if they are."""
        self._device, self._config, self.quantisation = device, config, quantisation

    def export(self, module: ByPosition, example: Batch, folder: Path) -> None:
        """Trace the model."""
        graph = openvino.convert_model(module, example_input=tuple(example.values()))
        for node in graph.inputs:
            node.get_node().set_partial_shape(openvino.PartialShape([-1, -1]))
        graph.validate_nodes_and_infer_types()
        openvino.save_model(graph, folder / FILE, compress_to_fp16=False)

    def open(self, folder: Path) -> OpenvinoGraph:
        """Compile the model. It has as many threads as torch, unless its properties say otherwise."""
        return self._compiled(folder, {})[0]

    def streams(self, folder: Path, count: int) -> list[OpenvinoGraph]:
        """Compile the model for so many streams, unless its properties say how threads are used."""
        if self._device != "CPU" or self._config.keys() & THREADING:
            return []
        return self._compiled(folder, {"NUM_STREAMS": count}, count)

    def _compiled(self, folder: Path, more: Mapping[str, Any], requests: int = 1) -> list[OpenvinoGraph]:
        """Return requests of the model, compiled with further properties."""
        threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads()} if self._device == "CPU" else {}
        config = {**threads, **self._config, **more}
        compiled = openvino.compile_model(folder / FILE, self._device, config)
        return [OpenvinoGraph(compiled, config) for _ in range(requests)]

    def program(self, folder: Path, graph: OpenvinoGraph, names: tuple[str, ...]) -> str:
        """Return the compiled model on the same device with the same properties."""
        return PROGRAM.format(file=str(folder / FILE), device=self._device, config=graph.config, names=names)

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
