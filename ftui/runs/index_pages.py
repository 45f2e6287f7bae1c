"""Columns of numbers that grow without filling memory: full pages go to a file, only the newest numbers stay.

`Pages` is a sequence like `array`, made for being appended to and looked at here and there.  Where there is no file, or
it takes no more (a full disk), its pages stay in memory.
"""

from __future__ import annotations

import fcntl
import os
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from io import FileIO
from pathlib import Path
from typing import Any, overload

PAGE = 4096
"""Numbers in a page."""
BYTES = 8
"""A number's size; both kinds, "q" and "d", have it."""
Page = int | float | range | array
"""Where it lies in the file; or what each of its numbers is; or the numbers themselves."""


class PageFile:
    """The file that full pages are appended to, by the one process that holds its lock; others only read."""

    def __init__(self, path: Path, *, new: bool = False) -> None:
        """Open it; raises OSError where that can't be done.  Whether it may be written, `writable` says."""
        self.path = path
        flags = os.O_RDWR | (os.O_CREAT | os.O_EXCL if new else 0)
        try:
            handle, self.writable = os.open(path, flags, 0o600), True
        except PermissionError:
            if new:
                raise
            handle, self.writable = os.open(path, os.O_RDONLY), False
        # Closed with the last column that lies in it.
        self._file = FileIO(handle, "r+" if self.writable else "r")
        if self.writable:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                # Another one adds to it, or this filesystem knows no locks.
                self.writable = False
        self.end = os.fstat(handle).st_size
        self.lost = False

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on; zeros for what is gone, and then `lost` says so.

        Somebody may empty a cache at any time, and who draws from it must not fail: who looks at the run begins anew.
        """
        try:
            data = os.pread(self._file.fileno(), size, offset)
        except OSError:
            data = b""
        if len(data) < size:
            self.lost = True
        return data.ljust(size, b"\0")

    def append(self, data: bytes) -> int | None:
        """Where `data` was put; None where it wasn't: it is another's to write, or the disk is full."""
        if not self.writable:
            return None
        try:
            if os.pwrite(self._file.fileno(), data, self.end) < len(data):
                return None
        except OSError:
            return None
        self.end += len(data)
        return self.end - len(data)

    def sync(self) -> None:
        """Have all of it on the disk."""
        os.fsync(self._file.fileno())


class Pages(Sequence[Any]):
    """Numbers of one kind, "q" (integers) or "d" (floats).

    Evenly spaced integers and a number that stays the same take no room at all.
    """

    __slots__ = ("_file", "_firsts", "_pages", "_tail", "code")

    def __init__(self, code: str, file: PageFile | None = None) -> None:
        self.code = code
        self._file = file
        self._pages: list[Page] = []
        self._firsts: array[Any] = array(code)
        self._tail: array[Any] = array(code)

    def __len__(self) -> int:
        return len(self._pages) * PAGE + len(self._tail)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> array[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        past = len(self._pages) * PAGE
        if isinstance(index, slice):
            start, stop, stride = index.indices(len(self))
            if start >= past:
                return self._tail[start - past : stop - past : stride]
            return self._slice(start, stop) if stride == 1 else self._every(start, stop, stride)
        if index < 0:
            index += len(self)
        if index >= past:
            return self._tail[index - past]
        if index < 0:
            raise IndexError(index)
        page = self._pages[index // PAGE]
        if type(page) is int:
            assert self._file is not None
            return array(self.code, self._file.read(page + index % PAGE * BYTES, BYTES))[0]
        return page if type(page) is float else page[index % PAGE]  # type: ignore[index]

    def __iter__(self) -> Iterator[Any]:
        for place in range(len(self._pages)):
            yield from self._page(place, 0, PAGE)
        yield from self._tail

    def append(self, number: float) -> None:
        """Add one number."""
        self._tail.append(number)
        if len(self._tail) >= 2 * PAGE:
            self._flush()

    def extend(self, numbers: array[Any]) -> None:
        """Add several."""
        self._tail.extend(numbers)
        while len(self._tail) >= 2 * PAGE:
            self._flush()

    def insert(self, place: int, number: float) -> None:
        """Put a number before the one at `place`; what comes after it is taken back into memory first."""
        past = self._recall(place)
        self._tail.insert(place - past, number)
        while len(self._tail) >= 2 * PAGE:
            self._flush()

    def drop(self, start: int, stop: int | None = None) -> None:
        """Take numbers out, by default all from `start` on."""
        past = self._recall(start)
        del self._tail[start - past : None if stop is None else stop - past]

    def bisect_left(self, number: float) -> int:
        """As `bisect.bisect_left` of the whole, which must be ascending."""
        return self._bisect(number, bisect_left)

    def bisect_right(self, number: float) -> int:
        """As `bisect.bisect_right` of the whole, which must be ascending."""
        return self._bisect(number, bisect_right)

    def use(self, file: PageFile | None) -> None:
        """Put full pages into `file` from now on; those that are in memory, too."""
        assert self._file is None, "pages stay in the file in which they are"
        self._file = file
        if file is not None:
            self._pages = [self._put(page) if isinstance(page, array) else page for page in self._pages]

    def state(self) -> dict[str, Any]:
        """All of it for `restored`, the pages in the file by their places."""
        pages = [["r", p.start, p.step] if isinstance(p, range) else p for p in self._pages]
        return {"code": self.code, "pages": pages, "firsts": self._firsts, "tail": self._tail}

    @classmethod
    def restored(cls, state: dict[str, Any], file: PageFile) -> Pages:
        """The column with this state, whose pages lie in `file`."""
        made = cls(state["code"], file)
        made._pages = [range(p[1], p[1] + PAGE * p[2], p[2]) if isinstance(p, list) else p for p in state["pages"]]
        made._firsts, made._tail = state["firsts"], state["tail"]
        return made

    def _bisect(self, number: float, how: Any) -> int:
        if not self._pages or (self._tail and how(self._tail, number, 0, 1)):
            return len(self._pages) * PAGE + int(how(self._tail, number))
        place = how(self._firsts, number) - 1
        if place < 0:
            return 0
        page = self._pages[place]
        return place * PAGE + int(how(page if isinstance(page, range) else self._page(place, 0, PAGE), number))

    def _slice(self, start: int, stop: int) -> array[Any]:
        held: array[Any] = array(self.code)
        past = len(self._pages) * PAGE
        while start < min(stop, past):
            place, within = divmod(start, PAGE)
            end = min(PAGE, stop - place * PAGE)
            held += self._page(place, within, end)
            start = place * PAGE + end
        if stop > past:
            held += self._tail[: stop - past]
        return held

    def _every(self, start: int, stop: int, stride: int) -> array[Any]:
        """Each `stride`-th number; of evenly spaced ones no others are made."""
        held: array[Any] = array(self.code)
        while start < stop:
            place, within = divmod(start, PAGE)
            if place < len(self._pages):
                end = min(PAGE, stop - place * PAGE)
                page = self._pages[place]
                part = page if isinstance(page, range) else self._page(place, 0, PAGE)
                held.extend(part[within:end:stride])
                start += len(range(within, end, stride)) * stride
            else:
                past = len(self._pages) * PAGE
                return held + self._tail[start - past : stop - past : stride]
        return held

    def _page(self, place: int, start: int, stop: int) -> array[Any]:
        """The numbers start..stop of a page."""
        page = self._pages[place]
        if type(page) is int:
            assert self._file is not None
            return array(self.code, self._file.read(page + start * BYTES, (stop - start) * BYTES))
        if type(page) is float:
            return array(self.code, (page,)) * (stop - start)
        return array(self.code, page[start:stop])  # type: ignore[index]

    def _flush(self) -> None:
        """Make a page of the oldest numbers in the tail; one page stays, for what is taken back is new as a rule."""
        numbers = self._tail[:PAGE]
        del self._tail[:PAGE]
        first, gap = numbers[0], numbers[1] - numbers[0]
        self._firsts.append(first)
        if self.code == "q" and gap and numbers.tobytes() == _even(first, gap):
            self._pages.append(range(first, first + PAGE * gap, gap))
        elif self.code == "d" and not gap and numbers.count(first) == PAGE:
            self._pages.append(float(first))
        else:
            self._pages.append(self._put(numbers))

    def _put(self, numbers: array[Any]) -> Page:
        place = self._file.append(numbers.tobytes()) if self._file is not None else None
        return numbers if place is None else place

    def _recall(self, place: int) -> int:
        """Bring what comes after `place` into the tail; returns where that begins."""
        first = place // PAGE
        if first < len(self._pages):
            recalled = self._slice(first * PAGE, len(self._pages) * PAGE)
            self._tail = recalled + self._tail
            del self._pages[first:], self._firsts[first:]
        return len(self._pages) * PAGE


@lru_cache(maxsize=8)
def _even(first: int, gap: int) -> bytes:
    """A page of evenly spaced integers, such as all curves of a run share it."""
    return array("q", range(first, first + PAGE * gap, gap)).tobytes()
