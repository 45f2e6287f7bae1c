"""Builders of adapters around frozen random matrices or shared vectors (`ftui.methods.shared`)."""

from __future__ import annotations

from typing import Any

from ftui.recipe.document import Recipe
from ftui.worker.adapters.targets import targeted, wrapped


def vera(model: Any, recipe: Recipe) -> Any:
    """VeRA: two vectors per module around random matrices that all share; these are saved with it."""
    from peft import VeraConfig

    options: Any = recipe.adapter
    return wrapped(model, VeraConfig(**targeted(recipe), r=options.rank))


def pvera(model: Any, recipe: Recipe) -> Any:
    """PVeRA: VeRA with a middle that is sampled while training."""
    from peft import PveraConfig

    options: Any = recipe.adapter
    return wrapped(model, PveraConfig(**targeted(recipe), r=options.rank))


def randlora(model: Any, recipe: Recipe) -> Any:
    """RandLoRA: shared random products, weighted into an update of full rank."""
    from peft import RandLoraConfig

    options: Any = recipe.adapter
    return wrapped(model, RandLoraConfig(**targeted(recipe), r=options.rank))


def vblora(model: Any, recipe: Recipe) -> Any:
    """VB-LoRA: LoRA's matrices from a shared bank of vectors."""
    from peft import VBLoRAConfig

    options: Any = recipe.adapter
    return wrapped(
        model,
        VBLoRAConfig(
            **targeted(recipe), r=options.rank, num_vectors=options.vectors, vector_length=options.vector_length
        ),
    )


def unilora(model: Any, recipe: Recipe) -> Any:
    """Uni-LoRA: LoRA's matrices from the entries of one vector."""
    from peft import UniLoraConfig

    options: Any = recipe.adapter
    return wrapped(model, UniLoraConfig(**targeted(recipe), r=options.rank, theta_d_length=options.length))


def tinylora(model: Any, recipe: Recipe) -> Any:
    """TinyLoRA: a few numbers weigh each weight's principal directions."""
    from peft import TinyLoraConfig

    options: Any = recipe.adapter
    return wrapped(
        model,
        TinyLoraConfig(**targeted(recipe), r=options.rank, u=options.length, weight_tying=options.tying),
    )


def frod(model: Any, recipe: Recipe) -> Any:
    """FRoD: sparse entries in a basis that each kind of module shares; finding the basis takes a while."""
    from peft import FrodConfig

    options: Any = recipe.adapter
    return wrapped(model, FrodConfig(**targeted(recipe), sparse_rate=options.sparse_rate, progressbar=False))
