"""Arrow files, batch by batch: what `Dataset.save_to_disk` writes (a stream), and Feather (a file with an index)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ftui.data.encoding import name_of
from ftui.data.reading import RawRow
from ftui.errors import BadInput
from ftui.units import plain

INDEXED = b"ARROW1"
"""How the form with an index begins."""
STREAMED = b"\xff\xff\xff\xff"
"""How a stream begins: the mark before each of its messages."""


def read_arrow(path: Path) -> Iterator[RawRow]:
    """The rows, numbered from 1. Raises BadInput where the file is broken or pyarrow is missing."""
    try:
        import pyarrow
    except ImportError:
        raise BadInput(f"Reading {name_of(path)} needs pyarrow.", "Install it with: pip install pyarrow") from None
    number = 0
    try:
        with _batches(path) as batches:
            for batch in batches:
                # A damaged file's offsets would otherwise be followed out of its memory.
                batch.validate(full=True)
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = plain(str(error).strip().partition("\n")[0][:200])
        raise BadInput(
            f"{name_of(path)} is a broken Arrow file (after row {number}): {reason}", "Copy it or save it again."
        ) from None


@contextmanager
def _batches(path: Path) -> Iterator[Iterator[Any]]:
    """Mapped into memory, so that only the batch that is read takes room."""
    import pyarrow

    with pyarrow.memory_map(str(path)) as file:
        if file.read(len(INDEXED)) == INDEXED:
            opened = pyarrow.ipc.open_file(file)
            yield (opened.get_batch(index) for index in range(opened.num_record_batches))
        else:
            file.seek(0)
            yield iter(pyarrow.ipc.open_stream(file))
