"""What an objective's collator would hand to a step, on fake tensors, and the rows that its trainer is made with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ftui.documents import RowForm
from ftui.errors import BadInput
from ftui.methods import OBJECTIVES
from ftui.recipe.document import Recipe

FIRST: dict[RowForm, dict[str, Any]] = {
    "sequence": {"input_ids": [0, 1], "labels": [0, 1], "seq_lengths": [2]},
    "pair": {"prompt_ids": [0], "chosen_ids": [1], "rejected_ids": [1], "chosen_mask": [1], "rejected_mask": [1]},
    "labelled": {"prompt_ids": [0], "completion_ids": [1], "completion_mask": [1], "label": True},
}
"""The one row that a trainer of each form looks at while it is made."""


@dataclass(frozen=True)
class Rows:
    """Stands in for prepared data: rows that are never read beyond the first."""

    packed: bool
    train: tuple[dict[str, Any], ...]
    validation: tuple[dict[str, Any], ...] = ()
    pictured: bool = False


def rows_of(recipe: Recipe) -> Rows:
    """The rows for the trainer of `recipe`; BadInput where its objective's step can't be traced."""
    row = OBJECTIVES[recipe.objective.kind]
    if row.form not in FIRST:
        raise BadInput(
            f"{row.title} can't be traced: its micro-batches are made while it trains, or by a trainer that the trace "
            "doesn't know yet.", "Take the closed form: ftui plan without --trace.",
        )
    return Rows(packed=bool(recipe.data.packing), train=(FIRST[row.form],))


def micro_batch(recipe: Recipe, rows: int, length: int, *, packed: bool) -> dict[str, Any]:
    """The micro-batch of `rows` rows, each `length` tokens wide; ftui's own trainers also count the tokens."""
    kind, ours = recipe.objective.kind, recipe.train.trainer == "ftui"
    match kind if ours else "sft":
        case "dpo":
            reference = getattr(recipe.objective, "precompute_reference", False)
            batch = _ids(2 * rows, length, "input_ids", "attention_mask", "completion_mask")
            if reference:
                batch |= {f"ref_{side}_logps": torch.empty(rows) for side in ("chosen", "rejected")}
            tokens = 2 * rows * length
        case "reward":
            batch, tokens = _ids(2 * rows, length, "input_ids", "attention_mask"), 2 * rows * length
        case "orpo" | "cpo":
            sides = (f"{side}_{name}" for side in ("chosen", "rejected")
                     for name in ("input_ids", "attention_mask", "labels"))  # fmt: skip
            batch, tokens = _ids(rows, length, *sides), 2 * rows * length
        case "kto":
            batch, tokens = _labelled(recipe, rows, length), rows * length
        case _:
            last = "position_ids" if packed else "attention_mask"
            batch, tokens = _ids(rows, length, "input_ids", "labels", last), rows * length
    return batch | ({"tokens": tokens} if ours else {})


def _labelled(recipe: Recipe, rows: int, length: int) -> dict[str, Any]:
    """KTO's: the answers, those that other prompts were given where the loss asks for them, and the verdicts."""
    options: Any = recipe.objective
    names = ("input_ids", "attention_mask", "completion_mask")
    strangers = options.loss_type == "kto"
    batch = _ids(rows, length, *names, *(f"KL_{name}" for name in names if strangers))
    if options.precompute_reference:
        batch |= {name: torch.empty(rows) for name in ("ref_logps", *(["ref_KL_logps"] if strangers else []))}
    return batch | {"label": torch.empty(rows, dtype=torch.bool)}


def _ids(rows: int, length: int, *names: str) -> dict[str, Any]:
    return {name: torch.empty(rows, length, dtype=torch.long) for name in names}
