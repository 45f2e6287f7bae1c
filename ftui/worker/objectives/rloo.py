"""REINFORCE leave-one-out: trl's RLOOTrainer on prompts that `ftui.data.prepare()` made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from trl import RLOOConfig, RLOOTrainer

from ftui.data import Prepared
from ftui.recipe.document import Recipe
from ftui.worker.online import OnlineTrainer, build_online
from ftui.worker.precision import Precision


class RlooTrainer(OnlineTrainer, RLOOTrainer):
    """trl's trainer on ftui's prompts and rewards."""

    def trial(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """With advantages and log-probabilities that change nothing."""
        nothing = torch.zeros(len(batch["completion_ids"]), device=batch["completion_ids"].device)
        return {**batch, "advantages": nothing, "old_logps": nothing}


def build(
    model: Any, recipe: Recipe, prepared: Prepared, tokenizer: Any, precision: Precision, device: str, folder: Path
) -> RlooTrainer:
    """The trainer for a resolved recipe; `folder` is where its checkpoints go."""
    options: Any = recipe.objective
    made: RlooTrainer = build_online(
        RlooTrainer, RLOOConfig, model, recipe, prepared, tokenizer, precision, device, folder,
        num_generations=options.generations, beta=options.beta, epsilon=options.epsilon,
        num_iterations=options.iterations, steps_per_generation=options.steps_per_generation,
        mask_truncated_completions=options.mask_truncated,
    )
    return made
