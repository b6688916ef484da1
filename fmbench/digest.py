"""What exactly was loaded: a digest over weights files, or over what random weights were drawn from."""

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
CHUNK = 2**20


def digest_of_files(paths: Iterable[Path]) -> str:
    """Return the sha256 over names and contents of files, in the order of their names.

    Files that were read before, and are what they were, are not read again: weights have gigabytes.
    """
    return digest_of_seen(tuple((path, seen(path)) for path in sorted(paths, key=lambda path: path.name)))


def seen(path: Path) -> tuple[int, ...]:
    """Return what changes where a file is written to, or another takes its place."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@cache
def digest_of_seen(files: tuple[tuple[Path, tuple[int, ...]], ...]) -> str:
    """Return the digest of files that were seen."""
    total = hashlib.sha256()
    for path, _ in files:
        total.update(path.name.encode() + b"\0")
        with path.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                total.update(chunk)
    return total.hexdigest()


def digest_of_json(value: Any) -> str:
    """Return the sha256 over a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def weights_files(folder: Path) -> list[Path]:
    """Return the files that hold a folder's weights."""
    return [path for pattern in WEIGHTS for path in folder.glob(pattern)]
