"""Rows to train on that stand, exactly or nearly, where a model is to be tested."""

from __future__ import annotations

from ftui.data.canonical import Row, messages_of, words_of
from ftui.data.document import BadRow
from ftui.data.given import Given
from ftui.data.loading import load
from ftui.data.near import THRESHOLD, WORDS, NearIndex, runs_of
from ftui.units import plain

_LEAST_RUNS = WORDS
"""Questions of fewer runs, nine words, are too usual to tell a leak by; a whole row may be as short as it likes."""


class LeakIndex:
    """Rows of validation files and benchmarks: known by all of their words, and by their questions alone."""

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._keys: dict[int, str] = {}
        self._index = NearIndex(threshold)
        self._where: list[str] = []

    def add(self, row: Row, where: str) -> None:
        """Know a row by its file's name."""
        self._keys.setdefault(row.key, where)
        whole, question = runs_of(words_of(row)), runs_of(_question(row))
        for runs in (whole, question) if whole != question else (whole,):
            if runs and (runs is whole or len(runs) >= _LEAST_RUNS):
                self._index.add(runs)
                self._where.append(where)

    def add_file(self, path: str) -> None:
        """Know all rows of a file; raises BadInput where it can't be read."""
        for row in load(Given(path)).rows():
            if not isinstance(row, BadRow):
                self.add(row, plain(path))

    def find(self, row: Row) -> str | None:
        """Where the row, or its question, is known from."""
        if (where := self._keys.get(row.key)) is not None:
            return f"stands in {where}"
        if (found := self._index.find(runs_of(words_of(row)))) is not None:
            return f"stands nearly so in {self._where[found]}"
        question = runs_of(_question(row))
        if len(question) >= _LEAST_RUNS and (found := self._index.find(question)) is not None:
            return f"its question stands in {self._where[found]}"
        return None


def _question(row: Row) -> str:
    """What the user says."""
    return "\n".join(str(turn.get("content") or "") for turn in messages_of(row) if turn["role"] == "user")
