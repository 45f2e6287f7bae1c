"""Rows to train on that stand, exactly or nearly, where a model is to be tested."""

from __future__ import annotations

from collections.abc import Mapping

from ftui.data.canonical import Row, messages_of, words_of
from ftui.data.document import BadRow
from ftui.data.given import Given
from ftui.data.grown import Numbers, Table
from ftui.data.loading import load
from ftui.data.near import THRESHOLD, WORDS, NearIndex, runs_of
from ftui.units import plain

_LEAST_RUNS = WORDS
"""Questions of fewer runs, nine words, are too usual to tell a leak by; a whole row may be as short as it likes."""
_MOST_RUNS = 1_000_000
"""So many are known one by one, in some 90 MB; of larger files the index alone is asked."""


class LeakIndex:
    """Rows of validation files and benchmarks: known by all of their words, and by their questions alone."""

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._names: list[str] = []
        self._keys, self._index, self._where = Table(), NearIndex(threshold), Numbers()
        self._threshold = threshold
        self._runs: set[int] | None = set()

    def add(self, row: Row, where: str) -> None:
        """Know a row by its file's name."""
        if where not in self._names[-1:]:
            self._names.append(where)
        self._keys.first(row.key, len(self._names))
        whole, question = runs_of(words_of(row)), runs_of(_question(row))
        for runs in (whole, question) if whole != question else (whole,):
            if runs and (runs is whole or len(runs) >= _LEAST_RUNS):
                self._index.add(runs)
                self._learn(runs)
                self._where.append(len(self._names))

    def add_file(self, path: str, columns: Mapping[str, str] | None = None) -> None:
        """Know all rows of a file, whose columns may be said; raises BadInput where it can't be read."""
        for row in load(Given(path, columns=columns or {})).rows():
            if not isinstance(row, BadRow):
                self.add(row, plain(path))

    def find(self, row: Row) -> str | None:
        """Where the row, or its question, is known from."""
        if name := self._keys.find(row.key):
            return f"stands in {self._names[name - 1]}"
        if (found := self._near(runs_of(words_of(row)))) is not None:
            return f"stands nearly so in {self._name(found)}"
        question = runs_of(_question(row))
        if len(question) >= _LEAST_RUNS and (found := self._near(question)) is not None:
            return f"its question stands in {self._name(found)}"
        return None

    def _learn(self, runs: frozenset[int]) -> None:
        if self._runs is not None:
            self._runs |= runs
            if len(self._runs) > _MOST_RUNS:
                self._runs = None

    def _near(self, runs: frozenset[int]) -> int | None:
        """What the index finds; most rows have so few runs in common with all that is known that it isn't asked."""
        if self._runs is not None and len(runs & self._runs) < self._threshold * len(runs):
            return None
        return self._index.find(runs)

    def _name(self, found: int) -> str:
        return self._names[self._where[found] - 1]


def _question(row: Row) -> str:
    """What the user says."""
    return "\n".join(str(turn.get("content") or "") for turn in messages_of(row) if turn["role"] == "user")
