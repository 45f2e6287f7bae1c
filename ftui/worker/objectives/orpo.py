"""Odds-ratio preference optimization: trl's experimental ORPOTrainer, fed with tokens of `ftui.data.prepare()`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trl.experimental.orpo import ORPOConfig, ORPOTrainer

from ftui.data import Prepared
from ftui.recipe.document import Recipe
from ftui.worker.arguments import arguments
from ftui.worker.collate_pairs import SidesCollator, least_width
from ftui.worker.experimental import ExperimentalTrainer
from ftui.worker.precision import Precision
from ftui.worker.trainer import settled


class OrpoTrainer(ExperimentalTrainer, ORPOTrainer):
    """trl's trainer, but the rows come as tokens."""


def build(
    model: Any, recipe: Recipe, prepared: Prepared, tokenizer: Any, precision: Precision, device: str, folder: Path
) -> OrpoTrainer:
    """The trainer for a resolved recipe; `folder` is where its checkpoints go."""
    options: Any = recipe.objective
    made = arguments(
        ORPOConfig, recipe, precision, device, folder, max_length=int(recipe.data.max_length), beta=options.beta
    )
    collator = SidesCollator(
        tokenizer.pad_token_id, multiple=8 if device == "cuda" else 1, width=least_width(recipe)
    )
    with settled(model, precision):
        return OrpoTrainer(model, made, prepared, tokenizer, collator)
