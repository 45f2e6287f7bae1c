"""Rows to train on that stand, exactly or nearly, where a model is to be tested."""

from __future__ import annotations

from ftui.data.canonical import Row, messages_of, words_of
from ftui.data.document import BadRow
from ftui.data.given import Given
from ftui.data.grown import Numbers, Table
from ftui.data.loading import load
from ftui.data.near import THRESHOLD, WORDS, NearIndex, runs_of
from ftui.units import plain

_LEAST_RUNS = WORDS
"""Questions of fewer runs, nine words, are too usual to tell a leak by; a whole row may be as short as it likes."""


class LeakIndex:
    """Rows of validation files and benchmarks: known by all of their words, and by their questions alone."""

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._names: list[str] = []
        self._keys, self._index, self._where = Table(), NearIndex(threshold), Numbers()

    def add(self, row: Row, where: str) -> None:
        """Know a row by its file's name."""
        if where not in self._names[-1:]:
            self._names.append(where)
        self._keys.first(row.key, len(self._names))
        whole, question = runs_of(words_of(row)), runs_of(_question(row))
        for runs in (whole, question) if whole != question else (whole,):
            if runs and (runs is whole or len(runs) >= _LEAST_RUNS):
                self._index.add(runs)
                self._where.append(len(self._names))

    def add_file(self, path: str) -> None:
        """Know all rows of a file; raises BadInput where it can't be read."""
        for row in load(Given(path)).rows():
            if not isinstance(row, BadRow):
                self.add(row, plain(path))

    def find(self, row: Row) -> str | None:
        """Where the row, or its question, is known from."""
        if name := self._keys.find(row.key):
            return f"stands in {self._names[name - 1]}"
        if (found := self._index.find(runs_of(words_of(row)))) is not None:
            return f"stands nearly so in {self._name(found)}"
        question = runs_of(_question(row))
        if len(question) >= _LEAST_RUNS and (found := self._index.find(question)) is not None:
            return f"its question stands in {self._name(found)}"
        return None

    def _name(self, found: int) -> str:
        return self._names[self._where[found] - 1]


def _question(row: Row) -> str:
    """What the user says."""
    return "\n".join(str(turn.get("content") or "") for turn in messages_of(row) if turn["role"] == "user")
