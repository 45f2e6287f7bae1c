"""Prepared data by the content of all that it follows from, so that a run on the same rows needn't tokenize them again.

An entry is one file under the cache folder: a magic word, the length of its header, a header of JSON, the arrays that
the header lists, and a digest of all of that.  It is written aside and renamed, so that it is there whole or not at
all; one that is torn or damaged all the same is thrown away and prepared again.  The entries used last stay, as many as
there is room for: `FTUI_PREPARED_GIB` (20), where 0 keeps none.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import tempfile
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from ftui.files import make_folder
from ftui.paths import cache_dir
from ftui.units import GiB

_MAGIC = b"ftui-prepared-1\n"
_DIGEST_BYTES = 32
_LENGTH_BYTES = 8
_LARGEST_HEADER = 4 * GiB
_AT_ONCE = 1 << 24
_LIBRARIES = ("tokenizers", "jinja2", "pyarrow")
_CLOCK = "strftime_now"


@dataclass(frozen=True)
class Entry:
    """One entry on this disk; `used` is the time of its last use."""

    path: Path
    bytes: int
    used: float


def folder() -> Path:
    """Where the entries lie."""
    return cache_dir() / "prepared"


def room() -> int:
    """How many bytes all entries together may take."""
    try:
        return max(0, int(float(os.environ.get("FTUI_PREPARED_GIB", "20")) * GiB))
    except (ValueError, OverflowError):
        return 20 * GiB


def key_of(**parts: Any) -> str | None:
    """The name of what follows from `parts`, ftui's own code and the libraries that read and write rows; None where a
    part is no JSON, and so can't be told from another."""
    used = {name: _version(name) for name in _LIBRARIES}
    try:
        packed = json.dumps([_code(), used, parts], sort_keys=True, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        return None
    return hashlib.sha256(packed.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def clock_of(source: str, when: float | None) -> str | float | None:
    """What a template's text has of the time: nothing, the day, or, where it asks for more than that, the second."""
    if _CLOCK not in source:
        return None
    moment = time.time() if when is None else when
    finer = any(code in source for code in ("%H", "%I", "%M", "%S", "%f", "%c", "%X", "%s", "%T", "%p"))
    return moment if finer else datetime.fromtimestamp(moment).strftime("%Y-%m-%d")


def read(key: str) -> tuple[dict[str, Any], dict[str, array[Any] | bytearray]] | None:
    """The header and the arrays of an entry; None where there is none that is whole."""
    path = _path(key)
    try:
        with open(path, "rb") as file:
            found = _read(file, path.stat().st_size)
        os.utime(path)
    except OSError:
        return None
    except (ValueError, KeyError, TypeError, EOFError, MemoryError):
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    return found


def write(key: str, header: Mapping[str, Any], arrays: Mapping[str, array[Any] | bytearray]) -> bool:
    """Keep an entry; whether there was room, and whether it is one that can be kept.  A full disk keeps none."""
    limit = room()
    try:
        listed = [(name, values.typecode if isinstance(values, array) else "", len(values))
                  for name, values in arrays.items()]  # fmt: skip
        packed = json.dumps({"header": header, "arrays": listed}, ensure_ascii=True).encode()
    except (TypeError, ValueError, RecursionError):
        # Columns that a reward looks at may hold what is no JSON.
        return False
    if len(packed) + sum(memoryview(values).nbytes for values in arrays.values()) > limit:
        return False
    temporary = ""
    try:
        make_folder(folder())
        handle, temporary = tempfile.mkstemp(dir=folder(), prefix=".")
        with os.fdopen(handle, "wb") as file:
            _write(file, packed, arrays.values())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, _path(key))
    except OSError:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        return False
    shrink(limit)
    return True


def entries() -> list[Entry]:
    """All of them, those that were used last first."""
    found = []
    for path in folder().glob("*.rows"):
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append(Entry(path, status.st_size, status.st_mtime))
    return sorted(found, key=lambda entry: -entry.used)


def shrink(limit: int) -> int:
    """Remove what was not used for longest until the rest takes at most `limit` bytes; how many bytes went."""
    kept = gone = 0
    for entry in entries():
        if kept + entry.bytes <= limit:
            kept += entry.bytes
            continue
        with contextlib.suppress(OSError):
            entry.path.unlink()
            gone += entry.bytes
    for path in folder().glob(".*"):
        # What a killed process left half written.
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > 24 * 3600:
                path.unlink()
    return gone


def _path(key: str) -> Path:
    return folder() / f"{key}.rows"


def _write(file: BinaryIO, packed: bytes, arrays: Iterable[array[Any] | bytearray]) -> None:
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    pieces: Sequence[Any] = [_MAGIC, len(packed).to_bytes(_LENGTH_BYTES, "little"), packed]
    for piece in (*pieces, *arrays):
        view = memoryview(piece).cast("B")
        for start in range(0, len(view), _AT_ONCE):
            part = view[start : start + _AT_ONCE]
            digest.update(part)
            file.write(part)
    file.write(digest.digest())


def _read(file: BinaryIO, size: int) -> tuple[dict[str, Any], dict[str, array[Any] | bytearray]]:
    """Raises ValueError or EOFError where it is no whole entry."""
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)

    def take(count: int) -> bytes:
        found = file.read(count)
        if len(found) < count:
            raise EOFError
        digest.update(found)
        return found

    if take(len(_MAGIC)) != _MAGIC:
        raise ValueError("another format")
    length = int.from_bytes(take(_LENGTH_BYTES), "little")
    if not 0 < length <= min(size, _LARGEST_HEADER):
        raise ValueError("no header")
    known = json.loads(take(length))
    arrays: dict[str, array[Any] | bytearray] = {}
    for name, typecode, count in known["arrays"]:
        width = array(typecode).itemsize if typecode else 1
        if not 0 <= count * width <= size:
            raise EOFError
        values: array[Any] | bytearray = array(typecode, bytes(0)) if typecode else bytearray()
        for part in _sizes(count * width):
            values.frombytes(take(part)) if isinstance(values, array) else values.extend(take(part))
        arrays[name] = values
    if file.read() != digest.digest():
        raise ValueError("damaged")
    return known["header"], arrays


def _sizes(total: int) -> Iterator[int]:
    """`total` in parts of whole items of any width."""
    while total > 0:
        yield min(total, _AT_ONCE)
        total -= _AT_ONCE


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def _code() -> str:
    """A digest of this room's own code: an ftui that makes other rows must not find the old ones."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
