"""How well a classifier sorts: accuracy, macro F1, and for each label how many rows it has, gets and gets right.

Macro F1 is the mean of the labels' F1, each of them weighing the same however rare it is; a label that no row has and
none gets is left out.  For texts with several labels accuracy is the share of rows of which all labels are right.
"""

from __future__ import annotations

from typing import Any

import torch

CLASSES = "classes.json"
"""Beside a checkpoint and the result: the figures by label."""
THRESHOLD = 0.5
"""The probability from which on a label is given, where a text may have several."""


class Tally:
    """Counts by label over the batches of an evaluation."""

    def __init__(self, labels: int) -> None:
        self.rows = self.given = self.right = torch.zeros(labels, dtype=torch.long)
        self.seen = self.exact = 0

    def add(self, scores: torch.Tensor, wanted: torch.Tensor) -> None:
        """Take in a batch: (rows, labels) of scores, and the labels as numbers or as (rows, labels) of 0 and 1."""
        given, truth = chosen(scores, multi=wanted.dim() == 2).cpu(), wanted.cpu()
        if truth.dim() == 1:
            truth = torch.nn.functional.one_hot(truth, scores.shape[-1])
        truth = truth.bool()
        self.rows = self.rows + truth.sum(0)
        self.given = self.given + given.sum(0)
        self.right = self.right + (truth & given).sum(0)
        self.exact += int((truth == given).all(-1).sum())
        self.seen += len(truth)

    def values(self) -> dict[str, float]:
        """{"accuracy", "f1"}."""
        known = [f1 for f1 in self._f1() if f1 is not None]
        return {"accuracy": self.exact / max(1, self.seen), "f1": sum(known) / max(1, len(known))}

    def table(self, labels: tuple[str, ...]) -> list[dict[str, Any]]:
        """For each label {"label", "rows", "given", "right", "f1"}; f1 is None where nothing is known of it."""
        return [
            {"label": label, "rows": int(rows), "given": int(given), "right": int(right), "f1": f1}
            for label, rows, given, right, f1 in zip(
                labels, self.rows, self.given, self.right, self._f1(), strict=True
            )
        ]

    def _f1(self) -> list[float | None]:
        """2 · right / (rows + given): the harmonic mean of precision and recall."""
        sums = (self.rows + self.given).tolist()
        return [2 * right / both if both else None for right, both in zip(self.right.tolist(), sums, strict=True)]


def chosen(scores: torch.Tensor, *, multi: bool) -> torch.Tensor:
    """(rows, labels) of True where a label is given: the likeliest, or all above the threshold."""
    if multi:
        return scores.sigmoid() > THRESHOLD
    return torch.nn.functional.one_hot(scores.argmax(-1), scores.shape[-1]).bool()
