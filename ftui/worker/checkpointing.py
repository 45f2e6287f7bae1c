"""Gradient checkpointing of the first layers only (`train.checkpoint_layers`).

transformers puts a flag on each layer when checkpointing is switched on, and its trainer, trl's and peft switch it on
and off again around generation and reference passes.  So what sets the flags is changed, and not the flags once.

The first layers and not every other one: going backward, a checkpointed layer is computed again when all layers that
kept their activations have let go of them already (`--recompute-method block` of Megatron-LM does the same).
"""

from __future__ import annotations

import functools
from typing import Any

from ftui.errors import BadInput
from ftui.recipe.document import Recipe


def checkpoint_first(model: Any, recipe: Recipe) -> None:
    """Whoever switches gradient checkpointing on from now on does so for as many layers as `recipe` says.

    Raises BadInput for a model whose layers have no such flag.
    """
    wanted = recipe.train.checkpoint_layers
    if wanted is None or not recipe.train.checkpointing:
        return
    base = model.get_base_model() if hasattr(model, "peft_config") else model
    layers = _layers(base)
    if not layers:
        raise BadInput("The base model's layers can't be checkpointed one by one.",
                       "Leave out train.checkpoint_layers: all of them are checkpointed then.")
    set_flags = base._set_gradient_checkpointing

    @functools.wraps(set_flags)
    def set_first_flags(*args: Any, **kwargs: Any) -> None:
        set_flags(*args, **kwargs)
        for layer in layers[wanted:]:
            layer.gradient_checkpointing = False

    base._set_gradient_checkpointing = set_first_flags


def _layers(base: Any) -> list[Any]:
    """The decoder's layers in order; a vision tower's are none of them."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    return [module for module in base.get_decoder().modules() if isinstance(module, GradientCheckpointingLayer)]
