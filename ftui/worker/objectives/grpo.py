"""Group relative policy optimization: trl's GRPOTrainer on prompts that `ftui.data.prepare()` made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from trl import GRPOConfig, GRPOTrainer

from ftui.data import Prepared
from ftui.recipe.document import Recipe
from ftui.worker.online import OnlineTrainer, build_online
from ftui.worker.precision import Precision


class GrpoTrainer(OnlineTrainer, GRPOTrainer):
    """trl's trainer on ftui's prompts and rewards."""

    def trial(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """With log-probabilities of the reference where there is one."""
        logps = torch.zeros_like(batch["completion_ids"], dtype=torch.float32)
        beside = {"ref_per_token_logps": logps} if self.beta else {}
        return {
            **batch, **beside, "advantages": torch.ones_like(logps[:, 0]),
            "num_items_in_batch": batch["completion_mask"].sum(),
        }


def build(
    model: Any, recipe: Recipe, prepared: Prepared, tokenizer: Any, precision: Precision, device: str, folder: Path
) -> GrpoTrainer:
    """The trainer for a resolved recipe; `folder` is where its checkpoints go."""
    options: Any = recipe.objective
    made: GrpoTrainer = build_online(
        GrpoTrainer, GRPOConfig, model, recipe, prepared, tokenizer, precision, device, folder,
        num_generations=options.generations, beta=options.beta, loss_type=options.loss_type, epsilon=options.epsilon,
        scale_rewards=options.scale_rewards, num_iterations=options.iterations,
        steps_per_generation=options.steps_per_generation, mask_truncated_completions=options.mask_truncated,
    )
    return made
