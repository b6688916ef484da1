"""One chunk's tokens through the device: batches, forward, pooling, further modules, and back in order."""

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from fmbench.backend import Backend, Forward
from fmbench.errors import PlatformError, UsageError, first_line
from fmbench.options import Arguments
from fmbench.outputs import OutputError, answer, blamed, placed
from fmbench.torch_settings import CompilationWatch

from .batches import Batch, batches, measure_budgets
from .budget import DEFAULT, GIVEN, Budget, measured_once, texts_like
from .loading import reads_types
from .plan import EncoderPlan
from .pooling import pool
from .recipe import AUTO, ROLES, Recipe, Role
from .row_order import LENGTH, ROWS, check_order, random_texts
from .steps import Step
from .threads import side_by_side
from .timings import Timings
from .tokens import Tokens

if TYPE_CHECKING:
    import numpy as np
    import torch


Pooled = tuple[Batch, "torch.Tensor"]
BULK = 64  # batches, with which everything that computes side by side has work


class Kept(Protocol):
    """Vectors of one chunk that outlive the process; positions (n,) are those of the chunk's texts."""

    def take(self, positions: "np.ndarray") -> "np.ndarray | None":
        """Return the vectors (n, d) of these texts, or None where one of them is not there."""

    def due(self) -> bool:
        """Whether it is time to keep what was computed since."""

    def keep(self, positions: "np.ndarray", vectors: "np.ndarray") -> None:
        """Take vectors (n, d), and write what was taken where that is due."""


class Compute:
    """What happens on the device. One thread at a time: there is one device."""

    def __init__(
        self,
        plan: EncoderPlan,
        loaded: Any,
        arguments: Arguments,
        recipe: Recipe,
        steps: Sequence[Step],
        tokenizer: Any,
        lengths: tuple[int, ...] | None,
    ) -> None:
        """Place the model and read the further modules. Raises UsageError for dimensions that do not go together."""
        from .network import Head

        self._platform = platform = plan.platform
        self._recipe = recipe
        self._modes = recipe.pooling or ()
        self._head = Head((step.load() for step in steps), recipe.truncate_dim, bool(recipe.normalise))
        self._there: torch.device | None = None  # where the further modules are
        self._padding_id = tokenizer.pad_token_id or 0
        self._lengths = lengths
        self.types = "token_type_ids" in tokenizer.model_input_names and reads_types(loaded, self._padding_id)
        said = recipe.tokens_per_batch
        fixed = Budget(said, GIVEN) if isinstance(said, int) else Budget(platform.tokens_per_batch, DEFAULT)
        self.budgets: dict[Role, Budget] = {} if said == AUTO else dict.fromkeys(ROLES, fixed)
        config = loaded.config.get_text_config()
        self.width = config.vocab_size if plan.folder.sparse else config.hidden_size  # numbers of a token
        self.dimension = self._dimension(self.width)
        self._vocabulary = config.vocab_size
        self._forward = blamed(platform, platform.prepare(loaded, arguments))
        self._watch = CompilationWatch()
        if arguments.compile or platform.always_compiles:
            self._watch.install()
        self._warm: set[tuple[int, int] | bool] = set()
        self._shape_costs = bool(lengths or platform.compiles(arguments))
        self._in_order = False  # whether a batch of several rows has shown that they keep their order
        self._lock = threading.Lock()

    def _dimension(self, width: int) -> int:
        """Return how many numbers a vector has, told from those that the model has a token, and the modules."""
        import torch

        size = width * len(self._modes)
        try:
            found = int(self._finish(torch.zeros(1, size)).shape[1])
        except RuntimeError as error:
            raise UsageError(
                f"the folder's modules do not take vectors of {size} numbers: {first_line(error)}"
            ) from None
        wanted = self._recipe.truncate_dim
        if wanted is not None and found < wanted:
            raise UsageError(f"--truncate_dim {wanted}: the vectors have {found} numbers; give at most that")
        return found

    def _finish(self, vectors: "torch.Tensor") -> "torch.Tensor":
        """Apply the further modules, truncate, and normalise in the end where that was asked for."""
        if vectors.device != self._there:
            self._head, self._there = self._head.to(vectors.device), vectors.device
        return self._head(vectors)

    def search_budget(self, tokens: Tokens, role: Role, key: Callable[[], Mapping[str, Any]], timings: Timings) -> int:
        """Return a role's token budget, found once by a short measured search on some texts, here or in a former run.

        `key` returns what decides it beside the lengths of texts. Fewer than two texts make one batch whatever the
        budget, and settle none: `key` is not called, so that a text alone takes no time for it.
        """

        def run(some: Sequence[Batch]) -> None:
            spent = Timings()
            for _ in self._computed(tokens, some, 0, spent, BULK):
                pass
            self._platform.synchronize()
            for name, seconds in spent.phases.items():
                timings.took(name, seconds)

        default, lengths = self._platform.tokens_per_batch, tokens.lengths
        if len(lengths) < 2:
            return default
        with self._lock, self._inference():
            if role not in self.budgets:
                with timings.phase("budget"):
                    run([next(batches(lengths, default, self._lengths))])  # streams are of what has run
                    count = max(1, len(self._platform.streams(BULK)))
                    whole = {**key(), "texts": texts_like(lengths), "lengths": self._lengths, "at_once": count}
                    self.budgets[role] = measured_once(
                        whole, default, lambda: measure_budgets(lengths, run, default, self._lengths, count)
                    )
                self._platform.recover()
            return self.budgets[role].tokens

    def vectors(
        self, tokens: Tokens, budget: int, excluded: int, timings: Timings, kept: Kept | None = None
    ) -> "np.ndarray":
        """Return the vectors of one chunk, float32 of shape (n, d), in the order of its texts.

        So many of a text's first tokens are `excluded` from pooling. Batches that `kept` holds are not computed again;
        the others are given to it now and then.
        """
        import numpy as np

        result = np.empty((len(tokens.lengths), self.dimension), dtype=np.float32)
        pooled: list[Pooled] = []
        every, left = list(self._batches(tokens, budget)), []
        for batch in every:
            known = kept.take(batch.positions) if kept else None
            if known is None:
                left.append(batch)
            else:
                result[batch.positions] = known
        computed = self._computed(tokens, left, excluded, timings, len(every))
        with self._lock, self._inference(), contextlib.closing(computed):
            for one in computed:
                pooled.append(one)
                if kept and kept.due():
                    fetch(pooled, result, timings, kept)
            fetch(pooled, result, timings, kept)
        return result

    def _computed(
        self, tokens: Tokens, left: Sequence[Batch], excluded: int, timings: Timings, count: int
    ) -> Generator[Pooled]:
        """Yield those batches of `count` that are left, each with its vectors.

        Several are computed at once where the platform does that, however many are left: to the last bit, it matters.
        """
        for batch in left[:1]:
            self._ready(tokens, batch, excluded, timings)
        start = time.perf_counter()
        if streams := self._platform.streams(count) if left and count > 1 else []:
            timings.took("open", time.perf_counter() - start)
            named = [blamed(self._platform, stream) for stream in streams]
            yield from self._side_by_side(tokens, left, excluded, timings, named)
        else:
            yield from ((batch, self._run(tokens, batch, excluded, timings)) for batch in left)

    def _side_by_side(
        self, tokens: Tokens, left: Sequence[Batch], excluded: int, timings: Timings, streams: Sequence[Forward]
    ) -> Generator[Pooled]:
        """Yield batches, each with its vectors, as many of which are computed at once as there are streams."""
        beside = Timings()

        def run(forward: Forward, batch: Batch) -> "torch.Tensor":
            spent = Timings()
            with self._inference():
                vectors = self._batch(tokens, batch, excluded, spent, forward)
            beside.include(spent)
            return vectors

        waited = 0.0
        with contextlib.closing(side_by_side(left, run, streams)) as found:
            for batch in left:
                start = time.perf_counter()
                vectors = next(found)
                waited += time.perf_counter() - start
                yield batch, vectors
        timings.include(beside.within(waited))

    def _batches(self, tokens: Tokens, budget: int) -> Iterator[Batch]:
        """Yield the batches of a chunk. One text alone is one row where shapes are fixed and there may be several."""
        for batch in batches(tokens.lengths, budget, self._lengths):
            alone = len(tokens.lengths) == 1 and not self._platform.single_shape
            yield replace(batch, rows=1) if alone else batch

    @contextlib.contextmanager
    def _inference(self) -> Iterator[None]:
        """Switch gradients off in this thread, by torch's inference mode where the platform takes it."""
        import torch

        with torch.inference_mode() if self._platform.inference_mode else torch.no_grad():
            yield

    def _run(self, tokens: Tokens, batch: Batch, excluded: int, timings: Timings) -> "torch.Tensor":
        """Return the vectors of one batch, where pooling left them.

        What a first call costs is a phase, as is a call in which a compiler ran; the batch is then computed once more.
        """
        self._ready(tokens, batch, excluded, timings)
        while True:
            compiled, start, spent = self._watch.count, time.perf_counter(), Timings()
            vectors = self._batch(tokens, batch, excluded, spent, self._forward)
            if self._watch.count == compiled:
                break
            self._platform.synchronize()
            timings.took("compile", time.perf_counter() - start)
        timings.include(spent)
        return vectors

    def _ready(self, tokens: Tokens, batch: Batch, excluded: int, timings: Timings) -> None:
        """See to it that a batch of this shape, or of these inputs where shapes are free, was computed before."""
        alone = batch.rows == 1 and batch.length <= self._platform.short_text
        shape = (batch.rows, batch.length) if self._lengths or alone else tokens.types is not None
        if shape not in self._warm:
            self._warm_up(tokens, batch, excluded, timings)
            self._warm.add(shape)
        if batch.rows > 1 and not self._in_order:
            with timings.phase("warm_up"):
                self._check_order(tokens, batch)
            self._in_order = True

    def _check_order(self, tokens: Tokens, batch: Batch) -> None:
        """Raise PlatformError where rows come back in another order. Where another shape may be compiled, take none."""
        import numpy as np

        fixed, rows, length = self._shape_costs, batch.rows, batch.length
        if not fixed:
            rows, length = min(rows, ROWS), min(length, LENGTH)
        given = np.full(rows, max(length - 1, 1))  # with padding, as batches mostly have it
        texts = self._as_given(random_texts(given, self._vocabulary, self._padding_id), tokens)

        def vectors(positions: "np.ndarray") -> "torch.Tensor":
            some = Batch(positions, length, len(positions))
            return self._batch(texts, some, 0, Timings(), self._forward).reshape(len(positions), -1).cpu()

        check_order(vectors, rows, fixed, self._platform)

    def batches_again(self, batches: Sequence[Batch], positions: Sequence[int]) -> list[Batch]:
        """Return the batches in which one or two texts, each of a batch, are computed again, with nothing beside them.

        Both are in one, half of its rows each: of two rows, or of the least costly shape that holds both where another
        one may be compiled; a shape of one row holds one.
        """
        import numpy as np

        length = max(batch.length for batch in batches)
        rows = min(batch.rows for batch in batches if batch.length == length) if self._shape_costs else 2
        if rows == 1:
            return [Batch(np.array([place]), batch.length, 1) for place, batch in zip(positions, batches, strict=True)]
        return [Batch(np.array(positions)[np.arange(rows) * len(positions) // rows], length, rows)]

    def again(
        self, tokens: Tokens, batches: Sequence[Batch], positions: Sequence[int], excluded: int
    ) -> "list[torch.Tensor]":
        """Return the vectors (d,) of texts that are computed again; of its tokens' vectors, the mean."""
        found: list[torch.Tensor] = []
        with self._lock, self._inference():
            for batch in self.batches_again(batches, positions):
                vectors = self._batch(tokens, batch, excluded, Timings(), self._forward).float().cpu()
                first, last = (self._vectors_of(tokens, int(batch.positions[end])) for end in (0, -1))
                found += [vectors[:first].sum(dim=0) / max(first, 1)]
                if batch.positions[0] != batch.positions[-1]:
                    found += [vectors[len(vectors) - last :].sum(dim=0) / max(last, 1)]
        return found

    def _vectors_of(self, tokens: Tokens, position: int) -> int:
        """Return how many vectors a text has."""
        return 1

    def _as_given(self, texts: Tokens, tokens: Tokens) -> Tokens:
        """Return made-up texts as tokens of a chunk are, with token types where those have them."""
        import numpy as np

        return texts if tokens.types is None else replace(texts, types=np.zeros_like(texts.ids))

    def _batch(self, tokens: Tokens, batch: Batch, excluded: int, timings: Timings, forward: Forward) -> "torch.Tensor":
        """Compute one batch."""
        with timings.stage("collate"):
            inputs = collate(tokens, batch, self._padding_id, self.types)
            placed = self._platform.place(inputs)
        with timings.stage("forward"):
            hidden = hidden_states(forward(placed), (batch.rows, batch.length, self.width), self._platform)
            self._platform.observe()
        count, known = len(batch.positions), int(tokens.lengths[batch.positions].sum())
        with timings.stage("pool"):
            mask = placed["attention_mask"]
            if not self._platform.runs_torch:
                hidden, mask = hidden.cpu(), inputs["attention_mask"]
            full = known == count * batch.length and not excluded
            vectors = self._finish(pool(hidden[:count], None if full else mask[:count], self._modes, excluded))
        timings.texts += count
        timings.tokens += known
        timings.padded_tokens += batch.rows * batch.length
        timings.batches += 1
        return vectors

    def _warm_up(self, tokens: Tokens, batch: Batch, excluded: int, timings: Timings) -> None:
        """Do the one-off work of a new shape, or of all of them at once where shapes are not fixed."""
        compiled, start = self._watch.count, time.perf_counter()
        inputs = collate(tokens, batch, self._padding_id, self.types)
        phases = self._platform.ask_warm_up(self._forward, placed(self._platform, inputs))
        self._batch(tokens, batch, excluded, Timings(), self._forward)
        self._platform.synchronize()
        rest = max(time.perf_counter() - start - sum(phase.seconds for phase in phases), 0.0)
        for phase in phases:
            timings.took(phase.name, phase.seconds)
        timings.took("warm_up" if self._watch.count == compiled else "compile", rest)


def fetch(pooled: list[Pooled], result: "np.ndarray", timings: Timings, kept: Kept | None) -> None:
    """Copy the vectors of batches to the host, into their places of the result, and empty the list."""
    import numpy as np
    import torch

    if not pooled:
        return
    with timings.stage("pool"):
        positions = np.concatenate([batch.positions for batch, _ in pooled])
        whole = torch.cat([vectors for _, vectors in pooled]) if len(pooled) > 1 else pooled[0][1]
        result[positions] = whole.cpu().numpy()
        pooled.clear()
    if kept:
        with timings.phase("write"):
            kept.keep(positions, result[positions])


def collate(tokens: Tokens, batch: Batch, padding_id: int, types: bool = False) -> "dict[str, torch.Tensor]":
    """Return a batch as a model takes it: int64 tensors of shape (rows, length), padding where no token is.

    Padding is on the right, whatever the tokenizer prefers for generation: models count positions from the left, and
    those of a text must not depend on the texts beside it.
    `types` asks for token types where all of them are zero.
    Rows beyond the texts hold one padding token that counts, because no model likes a sequence without any.
    """
    import numpy as np
    import torch

    shape = (batch.rows, batch.length)
    ids, mask = np.full(shape, padding_id, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    kinds = np.zeros(shape, dtype=np.int64) if types or tokens.types is not None else None
    for row, position in enumerate(batch.positions):
        start, end = tokens.starts[position], tokens.starts[position + 1]
        inside = slice(end - start)
        ids[row, inside] = tokens.ids[start:end]
        mask[row, inside] = 1
        if kinds is not None and tokens.types is not None:
            kinds[row, inside] = tokens.types[start:end]
    mask[len(batch.positions) :, 0] = 1
    arrays = {"input_ids": ids, "attention_mask": mask, **({} if kinds is None else {"token_type_ids": kinds})}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def hidden_states(output: Any, shape: tuple[int, int, int], platform: "Backend") -> "torch.Tensor":
    """Return the last hidden states of a model's output, whose `shape` is (rows, tokens, d).

    Raises UsageError where it has none, and PlatformError where they are others.
    """
    if isinstance(output, Mapping) and output.get("last_hidden_state") is None:  # a model's own
        raise UsageError("--model_class: its output has no last_hidden_state; take the base class, such as BertModel")
    try:
        if output is not None and not hasattr(output, "last_hidden_state"):
            raise OutputError(f"the call returned {type(output).__name__}, which has no last_hidden_state")
        return answer(getattr(output, "last_hidden_state", None), shape)
    except OutputError as error:
        raise PlatformError(f"{platform.title()}: prepare(): {error}") from None
