"""Reward modelling: trl's RewardTrainer, fed with pairs of tokens that `ftui.data.prepare()` made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import RewardConfig, RewardTrainer

from ftui.data import Prepared
from ftui.recipe.document import Recipe
from ftui.worker.arguments import arguments, offloads
from ftui.worker.collate_pairs import PairCollator, least_width
from ftui.worker.precision import Precision
from ftui.worker.trainer import RunTrainer, settled


class RewardModelTrainer(RunTrainer, RewardTrainer):
    """trl's trainer, but the rows come as tokens."""

    def __init__(
        self, model: Any, args: RewardConfig, prepared: Prepared, tokenizer: Any, collator: PairCollator
    ) -> None:
        first = Dataset.from_list([prepared.train[0]])
        super().__init__(
            model=model, args=args, train_dataset=first, processing_class=tokenizer, data_collator=collator
        )
        self.train_dataset, self.eval_dataset = prepared.train, prepared.validation


def build(
    model: Any, recipe: Recipe, prepared: Prepared, tokenizer: Any, precision: Precision, device: str, folder: Path
) -> RewardModelTrainer:
    """The trainer for a resolved recipe; `folder` is where its checkpoints go."""
    options: Any = recipe.objective
    made = arguments(
        RewardConfig, recipe, precision, device, folder, activation_offloading=offloads(recipe, device),
        max_length=None, center_rewards_coefficient=options.center_rewards_coefficient,
    )
    collator = PairCollator(
        tokenizer.pad_token_id, multiple=8 if device == "cuda" else 1, width=least_width(recipe), masks=False
    )
    with settled(model, precision):
        return RewardModelTrainer(model, made, prepared, tokenizer, collator)
