"""A torch model as OpenVINO's own: its weights are constants there, which OpenVINO folds and packs for its kernels.

Under torch.compile they are inputs of the graph. Only the platform imports this file, once torch may be imported.
"""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fmbench.errors import PlatformError, one_line
from fmbench.measure import Phase

LEAST_COSINE = 0.99  # of a token's vectors in OpenVINO and in torch; bfloat16 stays above, a wrong graph far below
Batch = Mapping[str, Tensor]


class Output(NamedTuple):
    """What a model's output is reduced to: the last hidden states (rows, tokens, d), float32."""

    last_hidden_state: Tensor


class ByPosition(torch.nn.Module):
    """Takes the tensors of a batch by position, as tracing wants it, and returns one tensor in float32."""

    def __init__(self, model: Any, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.names = model, names
        self.named = False  # whether the tensor is the output's last_hidden_state; known after a call

    def forward(self, *tensors: Tensor) -> Tensor:
        """Return the last hidden states, or the output's first tensor where it has none."""
        output = self.model(**dict(zip(self.names, tensors, strict=True)))
        self.named = hasattr(output, "last_hidden_state")
        if self.named:
            return output.last_hidden_state.float()
        return (output if isinstance(output, Tensor) else output[0]).float()


class ConvertedModel:
    """The call that is timed. Each set of names that a batch may have is one graph, of any shape.

    A graph is made at the first batch that needs it: by `ready`, else inside the call.
    """

    def __init__(self, model: Any, device: str, config: Mapping[str, Any]) -> None:
        """Take the model, the name that OpenVINO has for the device, and its properties."""
        self._model, self._device, self._config = model, device, config
        self._requests: dict[tuple[str, ...], tuple[Any, bool]] = {}
        self.graphs: dict[tuple[str, ...], Any] = {}  # compiled, by the names of their inputs

    def __call__(self, batch: Batch) -> Any:
        """Return an `Output`, or a tensor where the model's output has no last hidden states."""
        names = tuple(batch)
        if names not in self._requests:
            self.ready(batch)
        request, named = self._requests[names]
        found = infer(request, batch)
        return Output(found) if named else found

    def ready(self, batch: Batch) -> list[Phase]:
        """Convert, compile and check the graph for batches like this one; nothing where that is done.

        Raises PlatformError where the model cannot be converted, or computes something else afterwards.
        """
        names = tuple(batch)
        if names in self._requests:
            return []
        module = ByPosition(self._model, names)
        made: list[Any] = []
        phases = [Phase.timed("convert", lambda: made.append(self._compiled(module, batch)))]
        request = made[0].create_infer_request()
        phases.append(Phase.timed("check", lambda: check(module, request, batch)))
        self._requests[names], self.graphs[names] = (request, module.named), made[0]
        return phases

    def _compiled(self, module: ByPosition, batch: Batch) -> Any:
        """Return the compiled graph. It has as many threads as torch, unless its properties say otherwise."""
        import openvino

        threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads()} if self._device == "CPU" else {}
        traced = tuple(example(batch).values())
        try:
            with torch.no_grad(), quiet():
                graph = openvino.convert_model(module, example_input=traced)
            for node in graph.inputs:
                node.get_node().set_partial_shape(openvino.PartialShape([-1, -1]))
            graph.validate_nodes_and_infer_types()
            return openvino.compile_model(graph, self._device, {**threads, **self._config})
        except Exception as error:  # an operation that it does not know, a property that it refuses
            raise PlatformError(
                f"--platform:frontend convert_model: {one_line(error)}; take --platform:frontend torch.compile"
            ) from error


def infer(request: Any, batch: Batch) -> Tensor:
    """Return the graph's output, float32, in memory of its own: the request writes over what it lends.

    That copy takes a thousandth of the call's time; the batch is not copied.
    """
    found = request.infer([tensor.numpy() for tensor in batch.values()], share_inputs=True)
    return torch.from_numpy(found[0])


def example(batch: Batch) -> dict[str, Tensor]:
    """Return a small padded batch to trace, made of the tokens of this one, which differs from it in both sizes.

    What tracing freezes to these sizes then shows in the check.
    """
    rows, length = next(iter(batch.values())).shape
    row = torch.arange(3 if rows == 2 else 2) % rows
    column = torch.arange(9 if length == 8 else 8) % length
    return padded({name: tensor[row][:, column] for name, tensor in batch.items()})


def padded(batch: Batch) -> dict[str, Tensor]:
    """Return the batch with padding in the second half of its last row, as far as that leaves it a token.

    Models look for masks without padding and leave them out, which a traced graph must not repeat.
    """
    found = dict(batch)
    if "attention_mask" in found:
        found["attention_mask"] = mask = found["attention_mask"].clone()
        half = mask.shape[1] // 2
        if mask[-1, :half].any():
            mask[-1, half:] = 0
    return found


def check(module: ByPosition, request: Any, batch: Batch) -> None:
    """Raise PlatformError where a graph and the model that it was made of do not agree on a batch."""
    given = padded(batch)
    with torch.no_grad():
        expected = module(*given.values())
    try:
        found = infer(request, given)
    except RuntimeError as error:  # sizes that were frozen do not go together
        raise wrong(one_line(error)) from error
    if found.shape != expected.shape:
        raise wrong(f"shape {list(found.shape)} instead of {list(expected.shape)}")
    mask = given.get("attention_mask")
    if mask is not None and expected.shape[:-1] == mask.shape:  # vectors of padding are anything
        found, expected = found[mask.bool()], expected[mask.bool()]
    cosines = torch.cosine_similarity(found, expected, dim=-1)
    cosines[(found == expected).all(dim=-1)] = 1.0  # zeros have no direction
    if not bool((cosines >= LEAST_COSINE).all()):  # false for NaN too
        raise wrong(f"least cosine {float(cosines.min()):.4f} of a vector, {LEAST_COSINE} is wanted")


def wrong(how: str) -> PlatformError:
    """Return the error that says how a conversion is wrong."""
    return PlatformError(
        f"--platform:frontend convert_model: the converted model does not compute what torch does ({how}); "
        "take --platform:frontend torch.compile"
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep back what tracing says: it warns of each branch in Python, and `check` looks for what may follow from one.

    It also touches every property of a model, some of which are deprecated or log a line.
    """
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
