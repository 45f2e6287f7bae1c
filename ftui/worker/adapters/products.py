"""Builders of LyCORIS's products (`ftui.methods.products`)."""

from __future__ import annotations

from typing import Any

from ftui.recipe.document import Recipe
from ftui.worker.adapters.targets import targeted, wrapped


def loha(model: Any, recipe: Recipe) -> Any:
    """LoHa: the Hadamard product of two thin products, which begins at zero."""
    from peft import LoHaConfig

    options: Any = recipe.adapter
    return wrapped(model, LoHaConfig(**targeted(recipe), r=options.rank, alpha=options.rank))


def lokr(model: Any, recipe: Recipe) -> Any:
    """LoKr: a Kronecker product, whose factors are thin products where that is smaller."""
    from peft import LoKrConfig

    options: Any = recipe.adapter
    return wrapped(
        model,
        LoKrConfig(
            **targeted(recipe), r=options.rank, alpha=options.rank, decompose_both=options.decompose_both,
            decompose_factor=options.factor,
        ),
    )
