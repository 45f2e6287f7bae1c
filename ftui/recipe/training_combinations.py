"""How steps are ordered, computed and looked at: settings that can't stand together, refused before anything loads."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftui.methods import OBJECTIVES
from ftui.recipe.document import Recipe

Wrong = tuple[str, str]
"""What can't be, with the reason, and what to write."""

COMPILED = ("sft", "classify", "reward")
"""Objectives whose step is one pass through the model, which torch.compile can take whole."""
ANSWERING = ("prompt", "answered")
"""Forms of rows of which an objective draws its own batches, to be answered together."""
REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")


def wrong_training(recipe: Recipe) -> Iterator[Wrong]:
    """Everything in `recipe` that its steps can't be."""
    yield from _order(recipe)
    yield from _padded(recipe)
    yield from _compiled(recipe)
    yield from _checkpointed(recipe)
    if recipe.evaluate.first and recipe.data.validation == 0:
        yield ("evaluate.first needs held-out rows, and data.validation is 0.",
               "Write data.validation: 0.05, or evaluate.first: false.")
    if recipe.train.tf32 and recipe.compute.gpus == 0:
        yield "train.tf32 is a way of GPUs, and compute.gpus 0 forces the CPU.", "Write train.tf32: false."
    if recipe.tracking.hub is not None and not REPOSITORY.fullmatch(recipe.tracking.hub):
        yield (f"tracking.hub is {recipe.tracking.hub!r}, which is no repository of the hub.",
               "Write it as owner/name, such as my-team/support-chat.")


def _order(recipe: Recipe) -> Iterator[Wrong]:
    if not recipe.train.group_by_length:
        return
    instead = "Write train.group_by_length: false."
    if OBJECTIVES[recipe.objective.kind].form in ANSWERING:
        yield f"{recipe.objective.kind} draws groups of prompts, which train.group_by_length can't order.", instead
    elif recipe.objective.kind == "kto":
        yield ("KTO draws its batches beforehand, each answer beside one that another prompt was given: "
               "train.group_by_length would part them.", instead)
    elif recipe.data.packing is True:
        yield "data.packing makes all sequences equally long: train.group_by_length has nothing to group.", instead
    elif recipe.data.padding != "longest":
        yield (f"data.padding: {recipe.data.padding} costs the same whichever rows share a batch: "
               "train.group_by_length saves nothing.", instead)


def _padded(recipe: Recipe) -> Iterator[Wrong]:
    row = OBJECTIVES[recipe.objective.kind]
    if row.form in ANSWERING and recipe.data.padding == "max_length":
        yield (f"{row.title} pads prompts and answers to the longest that are written together, and "
               "data.padding: max_length would be passed over.", "Write data.padding: longest.")


def _checkpointed(recipe: Recipe) -> Iterator[Wrong]:
    """A number of checkpointed layers beside what asks for none, or has an order of its own."""
    if recipe.train.checkpoint_layers is None:
        return
    instead = "Leave out train.checkpoint_layers."
    if recipe.train.checkpointing is False:
        yield ("train.checkpoint_layers says how many layers are checkpointed, and train.checkpointing: false that "
               "none is.", f"Write train.checkpointing: true. Or: {instead[0].lower()}{instead[1:]}")
    if recipe.train.activation_offload:
        yield ("train.activation_offload puts what any layer keeps into host memory, so that layers without "
               "checkpoints would wait for the bus in place of the second pass they are spared.", instead)
    if recipe.adapter.kind == "freeze":
        yield ("Freeze tuning keeps nothing of the frozen layers, and train.checkpoint_layers counts these, too.",
               "Write train.checkpointing: true alone.")


def _compiled(recipe: Recipe) -> Iterator[Wrong]:
    if not recipe.train.compile:
        return
    instead, kind = "Write train.compile: false.", recipe.objective.kind
    if kind not in COMPILED:
        yield f"train.compile compiles one pass through the model, and {kind} takes several different ones.", instead
    if recipe.model.quantization not in ("none", "auto"):
        yield (f"train.compile breaks the model apart at each weight in {recipe.model.quantization}: nothing is won.",
               "Write train.compile: false, or model.quantization: none.")
    if recipe.train.activation_offload:
        yield "train.compile decides itself what is kept for the backward pass, past train.activation_offload.", instead
