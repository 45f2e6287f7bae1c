"""What an optimizer can't train, refused before anything loads."""

from __future__ import annotations

from collections.abc import Iterator

from ftui.methods import ADAPTERS
from ftui.recipe.document import Recipe


def wrong_optimizer(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """GaLore with what has no wide matrices, or with numbers that it can't keep."""
    if recipe.train.optimizer != "galore":
        return
    if recipe.adapter.kind not in ("none", "freeze"):
        yield (
            "train.optimizer: galore projects the gradients of whole weights, and with adapter.kind "
            f"{recipe.adapter.kind} ({ADAPTERS[recipe.adapter.kind].title}) none of those trains.",
            "Write adapter: {kind: none} or {kind: freeze}, or train.optimizer: adamw.",
        )
    if recipe.compute.strategy in ("zero1", "zero2", "zero3", "fsdp"):
        yield (
            f"train.optimizer: galore needs each gradient whole, and compute.strategy {recipe.compute.strategy} "
            "divides them.", "Write compute.strategy: single, or train.optimizer: adamw.",
        )
