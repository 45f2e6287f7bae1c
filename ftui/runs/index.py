"""The index of a run's events in `cache/`: what has been read once isn't parsed again.

Two files.  `pages-*` holds the numbers, in pages that are only ever appended (`index_pages`).  `index` says which of
them count, how many bytes of events.jsonl they cover and what else these bytes told; it is replaced as a whole.  Both
may be deleted at any time: the next reader reads the events again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import sys
import zlib
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftui import __version__
from ftui.files import write_atomic
from ftui.runs.folder import Run
from ftui.runs.index_pages import BYTES, PageFile

FORMAT = f"1 of ftui {__version__}"
"""Counted up whenever what is written, or what its numbers mean, changes between two versions of ftui: an index of
another format is made anew."""
LEAST_BYTES = 8 << 20
"""Fewer events, or fewer new ones, are read in a tenth of a second and not worth an index."""
WITNESS_BYTES = 4096


@dataclass(frozen=True)
class Saved:
    """What an index holds: the state after the first `offset` bytes of the events, and the file with its pages."""

    offset: int
    state: dict[str, Any]
    file: PageFile


class Index:
    """The index of one run.  Nothing here raises for what a disk does: without one, the events are read."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._folder = run.path / "cache"
        self._path = self._folder / "index"

    def load(self) -> Saved | None:
        """The state to go on from; None where there is none, or it is not of these events."""
        try:
            head, _, body = self._path.read_bytes().partition(b"\n")
            facts = json.loads(head)
            if (facts["format"], facts["order"], facts["crc"]) != (FORMAT, sys.byteorder, zlib.crc32(body)):
                return None
            if facts["witness"] != self._witness(facts["offset"]):
                return None
            text, arrays = body[: facts["text"]], memoryview(body)[facts["text"] :]
            file = PageFile(self._folder / facts["pages"])
            if file.end < facts["end"]:
                return None
            return Saved(facts["offset"], json.loads(text, object_hook=lambda found: _decoded(found, arrays)), file)
        except (OSError, ValueError, KeyError, TypeError):
            # Missing, unreadable, or of something else: all the same to who can read the events.
            return None

    def begin(self) -> PageFile | None:
        """A new file for the pages of an index that is made anew; None where the folder can't be written."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            return PageFile(self._folder / f"pages-{secrets.token_hex(4)}", new=True)
        except OSError:
            return None

    def save(self, offset: int, state: dict[str, Any], file: PageFile) -> bool:
        """Have `state`, which the first `offset` bytes have led to, found by the next reader; whether that was done."""
        blob = bytearray()
        text = json.dumps(state, default=lambda held: _encoded(held, blob)).encode()
        body = text + blob
        try:
            facts = {
                "format": FORMAT, "order": sys.byteorder, "offset": offset, "witness": self._witness(offset),
                "pages": file.path.name, "end": file.end, "text": len(text), "crc": zlib.crc32(body),
            }
            file.sync()
            write_atomic(self._path, json.dumps(facts).encode() + b"\n" + body)
        except OSError:
            return False
        self._tidy(file.path)
        return True

    def _witness(self, offset: int) -> str:
        """What tells these events from others: a digest of the first bytes and of the last before `offset`."""
        with open(self._run.events, "rb") as events:
            first = events.read(min(WITNESS_BYTES, offset))
            events.seek(max(offset - WITNESS_BYTES, 0))
            last = events.read(min(WITNESS_BYTES, offset))
        return hashlib.sha256(first + last).hexdigest()

    def _tidy(self, used: Path) -> None:
        """Remove pages that no index names and nobody writes."""
        for path in self._folder.glob("pages-*"):
            with contextlib.suppress(OSError):
                if path != used and PageFile(path).writable:
                    path.unlink()


def _encoded(held: object, blob: bytearray) -> dict[str, Any]:
    """An array by its place in `blob`, where it is put."""
    if not isinstance(held, array):
        raise TypeError(f"{type(held)} is nothing for an index")
    place = len(blob)
    blob += held.tobytes()
    return {"array": [held.typecode, place, len(held)]}


def _decoded(found: dict[str, Any], blob: memoryview) -> Any:
    place = found.get("array")
    if len(found) != 1 or not isinstance(place, list):
        return found
    made: array[Any] = array(place[0])
    made.frombytes(blob[place[1] : place[1] + place[2] * BYTES])
    return made
