"""Builders of rotations and reflections (`ftui.methods.rotations`)."""

from __future__ import annotations

from typing import Any

from ftui.recipe.document import Recipe
from ftui.worker.adapters.targets import targeted, wrapped


def oft(model: Any, recipe: Recipe) -> Any:
    """OFT: block-diagonal rotations of each input."""
    from peft import OFTConfig

    options: Any = recipe.adapter
    return wrapped(
        model, OFTConfig(**targeted(recipe), oft_block_size=options.block_size, block_share=options.block_share)
    )


def boft(model: Any, recipe: Recipe) -> Any:
    """BOFT with one butterfly factor."""
    from peft import BOFTConfig

    options: Any = recipe.adapter
    return wrapped(model, BOFTConfig(**targeted(recipe), boft_block_size=options.block_size))


def hra(model: Any, recipe: Recipe) -> Any:
    """HRA: a chain of `rank` Householder reflections."""
    from peft import HRAConfig

    options: Any = recipe.adapter
    return wrapped(model, HRAConfig(**targeted(recipe), r=options.rank, apply_GS=options.gram_schmidt))


def road(model: Any, recipe: Recipe) -> Any:
    """RoAd: pairs of outputs are turned and scaled."""
    from peft import RoadConfig

    options: Any = recipe.adapter
    return wrapped(model, RoadConfig(**targeted(recipe), variant=options.variant, group_size=options.group_size))


def psoft(model: Any, recipe: Recipe) -> Any:
    """PSOFT: a rotation within each weight's principal subspace."""
    from peft import PsoftConfig

    options: Any = recipe.adapter
    return wrapped(model, PsoftConfig(**targeted(recipe), r=options.rank))
