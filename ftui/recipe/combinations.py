"""Combinations of settings that are wrong, or silently wrong, refused before anything loads, each with its reason.

One small function per rule, or a module per family of them; each yields what can't be and what to write instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ftui.recipe.adapter_combinations import wrong_adapter
from ftui.recipe.continual_combinations import wrong_continual
from ftui.recipe.data_combinations import wrong_data
from ftui.recipe.document import Recipe
from ftui.recipe.float8_combinations import wrong_float8
from ftui.recipe.lora_combinations import wrong_lora
from ftui.recipe.loss_combinations import wrong_loss
from ftui.recipe.online_combinations import wrong_online
from ftui.recipe.optimizer_combinations import wrong_optimizer
from ftui.recipe.preference_combinations import wrong_preference
from ftui.recipe.qat_combinations import wrong_qat
from ftui.recipe.repair_combinations import wrong_repairs
from ftui.recipe.start_combinations import wrong_start
from ftui.recipe.task_combinations import wrong_tasks
from ftui.recipe.training_combinations import wrong_training

Wrong = tuple[str, str]
"""What can't be, with the reason, and what to write."""


def wrong_combinations(recipe: Recipe) -> Iterator[Wrong]:
    """Everything in `recipe` that can't stand together."""
    for rule in RULES:
        yield from rule(recipe)


RULES: tuple[Callable[[Recipe], Iterator[Wrong]], ...] = (
    wrong_lora, wrong_adapter, wrong_online, wrong_optimizer, wrong_preference, wrong_loss, wrong_start,
    wrong_data, wrong_continual, wrong_training, wrong_qat, wrong_float8, wrong_repairs, wrong_tasks,
)
