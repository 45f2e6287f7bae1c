"""What can't train on from a finished adapter (`adapter.start_from`), and why."""

from __future__ import annotations

from collections.abc import Iterator

from ftui.methods import ADAPTERS, LoraOptions
from ftui.recipe.document import Recipe

Wrong = tuple[str, str]
"""What can't be, with the reason, and what to write."""

REFERENCED = ("dpo", "kto", "grpo", "rloo", "online_dpo", "ppo")
"""Objectives that hold the model against what it was: those with a beta, where it isn't 0."""
TRAINING = ("kind", "start_from", "dropout", "dtype", "update", "plus_ratio", "start_rows", "eva_rho", "corda_method")
"""Settings of an adapter that say how it is trained; all others are what it is."""


def wrong_start(recipe: Recipe) -> Iterator[Wrong]:
    """Everything in `recipe` beside which its adapter can't go on from a finished one."""
    options = recipe.adapter
    if getattr(options, "start_from", None) is None:
        return
    row = ADAPTERS[options.kind]
    if row.saved == "model":
        yield (f"{row.title} leaves a whole model and no adapter that adapter.start_from could name.",
               "Write the model's folder as model.base.")
    elif options.kind == "xlora":
        yield ("X-LoRA learns a gate anew over the finished adapters that adapter.adapters names.",
               "Leave out adapter.start_from.")
    elif isinstance(options, LoraOptions) and options.init != "default":
        yield (f"adapter.start_from says where the matrices begin, and adapter.init {options.init} says otherwise.",
               "Write adapter.init: default.")
    objective = recipe.objective
    referenced = objective.kind in REFERENCED and bool(getattr(objective, "beta", True))
    if row.saved == "adapter" and not isinstance(options, LoraOptions) and referenced:
        yield (f"{objective.kind} holds the model against what it began as, of which ftui keeps a copy for LoRA only; "
               f"with {row.title} it would be held against the bare base.",
               "Merge the adapter and write the result as model.base, or start from a LoRA.")
