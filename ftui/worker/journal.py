"""A job's journal: a line for each thing that is done, so that a resume asks for none of it again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ftui.errors import BadInput


class Journal:
    """A file of JSON lines in the run's folder, in the order of the work, added a batch at a time.

    Every line has a `key`, by which it is told whether the data are still the same.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, keys: Sequence[int], batch: int) -> list[dict[str, Any]]:
        """What an earlier attempt has done, in whole batches; a torn end is cut off.

        `keys` are those of all the work; raises BadInput where it is no longer what the run began with.
        """
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return []
        lines = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
        if len(lines) < len(keys):
            lines = lines[: len(lines) - len(lines) % batch]
        done = [json.loads(line) for line in lines]
        if len(done) > len(keys) or any(entry["key"] != key for entry, key in zip(done, keys, strict=False)):
            raise BadInput("The prompts are no longer those that the run began with.",
                           "Put the file back as it was, or start a new run.")
        if (whole := sum(map(len, lines))) < len(content):
            with open(self._path, "r+b") as file:
                file.truncate(whole)
        return done

    def add(self, entries: Iterable[dict[str, Any]]) -> None:
        """Append these lines; they are on the disk when it returns."""
        with open(self._path, "ab") as file:
            file.write(b"".join(json.dumps(entry, ensure_ascii=False).encode() + b"\n" for entry in entries))
            file.flush()
            os.fsync(file.fileno())
