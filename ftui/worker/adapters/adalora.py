"""AdaLoRA's builder and its budget (https://arxiv.org/abs/2303.10512): rank moves between modules as it trains.

peft leaves two things to the training loop that a loop easily gets wrong: the budget has to be stepped between the
backward pass and the clearing of the gradients, and the penalty that keeps the directions orthogonal is added to
whatever loss the model returns, also to a sum over tokens and while evaluating.
"""

from __future__ import annotations

import types
from typing import Any

import torch
from transformers import TrainerCallback

from ftui.recipe.document import Recipe
from ftui.worker.adapters.targets import targeted, wrapped

STARTS, SETTLES = 0.1, 0.3
"""Shares of the steps before the first rank is taken away, and after the last one was."""


def adalora(model: Any, recipe: Recipe) -> Any:
    """`model` with AdaLoRA; `callbacks` has what steps its budget."""
    from peft import AdaLoraConfig

    options: Any = recipe.adapter
    config = AdaLoraConfig(
        **targeted(recipe), init_r=options.rank, target_r=options.final_rank, total_step=recipe.train.max_steps or 1
    )
    adapted = wrapped(model, config)
    for name, parameter in adapted.named_parameters():
        if "ranknum" in name:
            # On a 16-bit base peft would train these counts.
            parameter.requires_grad_(False)
    tuner = adapted.base_model
    tuner.forward = types.MethodType(_forward, tuner)
    return adapted


def _forward(tuner: Any, *args: Any, **kwargs: Any) -> Any:
    """The model's output; while training its loss has the penalty, per token where it is a sum over tokens."""
    output = tuner.model.forward(*args, **kwargs)
    if tuner.training and getattr(output, "loss", None) is not None:
        weight = tuner.peft_config[tuner.trainable_adapter_name].orth_reg_weight
        tokens = getattr(output, "count", None)
        output.loss = output.loss + weight * orthogonality(tuner) * (1 if tokens is None else tokens)
    return output


def orthogonality(tuner: Any) -> torch.Tensor:
    """How far the directions of all modules are from orthogonal: the mean Frobenius norm of P Pᵀ - I, as in peft."""
    distances = []
    for name, matrix in tuner.model.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            square = matrix @ matrix.T if "lora_A" in name else matrix.T @ matrix
            distances.append(torch.linalg.norm(square - torch.eye(len(square), device=square.device)))
    return torch.stack(distances).mean()


class Budget(TrainerCallback):
    """Steps the budget of ranks: the first tenth of the steps all train, the last three tenths the final ones.

    What is taken away is zeroed and stays in the file, so that any checkpoint fits any other.
    """

    def __init__(self, model: Any) -> None:
        tuner = model.base_model
        self.model, self.allocator = tuner.model, tuner.rankallocator
        self.config = tuner.peft_config[tuner.trainable_adapter_name]
        self.kept: dict[str, list[bool]] = {}
        """Which ranks of each module stay, once that is settled."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        total = state.max_steps
        self.config.total_step = total
        self.config.tinit, self.config.tfinal = int(STARTS * total), int(SETTLES * total)
        self.config.deltaT = max(1, total // 200)
        if state.global_step >= total - self.config.tfinal:
            # A resumed run has had its last allocation: what is zero was taken away.
            self.kept = {
                name: (values != 0).flatten().tolist()
                for name, values in self.model.named_parameters() if "lora_E" in name
            }

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.config.target_r >= self.config.init_r:
            return
        step, last = state.global_step + 1, self.config.total_step - self.config.tfinal
        if step < last:
            self.allocator.update_and_allocate(self.model, step)
        elif step == last:
            # The last gradients count, too; peft's own method skips them here.
            self.allocator.update_ipt(self.model)
            self.kept = self.allocator.mask_to_budget(self.model, self.allocator.target_bgt)
            self.allocator.reset_ipt()
        else:
            self.allocator.mask_using_rank_pattern(self.model, self.kept)
