"""Packed files as streams of bytes; one that unpacks to more than any data does is refused before it fills memory."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from ftui.errors import BadInput
from ftui.units import MiB, gib, plain

FREE_BYTES = 64 * MiB
"""What any packed file may unpack to."""
MOST_TIMES = 200
"""Beyond that: so many times its size on disk. Text is packed 3 to 20 times."""


@contextmanager
def unpacked_gzip(path: Path, file: BinaryIO) -> Iterator[BinaryIO]:
    """Raises BadInput where the archive is broken or unpacks to an absurd size."""
    try:
        with gzip.open(file) as stream:
            yield _bounded(path, stream)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _broken(path, "gzip", error) from None


@contextmanager
def unpacked_zstd(path: Path, file: BinaryIO) -> Iterator[BinaryIO]:
    """By pyarrow, which `datasets` brings along.  Raises BadInput as `unpacked_gzip`, and where pyarrow is missing."""
    try:
        import pyarrow
    except ImportError:
        raise BadInput(
            f"Reading {plain(str(path))} needs pyarrow.", f"Install it, or unpack the file: zstd -d {plain(str(path))}"
        ) from None
    try:
        with pyarrow.CompressedInputStream(file, "zstd") as stream:
            yield _bounded(path, stream)
    except OSError as error:
        raise _broken(path, "zstd", error) from None


class _Bounded(io.RawIOBase):
    """A stream that counts what comes out of it."""

    def __init__(self, path: Path, stream: Any) -> None:
        self._path, self._stream = path, stream
        self._size = path.stat().st_size
        self._left = max(FREE_BYTES, MOST_TIMES * self._size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        found = self._stream.read(len(view))
        view[: len(found)] = found
        self._left -= len(found)
        if self._left < 0:
            raise BadInput(
                f"{plain(str(self._path))} holds {gib(self._size)} and unpacks to more than {MOST_TIMES} times that, "
                "which no text does.",
                "Unpack it by hand if you trust it.",
            )
        return len(found)


def _bounded(path: Path, stream: Any) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(_Bounded(path, stream), 1 << 18))


def _broken(path: Path, kind: str, error: Exception) -> BadInput:
    reason = str(error).strip().partition("\n")[0][:200]
    return BadInput(f"{plain(str(path))} is a broken {kind} file: {plain(reason)}.", "Copy or download it again.")
