"""Zstandard files, through the package zstandard (extra `retrieval`)."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fmbench.distribution import to_install
from fmbench.errors import UsageError

PIECE = 512  # bytes: what a well-packed file makes of one piece still fits into memory


def decompressed(stream: BinaryIO, path: Path) -> io.BufferedReader:
    """Return the content of a Zstandard stream, any number of frames.

    Raises UsageError where zstandard is missing; reading raises it where the data are damaged or end too early
    (zstandard's own reader takes a file that was cut off for a whole one).
    """
    try:
        import zstandard  # noqa: F401
    except ImportError:
        raise UsageError(f"{path}: reading Zstandard needs zstandard: {to_install('retrieval')}") from None
    return io.BufferedReader(Blocks(frames(stream, path)), 2**17)


def frames(stream: BinaryIO, path: Path) -> Iterator[bytes]:
    """Yield what is in the frames, block by block."""
    import zstandard

    frame = None
    try:
        while piece := stream.read(PIECE):
            while piece:
                frame = frame or zstandard.ZstdDecompressor().decompressobj(write_size=2**14)
                yield frame.decompress(piece)
                piece = frame.unused_data
                frame = None if frame.eof else frame
    except zstandard.ZstdError as error:
        raise UsageError(f"{path}: damaged Zstandard data ({error})") from None
    if frame is not None:
        raise UsageError(f"{path}: the Zstandard data end too early; the file was cut off")


class Blocks(io.RawIOBase):
    """A stream over blocks of bytes."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer as far as one block goes; return the number of bytes, 0 at the end."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = block
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
