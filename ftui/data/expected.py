"""About how many rows a source has, before it is read: for a progress bar, never for a plan."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ftui.data.given import SourceLike
from ftui.data.loading import find_files
from ftui.data.reading import DataFile, open_file
from ftui.errors import FtuiError

_PIECE = 1 << 18
_PIECES = 8
"""So many pieces of a file are looked at for the ends of its lines."""
_PACKED = (".gz", ".zst")


def expected_rows(sources: Sequence[SourceLike]) -> int | None:
    """Rows of all sources together, estimated in milliseconds; None where one of them doesn't say."""
    total = 0
    for given in sources:
        try:
            counts = [_rows(open_file(path)) for path in find_files(given)]
        except (FtuiError, OSError, ValueError):
            # A function of the user's own, or what can't be read, of which its reading will tell.
            counts = [None]
        known = [count for count in counts if count is not None]
        if len(known) < len(counts):
            return None
        total += min(sum(known), given.limit) if given.limit is not None else sum(known)
    return total or None


def _rows(file: DataFile) -> int | None:
    if file.path.suffix.lower() in _PACKED:
        return None
    if file.container in ("jsonl", "csv", "text"):
        return _lines(file.path)
    if file.container == "parquet":
        from pyarrow import parquet

        rows: int = parquet.read_metadata(file.path).num_rows
        return rows
    return None


def _lines(path: Path) -> int:
    """Lines, by how many end in pieces spread over the file."""
    size = os.path.getsize(path)
    seen = ends = 0
    with path.open("rb") as file:
        for number in range(_PIECES):
            file.seek(min(number * size // _PIECES, max(size - _PIECE, 0)))
            piece = file.read(_PIECE)
            seen += len(piece)
            ends += piece.count(b"\n")
    return max(1, round(ends * size / seen)) if seen else 0
