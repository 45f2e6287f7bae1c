"""A JSON text of any length, of which only the stretch that is being read stands in memory."""

from __future__ import annotations

import re
from collections.abc import Callable

from ftui.units import MiB

BLOCK = MiB
_TAIL = 1 << 10
"""Characters that are kept when the rest is let go: what is looked for may have begun in them."""


class Window:
    """The stretch: `text`, which begins within line `first_line` after `column` characters of it.

    Positions are those in `text`; `drop` changes them, `grow` does not.
    """

    def __init__(self, text: str, read: Callable[[int], str] | None = None) -> None:
        """`read` gives so many characters more, and none at the end; without it `text` is all."""
        self.text, self._read = text, read
        self.first_line, self.column = 1, 0
        self._line, self._counted = 1, 0

    @property
    def ended(self) -> bool:
        """Whether the end of `text` is known to be that of the whole."""
        return self._read is None

    def grow(self) -> bool:
        """Take in as much again, at least a block; False at the end."""
        more = self._read(max(BLOCK, len(self.text))) if self._read else ""
        if not more:
            self._read = None
            return False
        self.text += more
        return True

    def drop(self, position: int) -> None:
        """Let go of what stands before the position, which is 0 from now on."""
        self.first_line = self.line_at(position)
        newline = self.text.rfind("\n", 0, position)
        self.column = position - newline - 1 if newline >= 0 else self.column + position
        self.text, self._counted = self.text[position:], 0

    def line_at(self, position: int) -> int:
        """The line of a position, which is asked for in ascending order."""
        self._line += self.text.count("\n", self._counted, position)
        self._counted = position
        return self._line

    def skip(self, pattern: re.Pattern[str], position: int) -> int:
        """The position after what the pattern matches, however long it is."""
        while True:
            match = pattern.match(self.text, position)
            position = match.end() if match else position
            if position < len(self.text) or not self.grow():
                return position

    def search(self, pattern: re.Pattern[str], position: int) -> int | None:
        """The end of the pattern's next match from the position on; what comes before may be let go."""
        while not (match := pattern.search(self.text, position)):
            passed = len(self.text) - _TAIL
            if passed > position:
                self.drop(passed)
                position = 0
            if not self.grow():
                return None
        return match.end()
