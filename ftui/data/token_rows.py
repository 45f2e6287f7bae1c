"""Many rows of tokens in little memory: five bytes per token, whatever the number of rows."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, NotRequired, TypedDict

from ftui.data.masking import Tokens

UNTRAINED = -100
"""The label that the loss ignores."""


class TrainingRow(TypedDict):
    """One sequence as a trainer takes it; `seq_lengths` are the lengths of the rows packed into it, `images` files;
    `task_id` is the number of its task, where the data names tasks."""

    input_ids: list[int]
    labels: list[int]
    seq_lengths: list[int]
    task_id: NotRequired[int]
    images: NotRequired[list[str]]


class TokenStore:
    """Rows appended one by one into flat arrays."""

    def __init__(self) -> None:
        self.ids = array("i")
        self.trained = bytearray()
        self.starts = array("q", [0])
        self.tasks = array("i")
        """By row the number of its task, -1 where it names none."""
        self.task_names: dict[str, int] = {}
        """The tasks' names in the order of their first rows -> their numbers."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def append(self, tokens: Tokens, task: str | None = None) -> int:
        """Add a row; its index."""
        self.tasks.append(-1 if task is None else self.task_names.setdefault(task, len(self.task_names)))
        self.ids.extend(tokens.ids)
        self.trained += tokens.trained
        self.starts.append(len(self.ids))
        return len(self) - 1

    def length(self, index: int) -> int:
        """Tokens of a row."""
        return self.starts[index + 1] - self.starts[index]

    def row(self, index: int) -> Tokens:
        """A row."""
        start, end = self.starts[index], self.starts[index + 1]
        return Tokens(self.ids[start:end], self.trained[start:end])


class StoredRows(Sequence[Any]):
    """Rows for a trainer, each made of one or several stored sequences when it is asked for.

    Behaves as a map-style dataset: `len(rows)`, `rows[i]`; a form of rows says in `_row` what one is.
    """

    def __init__(self, store: TokenStore, groups: Iterable[Sequence[int]]) -> None:
        self._store = store
        self._members = array("q")
        self._starts = array("q", [0])
        for group in groups:
            self._members.extend(group)
            self._starts.append(len(self._members))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self._row(self.members(index))

    def _row(self, members: list[int]) -> Any:
        raise NotImplementedError

    def _task(self, member: int) -> dict[str, Any]:
        """{"task_id"} of a stored row that names its task."""
        return {} if (task := self._store.tasks[member]) < 0 else {"task_id": task}

    def members(self, index: int) -> list[int]:
        """The stored rows of which a sequence consists."""
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        return self._members[self._starts[index] : self._starts[index + 1]].tolist()

    def lengths(self) -> list[int]:
        """Tokens of each sequence."""
        return [sum(map(self._store.length, self.members(index))) for index in range(len(self))]

    def digest(self) -> str:
        """A mark of what all rows hold and of their order: another one is another training."""
        found = hashlib.sha256()
        for part in (self._store.ids, self._store.trained, self._store.starts, self._members, self._starts):
            found.update(part)
        return found.hexdigest()

    @property
    def tokens(self) -> int:
        """Tokens of all sequences."""
        return sum(map(self._store.length, self._members))

    @property
    def trained_tokens(self) -> int:
        """Tokens that the loss is taken on, in all sequences."""
        starts, trained = self._store.starts, self._store.trained
        return sum(trained.count(1, starts[member], starts[member + 1]) for member in self._members)

    @property
    def longest(self) -> int:
        """The index of the longest sequence; 0 where there is none."""
        lengths = self.lengths()
        return max(range(len(lengths)), key=lengths.__getitem__, default=0)


class TokenRows(StoredRows):
    """Sequences to be learnt: each is one stored row, or several that are packed into one (`TrainingRow`)."""

    def _row(self, members: list[int]) -> TrainingRow:
        ids: list[int] = []
        labels: list[int] = []
        lengths: list[int] = []
        for member in members:
            tokens = self._store.row(member)
            own = tokens.ids.tolist()
            ids += own
            # A packed row's first token would be predicted from its neighbour's last.
            labels += [token if trained and place else UNTRAINED
                       for place, (token, trained) in enumerate(zip(own, tokens.trained, strict=True))]  # fmt: skip
            lengths.append(len(own))
        made: Any = {"input_ids": ids, "labels": labels, "seq_lengths": lengths, **self._task(members[0])}
        row: TrainingRow = made
        return row
