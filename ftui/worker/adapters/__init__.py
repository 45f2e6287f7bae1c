"""Builders of adapters, one for each row of `ftui.methods.ADAPTERS` that trains: what of a loaded base model trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ftui.recipe.document import Recipe
from ftui.worker.adapters.lora import lora

Builder = Callable[[Any, Recipe], Any]
"""(loaded base model, resolved recipe) -> the model to train."""


def none(model: Any, recipe: Recipe) -> Any:
    """`model` as it is: every weight trains."""
    return model.requires_grad_(True)


BUILDERS: dict[str, Builder] = {"lora": lora, "none": none}
