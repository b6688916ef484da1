"""Reading a capture: block by block, and every checksum is checked on the way."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fmbench.collection.qrels import Qrels
from fmbench.errors import UsageError, first_line, nearest
from fmbench.ranking.order import Run

from .manifest import DTYPES, QRELS, TEXTS, Artifact, ArtifactError, parse_run, read_manifest

if TYPE_CHECKING:
    import torch

ELEMENTS = 2**15  # of a block: what a comparison makes of it then stays in the processor's cache


class ArtifactReader:
    """A capture, as far as it went. Opening it reads the manifest; what is read later is checked against its sha256.

    Where `probes` are named, it is as if the capture held no others.
    Raises ArtifactError (see `read_manifest`); so do all methods, for a file that is missing or damaged. Raises
    UsageError for a probe that the capture lacks.
    """

    def __init__(self, folder: Path, probes: Sequence[str] | None = None) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        if probes is not None:
            self._check(probes)
            self.manifest = self.manifest.only(probes)
        self._by_label = {artifact.label: artifact for artifact in self.manifest.artifacts}

    def _check(self, probes: Sequence[str]) -> None:
        """Raise UsageError for a probe that the capture lacks."""
        known = self.manifest.probes
        for name in probes:
            if name not in known:
                hint = nearest(name, known)
                raise UsageError(
                    f"{self.folder}: was captured without the probe {name}{hint} (with {', '.join(known)})"
                )

    def find(self, label: str) -> Artifact:
        """Return an artifact by `probe/name`."""
        found = self._by_label.get(label)
        if found is None:
            raise ArtifactError(f"{self.folder}: has no artifact {label}{nearest(label, self._by_label)}")
        return found

    def blocks(self, artifact: Artifact, elements: int = ELEMENTS) -> Iterator["torch.Tensor"]:
        """Yield a tensor's rows in order, in blocks of at most `elements` (at least a row).

        A block is valid until the next one is asked for. The checksum is checked when the last one has been read.
        """
        import torch

        dtype = DTYPES[artifact.dtype]
        width = max(1, artifact.bytes // dtype.size // max(1, artifact.rows))
        rows = max(1, min(elements // width, artifact.rows))
        buffer = torch.empty(rows * width * dtype.size, dtype=torch.uint8)
        digest = hashlib.sha256()
        for data in self._pieces(artifact, buffer.numpy().data):
            digest.update(data)
            yield buffer[: len(data)].view(getattr(torch, dtype.name)).view(-1, *artifact.shape[1:])
        check(self.folder / artifact.file, artifact.sha256, digest.hexdigest())

    def tensor(self, artifact: Artifact) -> "torch.Tensor":
        """Return a whole tensor, its checksum checked."""
        import torch

        whole = torch.empty(artifact.shape, dtype=getattr(torch, artifact.dtype))
        done = 0
        for block in self.blocks(artifact):
            whole[done : done + len(block)] = block
            done += len(block)
        return whole

    def run(self, artifact: Artifact) -> Run:
        """Return a ranking, best documents first, its checksum checked."""
        path = self.folder / artifact.file
        return parse_run(path, intact(path, artifact.sha256).decode())

    def qrels(self) -> Qrels | None:
        """Return the judgements, their checksum checked, or None where the capture has none."""
        if self.manifest.qrels is None:
            return None
        path = self.folder / QRELS
        intact(path, self.manifest.qrels)
        return Qrels.load([path])

    def texts(self, role: str) -> list[str]:
        """Return the digest of every text of a role, in order (`digest_of_text`); none where the capture says none."""
        if self.manifest.named is None:
            return []
        path = self.folder / TEXTS
        rows = [row.split("\t") for row in intact(path, self.manifest.named).decode().splitlines()]
        return [digest for kind, digest in rows if kind == role]

    def verify(self, artifact: Artifact) -> None:
        """Read an artifact for its checksum alone."""
        if artifact.kind == "ranking":
            self.run(artifact)
            return
        for _ in self.blocks(artifact):
            pass

    def _pieces(self, artifact: Artifact, buffer: memoryview) -> Iterator[memoryview]:
        """Fill the buffer again and again with a tensor's elements; yield the filled part."""
        path = self.folder / artifact.file
        left = artifact.bytes
        try:
            start = self._start(artifact)
            with path.open("rb", buffering=0) as file:
                file.seek(start)
                while left:
                    count = file.readinto(buffer[: min(left, len(buffer))])
                    if not count:
                        raise ArtifactError(f"{path}: is damaged: it ends early; capture again")
                    if count < min(left, len(buffer)):
                        raise ArtifactError(f"{path}: cannot be read in one piece")
                    left -= count
                    yield buffer[:count]
        except OSError as error:
            raise ArtifactError(f"{path}: cannot be read ({error.strerror or first_line(error)})") from None

    def _start(self, artifact: Artifact) -> int:
        """Return where a tensor's elements begin in its file, after the header said the same as the manifest."""
        from safetensors import SafetensorError, safe_open

        path = self.folder / artifact.file
        try:
            with safe_open(path, "pt") as file:
                alone = list(file.keys()) == [artifact.label]
                part = file.get_slice(artifact.label) if alone else None
                found = (part.get_dtype(), tuple(part.get_shape())) if part is not None else None
        except FileNotFoundError:
            raise ArtifactError(f"{path}: is missing; capture again") from None
        except SafetensorError as error:
            raise ArtifactError(f"{path}: is damaged ({first_line(error)}); capture again") from None
        if found != (DTYPES[artifact.dtype].code, artifact.shape):
            raise ArtifactError(f"{path}: is damaged: it is not the tensor that the manifest names; capture again")
        with path.open("rb") as stream:
            return 8 + int.from_bytes(stream.read(8), "little")


def intact(path: Path, sha256: str) -> bytes:
    """Return a small file. Raises ArtifactError where it is missing, or its checksum is another one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ArtifactError(f"{path}: is missing; capture again") from None
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror or first_line(error)})") from None
    check(path, sha256, hashlib.sha256(data).hexdigest())
    return data


def check(path: Path, expected: str, found: str) -> None:
    """Raise ArtifactError where a checksum is another one."""
    if found != expected:
        raise ArtifactError(f"{path}: is damaged (its checksum is not the manifest's); capture again")
