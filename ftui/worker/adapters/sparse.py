"""Builders of adapters that train a part of the weights themselves (`ftui.methods.sparse`)."""

from __future__ import annotations

from typing import Any

from ftui.recipe.document import Recipe
from ftui.worker.adapters.targets import targeted, wrapped


def shira(model: Any, recipe: Recipe) -> Any:
    """SHiRA: scattered entries of each weight, drawn by the run's seed, which reloading needs as well."""
    from peft import ShiraConfig

    options: Any = recipe.adapter
    return wrapped(model, ShiraConfig(**targeted(recipe), r=options.rank, random_seed=recipe.train.seed))


def supertuning(model: Any, recipe: Recipe) -> Any:
    """Supertuning: the entries of each weight that matter most; their places are saved with it."""
    from peft import SupertuningConfig

    options: Any = recipe.adapter
    return wrapped(model, SupertuningConfig(**targeted(recipe), sparsity=options.sparsity))


def osf(model: Any, recipe: Recipe) -> Any:
    """OSF: each weight's weak directions train, the strong ones stay."""
    from peft import OSFConfig

    options: Any = recipe.adapter
    return wrapped(model, OSFConfig(**targeted(recipe), effective_rank=options.frozen_rank))
