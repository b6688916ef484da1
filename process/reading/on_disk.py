"""Whole numbers that wait in a temporary file."""

import tempfile
from array import array
from collections.abc import Sequence
from typing import overload

from fmbench.whole_file import written

WIDTH = array("q").itemsize


class OnDisk(Sequence[int]):
    """A sequence that grows at its end. A slice is read from the file each time."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the sequence)
        self._count = 0

    def extend(self, values: "array[int]") -> None:
        """Append numbers of 64 bits."""
        with written(tempfile.gettempdir()):
            self._file.seek(self._count * WIDTH)
            values.tofile(self._file)
        self._count += len(values)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> "array[int]": ...
    def __getitem__(self, place: int | slice) -> "int | array[int]":
        if isinstance(place, int):
            return self[place : place + 1][0]
        start, stop, _ = place.indices(self._count)
        found: array[int] = array("q")
        self._file.seek(start * WIDTH)
        found.fromfile(self._file, max(stop - start, 0))
        return found
