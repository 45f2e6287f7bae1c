"""Builders of LoRA's relatives (`ftui.methods.lowrank`)."""

from __future__ import annotations

from typing import Any

from ftui.recipe.document import Recipe
from ftui.worker.adapters.targets import linear_names, targeted, wrapped


def delora(model: Any, recipe: Recipe) -> Any:
    """DeLoRA: `rank` directions and one bound on the update's length per module."""
    from peft import DeloraConfig

    options: Any = recipe.adapter
    return wrapped(model, DeloraConfig(**targeted(recipe), r=options.rank))


def hira(model: Any, recipe: Recipe) -> Any:
    """HiRA: a thin product that multiplies the weight element by element."""
    from peft import HiraConfig

    options: Any = recipe.adapter
    return wrapped(model, HiraConfig(**targeted(recipe), r=options.rank))


def gralora(model: Any, recipe: Recipe) -> Any:
    """GraLoRA: a LoRA for each block of each weight."""
    from peft import GraloraConfig

    options: Any = recipe.adapter
    return wrapped(model, GraloraConfig(**targeted(recipe), r=options.rank, gralora_k=options.blocks))


def lily(model: Any, recipe: Recipe) -> Any:
    """Lily: matrices that layers share, mixed by a router of each module."""
    from peft import LilyConfig

    options: Any = recipe.adapter
    given = targeted(recipe)
    if given["target_modules"] == "all-linear":
        # Modules of one name share; for few modules peft would write out whole paths, and nothing would be shared.
        given["target_modules"] = linear_names(model)
    return wrapped(model, LilyConfig(**given, r=options.rank, stride_A=options.stride, num_B=options.shared))


def miss(model: Any, recipe: Recipe) -> Any:
    """MiSS: one matrix per module, in one of three variants."""
    from peft import MissConfig

    options: Any = recipe.adapter
    # peft names the variant by how the weights begin.
    variant = True if options.variant == "standard" else options.variant
    return wrapped(
        model, MissConfig(**targeted(recipe), r=options.rank, mini_r=options.mini_rank, init_weights=variant)
    )


def glora(model: Any, recipe: Recipe) -> Any:
    """GLoRA: thin maps on each weight and beside it."""
    from peft import GloraConfig

    options: Any = recipe.adapter
    return wrapped(model, GloraConfig(**targeted(recipe), r=options.rank))


def deft(model: Any, recipe: Recipe) -> Any:
    """DEFT: a trained subspace of each output is replaced, or with `para` taken away."""
    from peft import DeftConfig

    options: Any = recipe.adapter
    return wrapped(model, DeftConfig(**targeted(recipe), r=options.rank, para=options.para))


def peanut(model: Any, recipe: Recipe) -> Any:
    """PEANuT: a small network makes each update from the weight."""
    from peft import PeanutConfig

    options: Any = recipe.adapter
    return wrapped(model, PeanutConfig(**targeted(recipe), r=options.rank, depth=options.depth))
