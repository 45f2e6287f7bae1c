"""What can't be trained where the data has images, and why."""

from __future__ import annotations

from collections.abc import Iterator

from ftui.methods import OBJECTIVES, LoraOptions
from ftui.recipe.document import Recipe

Wrong = tuple[str, str]
"""What can't be, with the reason, and what to write."""

READING = ("eva", "corda", "lora_ga")
"""Starts of LoRA that look at rows before the training, without their images."""


def wrong_pictures(recipe: Recipe) -> Iterator[Wrong]:
    """Everything in `recipe` that doesn't go with rows that have images; the recipe alone can't tell that they do."""
    options = recipe.adapter
    if not OBJECTIVES[recipe.objective.kind].images:
        yield (f"The data has images, and objective.kind is {recipe.objective.kind}.",
               "Images are trained by supervised fine-tuning: write objective.kind: sft.")
    if not isinstance(options, LoraOptions):
        yield (f"The data has images, and adapter.kind is {options.kind}.",
               "Images are trained with LoRA on the language model: write adapter: {kind: lora}.")
    elif options.init in READING:
        yield (f"adapter.init {options.init} reads rows before the training, and would read them without their images.",
               "Write adapter.init: default.")
    if recipe.data.packing is True:
        yield "data.packing is on, and rows with images can't be packed.", "Write data.packing: false."
    if recipe.data.padding == "free":
        yield ("data.padding is free, and rows with images don't lie end to end as one sequence.",
               "Write data.padding: longest.")
    if recipe.train.loss not in ("auto", "chunked", "full"):
        yield (f"train.loss {recipe.train.loss} takes the place of a language model's forward, and not of one with a "
               "vision tower.", "Write train.loss: chunked.")
    if recipe.train.qat != "none":
        yield ("train.qat rounds every linear module, those of the vision tower as well.", "Write train.qat: none.")
