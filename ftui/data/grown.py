"""What grows with the data, on disk: tables and lists in unnamed files, which end with the process whatever ends it.

The room is taken when a table is made: a full disk is told in one sentence, rather than by a signal in the middle of a
write to mapped memory.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol, cast

from ftui.errors import BadInput
from ftui.units import MiB, gib, plain

_MASK64 = (1 << 64) - 1
_SPREAD = 0x9E3779B97F4A7C15
_DISK = "/var/tmp"
_FIRST_ENTRIES = 1 << 16
_GROWTH = 4
_TAIL = 1 << 12
_MAPPED_BYTES = 256 * MiB
"""A table up to this size is mapped into memory; of a larger one only what is asked for is read.

Mapped pages count as the process's memory until they are taken away, and are costly to give back and fetch again.
"""


def scratch(size: int = 0) -> BinaryIO:
    """An unnamed file with room for `size` bytes, all zero.  Raises BadInput where there is none."""
    with _room(size):
        file = cast(BinaryIO, tempfile.TemporaryFile(dir=_folder()))  # noqa: SIM115 - it is the caller's
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        elif size:
            file.truncate(size)
    return file


def _folder() -> str:
    """$TMPDIR, else /var/tmp: /tmp is memory on some systems."""
    return tempfile.gettempdir() if "TMPDIR" in os.environ or not os.access(_DISK, os.W_OK) else _DISK


class Slots(Protocol):
    """Numbers of 64 bits at fixed places."""

    def __getitem__(self, place: int, /) -> int: ...
    def __setitem__(self, place: int, number: int, /) -> None: ...


def slots(count: int) -> Slots:
    """So many of them, at first all 0.  Raises BadInput where there is no room."""
    file = scratch(count * 8)
    if count * 8 > _MAPPED_BYTES:
        return _FileSlots(file)
    with file:
        return memoryview(mmap.mmap(file.fileno(), count * 8)).cast("Q")


class _FileSlots:
    """Numbers that are read and written one by one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._number = file, file.fileno()

    def __getitem__(self, place: int) -> int:
        return int.from_bytes(os.pread(self._number, 8, place * 8), sys.byteorder)

    def __setitem__(self, place: int, number: int) -> None:
        os.pwrite(self._number, number.to_bytes(8, sys.byteorder), place * 8)


class Table:
    """Which number each key of 64 bits was first given."""

    def __init__(self) -> None:
        self._parts = [_Part(_FIRST_ENTRIES)]

    def first(self, key: int, number: int) -> int:
        """The number that the key was given before, else `number`, which it has from now on; neither may be 0."""
        for part in self._parts:
            if (found := part.find(key)) is not None:
                return found
        if self._parts[-1].full:
            self._parts.append(_Part(_GROWTH * self._parts[-1].entries))
        self._parts[-1].add(key, number)
        return number

    def find(self, key: int) -> int | None:
        """The number of a key, None where it has none."""
        return next((found for part in self._parts if (found := part.find(key)) is not None), None)


class _Part:
    """An open hash table, half full at most: a key and its number side by side; a number of 0 is an empty place."""

    def __init__(self, entries: int) -> None:
        self.entries, self._added = entries, 0
        self._slots = slots(4 * entries)
        self._shift = 64 - (2 * entries - 1).bit_length()
        self._last = 2 * entries - 1

    @property
    def full(self) -> bool:
        return self._added >= self.entries

    def find(self, key: int) -> int | None:
        return self._slots[2 * self._place(key) + 1] or None

    def add(self, key: int, number: int) -> None:
        at = 2 * self._place(key)
        self._slots[at], self._slots[at + 1] = key, number
        self._added += 1

    def _place(self, key: int) -> int:
        """Where the key stands, or would."""
        slots = self._slots
        place = (key * _SPREAD & _MASK64) >> self._shift
        while slots[2 * place + 1] and slots[2 * place] != key:
            place = (place + 1) & self._last
        return place


class Numbers:
    """A list of numbers of 64 bits that only grows."""

    def __init__(self) -> None:
        self._file = scratch()
        self._tail = array("Q")
        self._written = 0

    def __len__(self) -> int:
        return self._written + len(self._tail)

    def __getitem__(self, place: int) -> int:
        if place >= self._written:
            return self._tail[place - self._written]
        return int.from_bytes(os.pread(self._file.fileno(), 8, place * 8), sys.byteorder)

    def append(self, number: int) -> None:
        self._tail.append(number)
        if len(self._tail) >= _TAIL:
            with _room(8 * _TAIL):
                self._file.write(self._tail.tobytes())
                self._file.flush()
            self._written += len(self._tail)
            self._tail = array("Q")


class Sets:
    """Sets of whole numbers that are read again by their place."""

    def __init__(self) -> None:
        self._file, self._ends = scratch(), Numbers()

    def __len__(self) -> int:
        return len(self._ends)

    def append(self, numbers: frozenset[int]) -> None:
        """Keep a set of numbers of 64 bits with a sign."""
        start = self._start(len(self))
        with _room(8 * len(numbers)):
            self._file.seek(8 * start)
            self._file.write(array("q", numbers).tobytes())
        self._ends.append(start + len(numbers))

    def size(self, place: int) -> int:
        """How many numbers the set has."""
        return self._ends[place] - self._start(place)

    def read(self, place: int) -> array[int]:
        """The numbers of a set."""
        start = self._start(place)
        self._file.seek(8 * start)
        return array("q", self._file.read(8 * (self._ends[place] - start)))

    def _start(self, place: int) -> int:
        return self._ends[place - 1] if place else 0


@contextmanager
def _room(size: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise BadInput(
            f"No room in {plain(_folder())} for what the data is compared by ({gib(size)} more).",
            "Set TMPDIR to a folder on a disk with room, about three times the data's size.",
        ) from None
