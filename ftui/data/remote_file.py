"""A file on the hub that is read in part: what is asked for comes in blocks, and the rest stays where it is."""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from typing import Any

from ftui.errors import BadInput
from ftui.units import KiB, plain

BLOCK = 256 * KiB
_KEPT_BLOCKS = 64


class RemoteFile(io.RawIOBase):
    """Seekable; each block is asked for once, as long as few others came between.  `fetched` counts their bytes."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._url, self._headers = url, headers
        self._at = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._size: int | None = None
        self.fetched = 0
        self._block(0)

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        assert self._size is not None
        return self._size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        if self._at >= self.size:
            return 0
        number, within = divmod(self._at, BLOCK)
        found = self._block(number)[within : within + len(buffer)]
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)

    def _block(self, number: int) -> bytes:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        start = number * BLOCK
        self._blocks[number] = found = self._fetch(start, start + BLOCK)
        self.fetched += len(found)
        if len(self._blocks) > _KEPT_BLOCKS:
            self._blocks.popitem(last=False)
        return found

    def _fetch(self, start: int, end: int) -> bytes:
        """The bytes [start, end), fewer at the file's end.  Raises BadInput where the server gives no parts."""
        from huggingface_hub.utils import get_session, hf_raise_for_status

        headers = {**self._headers, "Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        with get_session().stream("GET", self._url, headers=headers, follow_redirects=True) as response:
            if response.status_code == 416 and start == 0:
                # An empty file has no first byte to give.
                self._size = 0
                return b""
            hf_raise_for_status(response)
            if response.status_code == 206:
                self._size = int(response.headers["Content-Range"].rpartition("/")[2])
            elif self._size is None and "Content-Length" in response.headers:
                # All of it, from the beginning: as much is read as was asked for.
                self._size = int(response.headers["Content-Length"])
            if response.status_code != 206 and start:
                raise BadInput(f"{plain(self._url)} can't be read in part.", "Leave out streaming.")
            found = bytearray()
            for piece in response.iter_raw():
                found += piece
                if len(found) >= end - start:
                    break
        if self._size is None:
            raise BadInput(f"{plain(self._url)} doesn't say how long it is.", "Leave out streaming.")
        return bytes(found[: end - start])
