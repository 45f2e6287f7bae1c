"""Labelled rows in the order that KTO trains them in, each with an answer that was given to another prompt.

KTO estimates how far the model has moved from its reference on answers that don't belong to their prompts
(https://arxiv.org/abs/2402.01306 §4.1).  As in trl, an answer moves on to the next prompt of its micro-batch, the last
one's to the first; unlike there, the rows are shuffled before, so that the two answers of a pair seldom stand together,
and a single row at the end borrows from the one before it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any


class Mismatched(Sequence[dict[str, Any]]):
    """`rows` in an order drawn by `seed`, in blocks of `block` rows.

    {"KL_completion_ids", "KL_completion_mask"} come on top, unless `strangers` is False.
    """

    def __init__(self, rows: Any, block: int, seed: int, *, strangers: bool) -> None:
        self._rows = rows
        self._order = random.Random(seed).sample(range(len(rows)), len(rows))
        self._block, self._strangers = max(2, block), strangers

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: Any) -> Any:
        row: dict[str, Any] = self._rows[self._order[index]]
        if not self._strangers:
            return row
        other = self._rows[self._order[self.partner(index)]]
        names = ("completion_ids", "completion_mask")
        return {**row, **{f"KL_{name}": other[name] for name in names}}

    def partner(self, index: int) -> int:
        """The place of the row whose answer the one at `index` is given; its own only where there is no other."""
        begin = index - index % self._block
        last = min(begin + self._block, len(self)) - 1
        if index > begin:
            return index - 1
        return last if last > begin else max(0, begin - 1)

    def lengths(self) -> list[int]:
        """Tokens of each row with its own answer."""
        lengths = self._rows.lengths()
        return [lengths[index] for index in self._order]
