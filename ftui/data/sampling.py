"""A sample of the rows that pass: chosen by their content alone, and small however long they are."""

from __future__ import annotations

import heapq

from ftui.data.canonical import Row, text_of

CHARACTERS = 6_000_000
"""About 1.5 million tokens: three seconds of one core with a SentencePiece vocabulary, which is the slowest."""
LEAST_ROWS = 200
_MOST_CHARACTERS = 8 * CHARACTERS
"""Beyond this even fewer rows than `LEAST_ROWS` are kept, if each of them is a book."""


class Sample:
    """The rows of the lowest keys: a uniform sample of the distinct rows that doesn't depend on their order."""

    def __init__(self, rows: int) -> None:
        self._most = rows
        self._passed = self._characters = 0
        # A heap of (-key, -place, characters, row), of which the highest key goes first.
        self._lowest: list[tuple[int, int, int, Row]] = []

    def add(self, row: Row) -> None:
        """See a row; of long ones only so many are kept, by their keys, that counting them takes seconds."""
        self._passed += 1
        entry = (-row.key, -self._passed, len(text_of(row)), row)
        if len(self._lowest) >= self._most and entry < self._lowest[0]:
            return
        heapq.heappush(self._lowest, entry)
        self._characters += entry[2]
        while self._too_many():
            self._characters -= heapq.heappop(self._lowest)[2]

    def rows(self) -> list[Row]:
        """The sample, in the rows' own order."""
        return [row for _, _, _, row in sorted(self._lowest, key=lambda entry: -entry[1])]

    def _too_many(self) -> bool:
        rows = len(self._lowest)
        if rows > self._most:
            return True
        fewer = self._characters > CHARACTERS and rows > LEAST_ROWS
        return rows > 1 and (fewer or self._characters > _MOST_CHARACTERS)
