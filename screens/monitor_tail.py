"""The end of a growing text file, safe to show.  Pure."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from ftui.units import plain

WINDOW = 256 * 1024
"""Bytes of the past that are read when one begins to look; the file keeps all."""


class Tail:
    """The newest lines of a file that another process appends to.

    A progress bar that draws over itself with carriage returns is shown as it stands last; control characters and
    escape sequences are shown as text.
    """

    def __init__(self, path: Path, keep: int = 5000) -> None:
        self.path = path
        self.lines: deque[str] = deque(maxlen=keep)
        self.partial = ""
        """The last line while it has no newline yet."""
        self.skipped = 0
        """Bytes before what is shown."""
        self._position: int | None = None
        self._rest = b""

    def read(self) -> bool:
        """Take in what was written since the last time; whether there was anything."""
        try:
            with open(self.path, "rb") as file:
                size = file.seek(0, 2)
                if self._position is None:
                    self._position = self.skipped = max(0, size - WINDOW)
                elif size < self._position:
                    # The file was begun anew; what was shown is of another time.
                    self._position, self._rest = 0, b""
                if size == self._position:
                    return False
                file.seek(self._position)
                # Never more than a window at once, so that a flood of output can't hold the reader.
                new = file.read(4 * WINDOW)
        except FileNotFoundError:
            return False
        self._position += len(new)
        *whole, self._rest = (self._rest + new).split(b"\n")
        if len(self._rest) > WINDOW:
            self._rest = self._rest[-WINDOW:]
        self.lines.extend(_shown(line) for line in whole)
        self.partial = _shown(self._rest)
        return True


def _shown(line: bytes) -> str:
    """What a terminal would show of a line that draws over itself, without sending it anything."""
    text = line.decode("utf-8", "replace").rstrip("\r")
    return plain(text.rsplit("\r", 1)[-1]).expandtabs(4)
