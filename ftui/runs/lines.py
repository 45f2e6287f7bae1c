"""Lines of events.jsonl as they may stand on a disk: whole, torn, garbage, or written by another version."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import pydantic_core
from pydantic import ValidationError

from ftui.runs.document import Event

CHUNK = 1 << 16


def parse_line(line: bytes) -> Event | None:
    """The event in one line without its newline; None where it is none."""
    if not line.startswith(b"{"):
        return None
    try:
        event = Event.model_validate(pydantic_core.from_json(line, allow_inf_nan=False))
    except (ValidationError, ValueError, RecursionError):
        return None
    return event if math.isfinite(event.time) else None


def backwards(path: Path, end: int | None = None) -> Iterator[Event]:
    """The events of `path`, newest first, read in pieces from its end, or from the byte `end`; a missing file has none.

    A last line without its newline is torn and left out, so is every line that is no event.
    """
    try:
        file = open(path, "rb")  # noqa: SIM115  (the try must not cover the reading)
    except OSError:
        return
    with file:
        position = file.seek(0, os.SEEK_END) if end is None else end
        rest, whole = b"", False
        while position > 0:
            size = min(CHUNK, position)
            position -= size
            file.seek(position)
            lines = (file.read(size) + rest).split(b"\n")
            # Without a newline in sight the line began before this piece.
            rest = lines.pop(0)
            if lines and not whole:
                lines.pop()
                whole = True
            yield from filter(None, map(parse_line, reversed(lines)))
        if whole and (event := parse_line(rest)):
            yield event
