"""Writing a capture: tensors grow on disk as they are computed, and the manifest comes last."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fmbench.capture.manifest import DTYPES, FILE, QRELS, TEXTS, Artifact, DType, Manifest, digest_of_text, run_text
from fmbench.claim import lock_handle
from fmbench.collection.qrels import Gains, write_qrels
from fmbench.errors import UsageError, first_line
from fmbench.ranking.order import Run, depth_of
from fmbench.whole_file import whole_file, written

if TYPE_CHECKING:
    import torch

DATA = 4096  # where the elements begin: a safetensors header may end in blanks, so its room is kept and it comes last
LONGEST = 300  # characters of an artifact's label
FOLDERS = ("tensors", "runs")


@dataclass
class Stream:
    """A tensor that is being written, row after row."""

    file: str
    dtype: DType
    shape: tuple[int, ...]  # of one row
    rows: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def header(self, label: str) -> bytes:
        """Return what precedes the elements: the header of a safetensors file, filled up with blanks."""
        size = self.dtype.size * self.rows
        for length in self.shape:
            size *= length
        entry = {"dtype": self.dtype.code, "shape": [self.rows, *self.shape], "data_offsets": [0, size]}
        text = json.dumps({label: entry}, ensure_ascii=False).encode()
        return (DATA - 8).to_bytes(8, "little") + text.ljust(DATA - 8)


class ArtifactWriter:
    """Writes a capture to a new folder; use it in a `with` statement.

    The elements of a tensor go to disk at once; memory holds one piece at a time. Until the context ends without an
    exception, the manifest says that the capture is incomplete, and names the probes that have ended (`keep`) alone;
    the folder is locked that long.
    Raises UsageError where the folder holds anything but a capture that did not end (which is replaced) or another
    writer is at work, and ValueError for a probe whose name holds a slash.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        if slashed := [probe for probe in manifest.probes if "/" in probe]:
            raise ValueError(f"{slashed[0]!r}: a probe's name holds no slash")
        self.folder = folder
        self._probes = manifest.probes
        self._manifest = replace(manifest, artifacts=(), qrels=None, named=None, complete=False, probes={})
        self._open: dict[str, Stream | Artifact] = {}  # in the order of their first rows
        self._lock = claim(folder)
        try:
            with written(folder):
                for name in FOLDERS:
                    (folder / name).mkdir()
            self._write_manifest()
        except BaseException:
            os.close(self._lock)
            raise

    def append(self, probe: str, name: str, tensor: "torch.Tensor") -> None:
        """Add rows to a tensor, or begin it: pieces are joined along their first dimension; a scalar is one row.

        All pieces of one tensor have the same dtype, and the same sizes but for the first; any device.
        Raises ValueError for a piece that does not fit, and FmbenchError where the disk does not take it.
        """
        import torch

        piece = tensor.detach().to("cpu").contiguous()
        piece = piece.reshape(1) if piece.dim() == 0 else piece
        stream = self._stream(probe, name, str(piece.dtype).removeprefix("torch."), tuple(piece.shape[1:]))
        data = piece.reshape(-1).view(torch.uint8).numpy().data
        with written(path := self.folder / stream.file), path.open("ab") as file:
            file.write(data)
        stream.digest.update(data)
        stream.rows += len(piece)

    def rank(self, probe: str, name: str, run: Run) -> None:
        """Add a ranking: query id -> document id -> score. Raises ValueError for a second one of that name."""
        label = self._label(probe, name)
        if label in self._open:
            raise ValueError(f"{label}: a ranking is written once")
        file = f"{FOLDERS[1]}/{self._slug(label)}.tsv"
        data = run_text(run).encode()
        with written(path := self.folder / file):
            path.write_bytes(data)
        self._open[label] = Artifact(probe, name, "ranking", file, (len(run), depth_of(run)), sha256_of(data))

    def judge(self, gains: Gains) -> None:
        """Keep the judgements that rankings are measured with: query id -> document id -> gain."""
        write_qrels(gains, path := self.folder / QRELS)
        self._manifest = replace(self._manifest, qrels=sha256_of(path.read_bytes()))

    def name_texts(self, passages: Iterable[str], queries: Iterable[str]) -> None:
        """Keep which texts were captured, by role and digest: whose vector is whose."""
        rows = [("passage", text) for text in passages] + [("query", text) for text in queries]
        data = "".join(f"{role}\t{digest_of_text(text)}\n" for role, text in rows).encode()
        with written(path := self.folder / TEXTS):
            path.write_bytes(data)
        self._manifest = replace(self._manifest, named=sha256_of(data))

    def keep(self, *probes: str) -> Manifest:
        """Complete the artifacts of probes that have ended: a reader has them, whatever becomes of the others."""
        for label, item in self._open.items():
            if isinstance(item, Stream) and label.partition("/")[0] in probes:
                self._open[label] = self._finished(label, item)
        ended = {name: said for name, said in self._probes.items() if name in {*self._manifest.probes, *probes}}
        known = (item for item in self._open.values() if isinstance(item, Artifact))
        artifacts = tuple(item for item in known if item.probe in ended)
        self._manifest = replace(self._manifest, artifacts=artifacts, probes=ended)
        self._write_manifest()
        return self._manifest

    def close(self) -> Manifest:
        """Complete what is left: the capture is whole."""
        self._manifest = replace(self._manifest, complete=True)
        return self.keep(*self._probes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and not self._manifest.complete:
                self.close()
        finally:
            os.close(self._lock)

    def _label(self, probe: str, name: str) -> str:
        label = f"{probe}/{name}"
        if probe not in self._probes:
            raise ValueError(f"{label}: the manifest names no probe {probe!r}")
        if len(label) > LONGEST or not label.isprintable():
            raise ValueError(f"{label[:LONGEST]!r}: not printable, or longer than {LONGEST} characters")
        return label

    def _stream(self, probe: str, name: str, dtype: str, shape: tuple[int, ...]) -> Stream:
        """Return the tensor that a piece belongs to. Raises ValueError where it does not fit."""
        label = self._label(probe, name)
        if dtype not in DTYPES:
            raise ValueError(f"{label}: an artifact cannot hold {dtype} (it holds {', '.join(DTYPES)})")
        found = self._open.get(label)
        if found is None:
            found = self._open[label] = Stream(f"{FOLDERS[0]}/{self._slug(label)}.safetensors", DTYPES[dtype], shape)
            with written(path := self.folder / found.file):
                path.write_bytes(bytes(DATA))  # no valid header: nothing reads the file before it is whole
        if not isinstance(found, Stream):
            raise ValueError(f"{label}: is complete already")
        if (found.dtype.name, found.shape) != (dtype, shape):
            begun = f"rows of {found.dtype.name} {list(found.shape)}"
            raise ValueError(f"{label}: {begun} cannot go on with {dtype} {list(shape)}")
        return found

    def _slug(self, label: str) -> str:
        """Return a file's name: the place in the execution order, and the label as any file system takes it."""
        return f"{len(self._open):04d}-{re.sub(r'[^A-Za-z0-9._-]+', '-', label)[:80]}"

    def _finished(self, label: str, stream: Stream) -> Artifact:
        """Write a tensor's header, and return its entry."""
        with written(path := self.folder / stream.file), path.open("r+b") as file:
            file.write(stream.header(label))
        shape = (stream.rows, *stream.shape)
        probe, _, name = label.partition("/")
        return Artifact(probe, name, "tensor", stream.file, shape, stream.digest.hexdigest(), stream.dtype.name)

    def _write_manifest(self) -> None:
        """Put the manifest in place, whole."""
        with whole_file(self.folder / FILE) as stream:
            stream.write(self._manifest.to_json())


def sha256_of(data: bytes) -> str:
    """Return the sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def claim(folder: Path) -> int:
    """Make the folder, empty, and lock it; return the handle, which is to be closed in the end.

    A capture that did not end is removed. Raises UsageError where the folder holds anything else, and where another
    program captures into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made ({error.strerror or first_line(error)})") from None
    handle = lock(folder)
    try:
        remove(folder, leftovers(folder))
    except BaseException:
        os.close(handle)
        raise
    return handle


def check_free(folder: Path) -> None:
    """Raise UsageError where a capture could not claim the folder, without touching it."""
    if folder.exists():
        os.close(lock(folder))
        leftovers(folder)


def check_own(folder: Path) -> None:
    """Raise UsageError where a folder that is to be replaced holds anything but a capture, which would stay."""
    if folder.exists():
        os.close(lock(folder))
        if others := sorted(path.name for path in folder.iterdir() if not is_ours(path.name)):
            said = "which is no part of a capture; move it away, or name another folder"
            raise UsageError(f"{folder}: holds {others[0]}, {said}")


def lock(folder: Path) -> int:
    """Return a handle of the folder that holds its lock; a file system without locks is no obstacle.

    Raises UsageError where another handle holds it, and for what is no folder.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise UsageError(f"{folder}: cannot be used ({reason}); name a new folder") from None
    try:
        lock_handle(handle, str(folder), "name another folder")
    except UsageError:
        os.close(handle)
        raise
    return handle


def leftovers(folder: Path) -> list[str]:
    """Return what a capture that did not end left in a folder. Raises UsageError where it holds anything else."""
    inside = sorted(path.name for path in folder.iterdir())
    if inside and (not is_incomplete(folder / FILE) or any(not is_ours(name) for name in inside)):
        raise UsageError(f"{folder}: is not empty; name a new folder")
    return inside


def discard(folder: Path) -> None:
    """Remove a capture's files; anything else stays. Raises UsageError where a capture is being written there."""
    handle = lock(folder)
    try:
        remove(folder, [path.name for path in folder.iterdir() if is_ours(path.name)])
    finally:
        os.close(handle)


def remove(folder: Path, names: Iterable[str]) -> None:
    """Remove files and folders below a folder."""
    with written(folder):
        for name in names:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def is_ours(name: str) -> bool:
    """Whether a capture has a file or folder of that name, a half-written one included."""
    return name in (FILE, QRELS, TEXTS, *FOLDERS) or (
        name.startswith((f".{FILE}.", f".{QRELS}.")) and name.endswith(".part")
    )


def is_incomplete(path: Path) -> bool:
    """Whether a file is the manifest of a capture that did not end."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(data, dict) and data.get("complete") is False and "artifacts" in data
