"""A base whose vocabulary was extended: its new tokens' rows must be trained, for they are but means of others."""

from __future__ import annotations

from ftui.methods import ADAPTERS, LoraOptions
from ftui.models.extended import added_tokens
from ftui.recipe import assign
from ftui.recipe.document import Recipe


def with_added_tokens(recipe: Recipe) -> Recipe:
    """`recipe` with LoRA's `tokens` those that its base was given, where it names none itself."""
    adapter = recipe.adapter
    if not isinstance(adapter, LoraOptions) or adapter.tokens or adapter.start_from or adapter.modules_to_save:
        return recipe
    added = added_tokens(recipe.model.base)
    return assign(recipe, {"adapter.tokens": list(added)}) if added else recipe


def untrained_tokens(recipe: Recipe) -> tuple[str, str] | None:
    """Why the base's added tokens would stay as they were made, and what to do; None where they train."""
    row = ADAPTERS[recipe.adapter.kind]
    added = added_tokens(recipe.model.base)
    if not added or row.saved == "model" or isinstance(recipe.adapter, LoraOptions):
        return None
    if recipe.adapter.kind == "trainable_tokens":
        return None
    return (
        f"{row.title} doesn't train the tokens that were added to {recipe.model.base} ({', '.join(added)}), which "
        "begin as means of others.", "Take LoRA or full tuning: --set adapter.kind=lora",
    )
