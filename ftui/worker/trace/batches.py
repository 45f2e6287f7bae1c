"""What an objective's collator would hand to a step, on fake tensors, and the rows that its trainer is made with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ftui.documents import RowForm
from ftui.methods import OBJECTIVES
from ftui.recipe.document import Recipe

FIRST: dict[RowForm, dict[str, Any]] = {
    "sequence": {"input_ids": [0, 1], "labels": [0, 1], "seq_lengths": [2]},
    "pair": {"prompt_ids": [0], "chosen_ids": [1], "rejected_ids": [1], "chosen_mask": [1], "rejected_mask": [1]},
    "labelled": {"prompt_ids": [0], "completion_ids": [1], "completion_mask": [1], "label": True},
    "class": {"input_ids": [0, 1], "label": 0},
    "answered": {"prompt_ids": [0], "prompt": "-", "completion_ids": [1], "completion_mask": [1]},
    "prompt": {"prompt_ids": [0], "prompt": "-"},
}
"""The one row that a trainer of each form looks at while it is made."""
ANSWERED: tuple[RowForm, ...] = ("prompt", "answered")
"""Forms of rows from which the trainer makes a micro-batch of prompts and answers."""
ONLINE = ("grpo", "rloo", "online_dpo", "ppo")
"""Objectives whose trainer makes a micro-batch of prompts and answers itself (`ftui.worker.online`)."""


class First(tuple[dict[str, Any], ...]):
    """A single row that answers what a trainer asks of all of them."""

    labels = 2

    def label_counts(self) -> list[int]:
        """Every label as often as any other."""
        return [1] * self.labels

    def unanswered(self) -> int:
        """Each has an answer."""
        return 0


@dataclass(frozen=True)
class Rows:
    """Stands in for prepared data: rows that are never read beyond the first."""

    packed: bool
    train: tuple[dict[str, Any], ...]
    validation: tuple[dict[str, Any], ...] = ()
    pictured: bool = False
    labels: tuple[str, ...] = ()
    multi_label: bool = False
    stop_ids: tuple[int, ...] = ()


def rows_of(recipe: Recipe, labels: int = 2) -> Rows:
    """The rows for the trainer of `recipe`; a classifier tells `labels` apart."""
    first = First((FIRST[OBJECTIVES[recipe.objective.kind].form],))
    first.labels = labels
    return Rows(
        packed=bool(recipe.data.packing), train=first, labels=tuple(map(str, range(labels))),
        validation=first[:0],
    )


def answer_tokens(recipe: Recipe) -> int:
    """Tokens of the answers that the objective has written, beyond data.max_length; 0 where it has none written."""
    writes = OBJECTIVES[recipe.objective.kind].form in ANSWERED and getattr(recipe.objective, "on_policy", 1.0) > 0
    return int(getattr(recipe.objective, "max_completion_length", 0)) if writes else 0


def micro_batch(recipe: Recipe, trainer: Any, rows: int, length: int, *, packed: bool) -> dict[str, Any]:
    """The micro-batch of `rows` rows, each `length` tokens wide; ftui's own trainers also count the tokens.

    Where the trainer writes answers, these are part of the length, and the batch is as if they were written.
    """
    kind, ours = recipe.objective.kind, recipe.train.trainer == "ftui"
    if ours and OBJECTIVES[kind].form in ANSWERED:
        # Of answers that are the data's a plan knows no length: all that is read is taken to be one.
        return _answered(recipe, trainer, rows, length, answer_tokens(recipe) or length - 1)
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
        case "classify":
            batch, tokens = _ids(rows, length, "input_ids", "attention_mask"), rows * length
            batch["wanted"] = torch.empty(rows, dtype=torch.long)
        case _:
            last = "position_ids" if packed else "attention_mask"
            batch, tokens = _ids(rows, length, "input_ids", "labels", last), rows * length
    return batch | ({"tokens": tokens} if ours else {})


def _answered(recipe: Recipe, trainer: Any, rows: int, length: int, answer: int) -> dict[str, Any]:
    """Prompts with answers, and beside them what the objective's loss reads."""
    batch = {f"{part}_{name}": torch.empty(rows, width, dtype=torch.long) for name in ("ids", "mask")
             for part, width in (("prompt", length - answer), ("completion", answer))}  # fmt: skip
    if recipe.objective.kind in ONLINE:
        made: dict[str, Any] = trainer.trial(batch)
        return made
    marks = _ids(rows, answer, "scored", "hard")
    if getattr(recipe.objective, "on_policy", 1.0) == 1:
        # No answer is the data's, so none has hard labels.
        trainer.hard_labels = 0.0
    return {**batch, **marks, "num_items_in_batch": torch.tensor(rows * answer)}


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
