"""Pairs of answers to the tensors of one micro-batch, as trl's preference trainers take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")
"""What a row carries where the reference model was asked beforehand."""


@dataclass(frozen=True)
class PairCollator:
    """All chosen answers, each after its prompt, then all rejected ones, padded on the right.

    `completion_mask` is 1 on the tokens of the answer that are the assistant's own; `tokens` counts the real tokens.
    """

    pad_id: int
    multiple: int = 1
    """Widths are rounded up to this, as tensor cores like it."""

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        sides = [(row, side) for side in ("chosen", "rejected") for row in rows]
        ids = [row["prompt_ids"] + row[f"{side}_ids"] for row, side in sides]
        masks = [[0] * len(row["prompt_ids"]) + row[f"{side}_mask"] for row, side in sides]
        beside = {name: torch.tensor([row[name] for row in rows]) for name in REFERENCE if name in rows[0]}
        return padded(ids, masks, self.pad_id, self.multiple) | beside


def padded(
    ids: Sequence[list[int]], masks: Sequence[list[int]], pad_id: int, multiple: int = 1
) -> dict[str, Any]:
    """Rows of ids and masks as tensors of one width, with the attention mask and the number of real tokens."""
    width = -(-max(map(len, ids)) // multiple) * multiple
    batch = {
        "input_ids": torch.full((len(ids), width), pad_id),
        "attention_mask": torch.zeros((len(ids), width), dtype=torch.long),
        "completion_mask": torch.zeros((len(ids), width), dtype=torch.long),
    }
    for index, (row, mask) in enumerate(zip(ids, masks, strict=True)):
        batch["input_ids"][index, : len(row)] = torch.tensor(row)
        batch["attention_mask"][index, : len(row)] = 1
        batch["completion_mask"][index, : len(row)] = torch.tensor(mask)
    return {**batch, "tokens": sum(map(len, ids))}
