"""A torch model as another stack's own: made once, kept in the user's cache, and held against torch before it is used.

What the stacks differ in is a `Converter`. Only a platform imports this file, once torch may be imported.
"""

import contextlib
import hashlib
import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from fmbench import __version__, cached
from fmbench.digest import digest_of_json
from fmbench.errors import FmbenchError, PlatformError, one_line
from fmbench.facts import versions
from fmbench.identity import ORIGIN, without
from fmbench.measure import Phase
from fmbench.quantisation import Quantisation

LEAST_COSINE = 0.99  # of a token's vectors in the stack and in torch; bfloat16 stays above, a wrong graph far below
LEAST_OF_MEANS = 0.8  # of the means of a row's vectors, where numbers were rounded to 8 bits or fewer
MOST_STREAMS, LEAST_EACH = 8, 2  # with fewer batches a stream, threads wait in the end for longer than in a call
ONE_BY_ONE = """

def run_all(batches, finish):
    return [finish(run(batch), batch) for batch in batches]
"""
LIBRARIES = {"torch", "transformers"}  # whose code a model's digest knows by their versions
Batch = Mapping[str, Tensor]


class Output(NamedTuple):
    """What a model's output is reduced to: the last hidden states (rows, tokens, d), float32."""

    last_hidden_state: Tensor


class ByPosition(torch.nn.Module):
    """Takes the tensors of a batch by position, as exporters want it, and returns one tensor in float32."""

    def __init__(self, model: Any, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.names = model, names
        self.named = False  # whether the tensor is the output's last_hidden_state; known after a call
        self.training = model.training

    def forward(self, *tensors: Tensor) -> Tensor:
        """Return the last hidden states, or the output's first tensor where it has none."""
        output = self.model(**dict(zip(self.names, tensors, strict=True)))
        self.named = hasattr(output, "last_hidden_state")
        if self.named:
            return output.last_hidden_state.float()
        return (output if isinstance(output, Tensor) else output[0]).float()


class Graph(Protocol):
    """A model that a stack has opened."""

    def __call__(self, batch: Batch) -> Tensor:
        """Return its output for a placed batch of any shape: float32, in memory of its own."""


class Converter(ABC):
    """What one stack does with a model."""

    said: ClassVar[str]  # what a command line calls it, for errors
    instead: ClassVar[str]  # what to take where it fails
    distributions: ClassVar[tuple[str, ...]]  # whose versions decide what it makes
    published: Path | None = None  # a file that is opened as it is, instead of what would be made here
    quantisation: Quantisation | None = None

    @abstractmethod
    def export(self, module: ByPosition, example: Batch, folder: Path) -> None:
        """Write the model to files of a folder, of which batch and length may vary. The example has at least 2 of each.

        May raise anything.
        """

    @abstractmethod
    def open(self, folder: Path) -> Graph:
        """Return the model of a folder, or of the published file, ready to run. May raise anything."""

    def streams(self, folder: Path, count: int) -> Sequence[Graph]:
        """Return so many calls of the model of a folder that run side by side, with torch's threads divided among them.

        None where the device does better with one call after another. May raise anything.
        """
        return []

    @abstractmethod
    def program(self, folder: Path, graph: Any, names: tuple[str, ...], streams: int) -> str:
        """Return Python lines that define `run` with the file of a folder, as `Backend.program` has it.

        And `run_all`, where several `streams` ran side by side. The graph is the opened one; `names` are those of its
        inputs.
        """

    def rounds(self, graph: Any) -> bool:
        """Whether a published file, whose graph has run, computes with numbers of 8 bits or fewer."""
        return False

    def quantise(self, exported: Path, folder: Path, texts: Sequence[Batch]) -> None:
        """Write the model of a folder to another one, its numbers rounded to 8 bits. May raise anything.

        Each of the texts is a batch of its own, with no padding.
        """
        raise NotImplementedError


class ConvertedModel:
    """The call that is timed. Each set of names that a batch may have is one graph, of any shape.

    A graph is made at the first batch that needs it: by `ready`, else inside the call.
    """

    def __init__(self, model: Any, converter: Converter) -> None:
        """Take the model of torch, and what makes another stack's of it."""
        if converter.quantisation is not None:
            converter.quantisation.warn_of_few()
        self._model, self._converter = model, converter
        self._named: dict[tuple[str, ...], bool] = {}
        self.graphs: dict[tuple[str, ...], Any] = {}  # what the converter opened, by the names of their inputs
        self.least_cosine: float | None = None  # of all checks
        self.streamed: dict[tuple[str, ...], list[Graph]] = {}  # that run side by side
        self._folders: dict[tuple[str, ...], Path | None] = {}  # in the cache; None: nothing is kept

    def __call__(self, batch: Batch) -> Any:
        """Return an `Output`, or a tensor where the model's output has no last hidden states."""
        names = tuple(batch)
        if names not in self.graphs:
            self.ready(batch)
        found = self.graphs[names](batch)
        return Output(found) if self._named[names] else found

    def ready(self, batch: Batch) -> list[Phase]:
        """Make, open and check the graph for batches like this one; nothing where that is done.

        Raises PlatformError where the model cannot be converted, or computes something else afterwards.
        """
        names = tuple(batch)
        if names in self.graphs:
            return []
        module, making = ByPosition(self._model, names), _Making(self._converter)
        graph = making.graph(module, batch, self._key(names))
        self.least_cosine = min(making.cosine, self.least_cosine or 1.0)
        self.graphs[names], self._named[names] = graph, module.named
        self._folders[names] = making.folder
        return making.phases

    def streams(self, batches: int) -> list[Callable[[Batch], Output]]:
        """Return what `Backend.streams` does; none where the files of a graph are not kept. Raises PlatformError."""
        count = streams_of(torch.get_num_threads())
        if count == 1 or batches < LEAST_EACH * count:
            return []
        for names in self.graphs:
            self._open_streams(names, count)
        return [partial(self._in_stream, stream) for stream in range(self.stream_count) if self.stream_count > 1]

    def _open_streams(self, names: tuple[str, ...], count: int) -> None:
        """Open so many graphs, where that is not done."""
        folder, opened = self._folders[names], list[Graph]()
        if names not in self.streamed and folder is not None:
            _Making(self._converter).took("open", lambda: opened.extend(self._converter.streams(folder, count)))
            self.streamed[names] = opened

    def _in_stream(self, stream: int, batch: Batch) -> Output:
        """Return the output of one of the graphs."""
        return Output(self.streamed[tuple(batch)][stream](batch))

    @property
    def stream_count(self) -> int:
        """How many graphs ran side by side."""
        return max([1, *map(len, self.streamed.values())])

    def program(self) -> str | None:
        """Return Python lines that run the graph in production; None before there is one, or where no file is kept."""
        names, folder = next(iter(self._folders.items()), ((), None))
        if folder is None:
            return None
        lines = self._converter.program(folder, self.graphs[names], names, self.stream_count)
        return lines + (ONE_BY_ONE if self.stream_count == 1 else "")

    def _key(self, names: tuple[str, ...]) -> dict[str, Any] | None:
        """Return what decides the files of a graph; None for a model that nothing tells from all others."""
        digest = digest_of_model(self._model)
        used = {"fmbench": __version__, **versions((*sorted(LIBRARIES), *self._converter.distributions))}
        return None if digest is None else {"model": digest, "inputs": names, "libraries": used}


class _Making:
    """How one graph comes to be: what it took, and how close it is."""

    def __init__(self, converter: Converter) -> None:
        self.phases: list[Phase] = []
        self.cosine = 1.0
        self.folder: Path | None = None  # that stays
        self._converter = converter

    def took(self, name: str, call: Callable[[], Any], what: str = "") -> None:
        """Run a step, which does `what`, as a phase. Raises PlatformError for whatever a stack raises."""
        try:
            with quiet():
                self.phases.append(Phase.timed(name, call))
        except FmbenchError:
            raise
        except Exception as error:  # an operation that it does not know, a property that it refuses
            why = f"{what} ({said(error)})" if what else said(error)
            raise PlatformError(f"{self._converter.said}: {why}; {self._converter.instead}") from error

    def graph(self, module: ByPosition, batch: Batch, key: Mapping[str, Any] | None) -> Any:
        """Return the graph, opened and checked, made where the cache does not have it."""
        converter, rounded = self._converter, self._converter.quantisation
        opened: list[Any] = []

        def use(folder: Path) -> None:
            self.took("open", lambda: opened.append(converter.open(folder)))
            self.took("check", lambda: self.hold(module, opened[-1], batch, rounded is not None))

        if converter.published:
            use(Path())
            self.folder = converter.published.parent
            return opened[-1]

        def export(folder: Path) -> None:
            with torch.no_grad():
                unable = f"cannot convert {type(module.model).__name__}"
                self.took("convert", lambda: converter.export(module, example(batch), folder), unable)

        def quantise(folder: Path) -> None:
            def check(exported: Path) -> None:
                self.took("check", lambda: self.hold(module, converter.open(exported), batch, rounded=False))

            with cached.sound_folder(self._name(key, {}), export, check) as exported:
                texts = rounded.batches(module.model, module.names) if rounded else []
                self.took("quantize", lambda: converter.quantise(exported, folder, texts))

        name = self._name(key, rounded.facts() if rounded else {})
        with cached.sound_folder(name, quantise if rounded else export, use) as folder:
            self.folder = folder if name else None
        return opened[-1]

    def _name(self, key: Mapping[str, Any] | None, more: Mapping[str, Any]) -> str | None:
        """Return what a graph is called in the cache."""
        stack = self._converter.distributions[0]
        return None if key is None else f"{stack}-{digest_of_json({**key, **more})[:32]}"

    def hold(self, module: ByPosition, graph: Any, batch: Batch, rounded: bool) -> None:
        """Raise PlatformError where a graph and the model that it was made of do not agree on a batch.

        Nor on a small one of several rows, where the batch is one row: a stack may have ways of its own for that.
        """
        least = LEAST_OF_MEANS if rounded or self._converter.rounds(graph) else LEAST_COSINE
        one_row = len(next(iter(batch.values()))) == 1
        for given in [padded(batch), example(batch)][: 1 + one_row]:
            found = self._agreement(module, graph, given, least)
            if not found >= least:  # true for NaN too
                raise self._wrong(f"least cosine {found:.4f} of a vector, {least} is wanted")
            self.cosine = min(self.cosine, found)

    def _agreement(self, module: ByPosition, graph: Any, given: Batch, least: float) -> float:
        """Return the least cosine of a graph's vectors with the model's. Raises PlatformError for another shape."""
        with torch.no_grad():
            expected = module(*(tensor.cpu() for tensor in given.values()))
        try:
            found = graph(given).cpu()
        except Exception as error:  # sizes that were frozen do not go together
            raise self._wrong(one_line(error)) from error
        if found.shape != expected.shape:
            raise self._wrong(f"shape {list(found.shape)} instead of {list(expected.shape)}")
        mask = given.get("attention_mask")
        if mask is not None:
            mask = mask.cpu() if expected.shape[:-1] == mask.shape else None
        return cosine(found, expected, mask, least)

    def _wrong(self, how: str) -> PlatformError:
        """Return the error that says how a conversion is wrong, or what a published file is not."""
        if file := self._converter.published:
            return PlatformError(
                f"--platform:model {file}: is of other weights than the model's folder ({how}); name the folder that "
                "it was made from as --model_name"
            )
        return PlatformError(
            f"{self._converter.said}: the converted model does not compute what torch does ({how}); "
            f"{self._converter.instead}"
        )


def streams_of(threads: int) -> int:
    """Return over how many streams threads are divided, each with as many."""
    return max(count for count in range(1, MOST_STREAMS + 1) if threads % count == 0)


def cosine(found: Tensor, expected: Tensor, mask: Tensor | None, least: float) -> float:
    """Return the least cosine of vectors (..., d) of a graph and of torch; those of padding are anything.

    Where less is wanted than of a token's vectors, it is of the means of a row's.
    """
    if mask is not None and least < LEAST_COSINE:
        found, expected = ((states * mask[..., None]).sum(dim=1) for states in (found, expected))
    elif mask is not None:
        found, expected = found[mask.bool()], expected[mask.bool()]
    cosines = torch.cosine_similarity(found, expected, dim=-1)
    cosines[(found == expected).all(dim=-1)] = 1.0  # zeros have no direction
    return float(cosines.min())


def said(error: BaseException) -> str:
    """Return what lies at the bottom of a stack's error on one line: exporters wrap an operation's name in advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {one_line(error)}"


def example(batch: Batch) -> dict[str, Tensor]:
    """Return a small padded batch to export with, of the tokens of this one, which differs from it in both sizes.

    What an export freezes to these sizes then shows in the check.
    """
    rows, length = next(iter(batch.values())).shape
    row = torch.arange(3 if rows == 2 else 2) % rows
    column = torch.arange(9 if length == 8 else 8) % length
    return padded({name: tensor.cpu()[row][:, column] for name, tensor in batch.items()})


def padded(batch: Batch) -> dict[str, Tensor]:
    """Return the batch with padding in the second half of its last row, as far as that leaves it a token.

    Models look for masks without padding and leave them out, which a graph must not repeat.
    """
    found = dict(batch)
    if "attention_mask" in found:
        found["attention_mask"] = mask = found["attention_mask"].clone()
        half = mask.shape[1] // 2
        if mask[-1, :half].any():
            mask[-1, half:] = 0
    return found


def digest_of_model(model: Any) -> str | None:
    """Return the sha256 of what a loaded model computes: weights as they are, configuration, classes.

    None where other code than the libraries' computes: a model's own, hooks, a tensor that is more than its numbers.
    """
    parts, tensors = list(model.modules()), [*model.named_parameters(), *model.named_buffers()]
    if (
        not {type(part).__module__.partition(".")[0] for part in parts} <= LIBRARIES
        or any(part._forward_hooks or part._forward_pre_hooks or "forward" in vars(part) for part in parts)
        or any(type(tensor) not in (Tensor, torch.nn.Parameter) for _, tensor in tensors)
    ):
        return None
    total = hashlib.sha256()
    for name, tensor in tensors:
        total.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    config = getattr(model, "config", None)
    described = without(config.to_dict(), ORIGIN) | {"attention": config._attn_implementation} if config else None
    return digest_of_json([total.hexdigest(), [str(type(part)) for part in parts], described])


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep back what exporters say: they warn of each branch in Python, and the check looks for what follows from one.

    They also touch every property of a model, some of which are deprecated or log a line.
    """
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
