"""A safetensors file by NumPy alone: its tensors are mapped into memory, so that only what is looked at is read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

SIZE_BYTES = 8  # a file begins with the length of its header
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "U8": "u1"}


def map_tensors(path: Path) -> "dict[str, np.ndarray]":
    """Return a file's tensors by name, read-only; those of bfloat16, which NumPy lacks, as float32 in memory.

    Raises OSError for a file that cannot be read, and ValueError, KeyError, TypeError or AttributeError for one that
    is no whole safetensors file, or holds another type.
    """
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(SIZE_BYTES), "little")
        if size > path.stat().st_size:
            raise ValueError("is no safetensors file")
        header = json.loads(stream.read(size))
    header.pop("__metadata__", None)
    return {name: map_tensor(path, SIZE_BYTES + size, entry) for name, entry in header.items()}


def map_tensor(path: Path, start: int, entry: Mapping[str, Any]) -> "np.ndarray":
    """Return one tensor of a file whose tensors begin at `start`; `entry` is what the header says of it."""
    import numpy as np

    kind, offset = entry["dtype"], start + entry["data_offsets"][0]
    mapped: np.ndarray = np.memmap(path, DTYPES[kind], mode="r", offset=offset, shape=tuple(entry["shape"]))
    return (mapped.astype(np.uint32) << 16).view(np.float32) if kind == "BF16" else mapped
