"""Answers to the tensors of one micro-batch, as trl's preference trainers take them.  All are padded on the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ftui.data.token_rows import UNTRAINED
from ftui.recipe.document import Recipe

SIDES = ("chosen", "rejected")
REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")
"""What a pair carries where the reference model was asked beforehand."""
REFERENCE_LABELLED = ("ref_logps", "ref_KL_logps")
"""The same for a labelled answer, and for the one that another prompt was given (`ftui.worker.mismatched`)."""


@dataclass(frozen=True)
class PairCollator:
    """All chosen answers, each after its prompt, then all rejected ones.

    `completion_mask` is 1 on the tokens of the answer that are the assistant's own; `tokens` counts the real tokens.
    """

    pad_id: int
    multiple: int = 1
    """Widths are rounded up to this, as tensor cores like it."""
    width: int = 0
    """The least width of a micro-batch, whatever its rows."""
    masks: bool = True
    """A reward model scores the whole text and has no use for the mask."""

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        found = [_answer(row, side) for side in SIDES for row in rows]
        batch = padded([ids for ids, _ in found], [mask for _, mask in found], self.pad_id, self.multiple, self.width)
        if not self.masks:
            batch.pop("completion_mask")
        return batch | _beside(rows, (*REFERENCE, "margin"))


@dataclass(frozen=True)
class SidesCollator:
    """Chosen and rejected answers apart, with labels in place of masks: trl's experimental trainers join them."""

    pad_id: int
    multiple: int = 1
    width: int = 0

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {"tokens": 0}
        for side in SIDES:
            answers = [_answer(row, side) for row in rows]
            ids, masks = [ids for ids, _ in answers], [mask for _, mask in answers]
            batch = padded(ids, masks, self.pad_id, self.multiple, self.width)
            found["tokens"] += batch.pop("tokens")
            batch["labels"] = batch["input_ids"].masked_fill(batch.pop("completion_mask") == 0, UNTRAINED)
            found |= {f"{side}_{name}": values for name, values in batch.items()}
        return found


@dataclass(frozen=True)
class LabelledCollator:
    """Single answers with their verdicts, and beside each the answer to another prompt where the rows bring one.

    `max_length` cuts the latter: a long prompt may meet a long answer.
    """

    pad_id: int
    max_length: int
    multiple: int = 1
    width: int = 0

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        batch = self._texts(rows, "completion")
        if "KL_completion_ids" in rows[0]:
            strangers = self._texts(rows, "KL_completion")
            strangers.pop("tokens")
            batch |= {f"KL_{name}": values for name, values in strangers.items()}
        return {**batch, **_beside(rows, REFERENCE_LABELLED), "label": torch.tensor([row["label"] for row in rows])}

    def _texts(self, rows: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
        cut = slice(self.max_length)
        ids = [(row["prompt_ids"] + row[f"{name}_ids"])[cut] for row in rows]
        masks = [([0] * len(row["prompt_ids"]) + row[f"{name}_mask"])[cut] for row in rows]
        return padded(ids, masks, self.pad_id, self.multiple, self.width)


def least_width(recipe: Recipe) -> int:
    """The width that a recipe asks every micro-batch to have; 0 where its rows decide."""
    return int(recipe.data.max_length) if recipe.data.padding == "max_length" else 0


def padded(
    ids: Sequence[list[int]], masks: Sequence[list[int]], pad_id: int, multiple: int = 1, width: int = 0
) -> dict[str, Any]:
    """Rows of ids and masks as tensors of one width, with the attention mask and the number of real tokens."""
    width = -(-max(width, *map(len, ids)) // multiple) * multiple
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


def _answer(row: dict[str, Any], side: str) -> tuple[list[int], list[int]]:
    """Prompt and answer as ids, and which of them are the assistant's own."""
    return row["prompt_ids"] + row[f"{side}_ids"], [0] * len(row["prompt_ids"]) + row[f"{side}_mask"]


def _beside(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor([row[name] for row in rows]) for name in names if name in rows[0]}
