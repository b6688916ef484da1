"""The embedding cache: vectors are encoded once, and served again only for exactly what they are of."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fmbench.cached import alone
from fmbench.console import note, warn
from fmbench.distributed import shares
from fmbench.encoder import CHUNK, BadVectorError, OtherTextError, Role, Timings
from fmbench.errors import PlatformError, UsageError, first_line
from fmbench.leftovers import temporary_folder

from . import manifest as manifests
from . import shard as shards
from .embeddings import Embeddings
from .manifest import Manifest
from .shard import Shard
from .unfinished import Part, Unfinished, find_unfinished

if TYPE_CHECKING:
    import numpy as np

Progress = Callable[[int, int], None]  # texts done, texts in all
Say = Callable[[str], None]


class Text(Protocol):
    """A document or a query."""

    @property
    def id(self) -> str:
        """What it is called."""

    @property
    def text(self) -> str:
        """What a query says."""

    @property
    def passage(self) -> str:
        """What a document says: title and text."""


class Texts(Protocol):
    """A corpus or queries: may be iterated again and again."""

    def __iter__(self) -> Iterator[Text]:
        """Return the texts, in one order always."""

    def digest(self) -> str:
        """Return what tells this input from others."""

    def count(self) -> int:
        """Return how many texts there are."""


class Encoder(Protocol):
    """What a store needs of `fmbench.encoder.Encoder`."""

    name: str
    timings: Timings

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""

    def key(self, role: Role) -> dict[str, Any]:
        """Return everything that changes a vector."""

    def settle(self, texts: Sequence[str], role: Role) -> int:
        """Return the token budget, measured on these texts where that was asked for."""

    def encode_chunks(
        self,
        chunks: Iterable[Sequence[str]],
        role: Role,
        tokens_per_batch: int | None = None,
        kept: Iterator[Part] | None = None,
    ) -> "Iterator[np.ndarray]":
        """Yield the vectors of each chunk, of which `kept` has what is known and takes what is computed."""


def open_or_encode(
    directory: Path | None, texts: Texts, encoder: Encoder, role: Role, *,
    dtype: str = "float32", rank: int = 0, world: int = 1, weights: Sequence[float] | None = None,
    progress: Progress | None = None, say: Say = note,
) -> Embeddings:  # fmt: skip
    """Return the vectors of texts, taken from the cache as far as they are there, else encoded into it.

    `directory` is the cache; without one a temporary folder lives as long as the result. Of several ranks each
    encodes and returns its own share of consecutive texts, which may be empty; `weights` are their speeds. `dtype`
    is what is stored, float32 or float16. `say` is told what is taken from the cache, and why not. Raises UsageError
    for a vector with NaN or infinity, and for a folder that cannot be written.
    """
    temporary = temporary_folder() if directory is None else None
    with encoder.timings.phase("open"):
        store = Store(Path(temporary.name) if temporary else directory or Path(), texts, encoder, role, dtype, say)
    found = store.manifest
    mine = shares(found.shards, weights or [1.0] * world)[rank]
    return Embeddings(store.open(mine, progress), found.dimension, dtype, found.tokens_per_batch, temporary)


class Store:
    """One folder of the cache: a manifest, and a file for every some hundred or thousand texts."""

    def __init__(
        self, directory: Path, texts: Texts, encoder: Encoder, role: Role, dtype: str, say: Say = note
    ) -> None:
        """Open the folder that belongs to texts and encoder, or make it and say what is new about it."""
        self._texts, self._encoder, self._role, self._dtype, self._tell_user = texts, encoder, role, dtype, say
        key = {"input": texts.digest(), "role": role, "stored": dtype, **encoder.key(role)}
        self.folder = directory / manifests.folder_name(key, encoder.name, role)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            found = manifests.read(self.folder) or self._begin(key)
        except OSError as error:
            raise UsageError(f"{directory}: the embedding cache cannot be written ({first_line(error)})") from None
        if found.key != key:
            raise UsageError(f"{self.folder}: holds vectors of something else than its name says; delete it")
        self.manifest = found

    def _begin(self, key: dict[str, Any]) -> Manifest:
        """Make the folder and its manifest, and return the manifest, which may be another process's."""
        changed = manifests.what_changed(key, self.folder.parent)
        if changed:
            self._tell_user(f"{self._role} vectors are encoded anew: {changed}")
        self.folder.mkdir(exist_ok=True)
        count = self._texts.count()
        sample = [self._say(text) for text in islice(self._texts, CHUNK)]
        Manifest(
            key=key,
            model=self._encoder.name,
            role=self._role,
            texts=count,
            dimension=self._encoder.dimension,
            chunk=CHUNK,
            texts_per_shard=manifests.texts_per_shard(count, CHUNK),
            tokens_per_batch=self._encoder.settle(sample, self._role),
        ).write_new(self.folder)
        found = manifests.read(self.folder)
        if found is None:
            raise UsageError(f"{self.folder}: was deleted while it was made")
        return found

    def _say(self, text: Text) -> str:
        """Return what is encoded of a text."""
        return text.text if self._role == "query" else text.passage

    def open(self, mine: range, progress: Progress | None = None) -> list[Shard]:
        """Return the files of a share, in order, after encoding what is missing or damaged of it."""
        with contextlib.ExitStack() as claim:
            with self._encoder.timings.phase("open"):
                claim.enter_context(self._claimed(mine))
                whole = self._check(mine)
                missing = [index for index in mine if index not in whole]
                parts = self._unfinished(mine, missing)
                self._tell(mine, missing, sum(map(len, parts)))
            done, wanted = (sum(map(self.manifest.size, some)) for some in (whole, mine))
            for unfinished, shard in self._encoded(parts):
                whole[unfinished.index] = shard
                done += self.manifest.size(unfinished.index)
                if progress:
                    progress(done, wanted)
        return [whole[index] for index in mine]

    @contextlib.contextmanager
    def _claimed(self, mine: range) -> Iterator[None]:
        """Keep other processes from encoding the same share at the same time: they wait, and then find it done."""
        lock = self.folder / f".{mine.start}-{mine.stop}.lock"
        said = f"another process encodes the same {self._role} texts"
        with alone(lock, said, "processes may encode the same texts twice"):
            yield

    def _check(self, mine: range) -> dict[int, Shard]:
        """Return the files of a share that are whole; the others are deleted, and that is said."""
        whole: dict[int, Shard] = {}
        for index, found in shards.find(self.folder).items():
            if index not in mine:
                continue
            for shard in found:
                fault = shard.fault(self.manifest.size(index), self.manifest.dimension, self._dtype)
                if fault is None:
                    whole.setdefault(index, shard)
                else:
                    warn(f"{shard.path}: damaged ({fault}); its texts are encoded anew")
                    shard.path.unlink(missing_ok=True)
        return whole

    def _unfinished(self, mine: range, missing: Sequence[int]) -> list[Unfinished]:
        """Return what is there of each missing file; what is left of files that are whole is deleted."""
        found = find_unfinished(self.folder)
        prefix, size = f".{mine.start}-{mine.stop}.", self.manifest.dimension
        for index in found.keys() & (set(mine) - set(missing)):
            Unfinished(self.folder, index, prefix, size, found[index]).clear()
        return [Unfinished(self.folder, index, prefix, size, found.get(index, ())) for index in missing]

    def _tell(self, mine: range, missing: Sequence[int], started: int) -> None:
        """Say what is taken from the cache; `started` is how many vectors there are of missing files."""
        there = len(mine) - len(missing)
        if there and not missing:
            self._tell_user(f"{self._role} vectors come from the cache: {self.folder}")
        elif there or started:
            begun = f", and {started} vectors of the next" if started else ""
            self._tell_user(
                f"{there} of {len(mine)} files of {self._role} vectors are there already{begun}: {self.folder}"
            )

    def _encoded(self, parts: Sequence[Unfinished]) -> Iterator[tuple[Unfinished, Shard]]:
        """Encode and write files, one after the other."""
        import numpy as np

        names: deque[list[str]] = deque()  # of the chunks that were read and are not encoded yet
        kept = (Part(unfinished, first) for unfinished in parts for first in self._firsts(unfinished.index))
        chunks = self._chunks([unfinished.index for unfinished in parts], names)
        vectors = self._encoder.encode_chunks(chunks, self._role, self.manifest.tokens_per_batch, kept)
        written: list[Shard] = []
        for unfinished in parts:
            ids: list[str] = []
            found: list[np.ndarray] = []
            try:
                while len(ids) < self.manifest.size(unfinished.index):
                    found.append(self._next(vectors, names))
                    ids += names.popleft()
            except OtherTextError:  # nobody knows since when: the next run must not find any of it
                unfinished.clear()
                for shard in written:
                    shard.path.unlink(missing_ok=True)
                raise
            with self._encoder.timings.phase("write"):
                shard = shards.write(self.folder, unfinished.index, ids, np.concatenate(found), unfinished.prefix)
                unfinished.clear()
            written.append(shard)
            yield unfinished, shard

    def _firsts(self, index: int) -> range:
        """Return where the chunks of a file begin, counted from its first text."""
        return range(0, self.manifest.size(index), self.manifest.chunk)

    def _chunks(self, missing: Sequence[int], names: "deque[list[str]]") -> Iterator[list[str]]:
        """Yield the texts of files, a chunk at a time, and note their ids. Runs in the tokenising thread."""
        texts, position = iter(self._texts), 0
        for index in missing:
            start = index * self.manifest.texts_per_shard
            end = start + self.manifest.size(index)
            for _ in islice(texts, start - position):
                pass  # what another rank encodes, or what is there already
            for first in self._firsts(index):
                size = min(self.manifest.chunk, end - start - first)
                chunk = list(islice(texts, size))
                if len(chunk) < size:
                    raise UsageError(f"the {self._role} texts became fewer while they were encoded")
                names.append([text.id for text in chunk])
                yield [self._say(text) for text in chunk]
            position = end

    def _next(self, vectors: "Iterator[np.ndarray]", names: "deque[list[str]]") -> "np.ndarray":
        """Return the next chunk's vectors as they are stored. Raises an error that names a text without a number."""
        import numpy as np

        try:
            with np.errstate(over="ignore"):
                found = next(vectors).astype(self._dtype)
        except BadVectorError as error:
            raise PlatformError(f"text {names[0][error.position]}: {error}") from None
        bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
        if len(bad):
            raise UsageError(f"text {names[0][int(bad[0])]}: its vector is too large for {self._dtype}; store float32")
        return found
