"""Parquet files, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ftui.data.encoding import name_of
from ftui.data.reading import RawRow
from ftui.errors import BadInput
from ftui.units import plain

BATCH_ROWS = 1000


def read_parquet(path: Path) -> Iterator[RawRow]:
    """The rows, numbered from 1. Raises BadInput where the file is broken or pyarrow is missing."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise BadInput(f"Reading {name_of(path)} needs pyarrow.", "Install it with: pip install pyarrow") from None
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = plain(str(error).strip().partition("\n")[0][:200])
        raise BadInput(
            f"{name_of(path)} is a broken Parquet file (after row {number}): {reason}", "Copy or download it again."
        ) from None
