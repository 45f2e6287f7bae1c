"""Products in 8-bit floats beside what they can't stand with."""

from __future__ import annotations

from collections.abc import Iterator

from ftui.methods import ADAPTERS
from ftui.recipe.document import Recipe

Wrong = tuple[str, str]
"""What can't be, with the reason, and what to write."""

WITHOUT = "Write train.float8: false."


def wrong_float8(recipe: Recipe) -> Iterator[Wrong]:
    """Everything in `recipe` that its products in 8-bit floats can't be."""
    if not recipe.train.float8:
        return
    row, model = ADAPTERS[recipe.adapter.kind], recipe.model
    if model.quantization not in ("none", "auto"):
        yield (f"train.float8 casts 16-bit weights for each product, and those of a base in {model.quantization} are "
               "made for it by bitsandbytes.", "Write model.quantization: none, or train.float8: false.")
    elif row.kind not in ("none", "freeze"):
        yield (f"train.float8 is for full tuning: under {row.title} the linear modules are frozen, and torchao would "
               "compute their weights' gradients all the same.", WITHOUT)
    if model.dtype not in ("auto", "bfloat16"):
        yield (f"train.float8 casts bfloat16, and model.dtype is {model.dtype}.",
               "Write model.dtype: bfloat16, or train.float8: false.")
    if recipe.train.qat != "none":
        yield "train.qat and train.float8 would round the same weights in two ways.", WITHOUT
    if recipe.compute.gpus == 0:
        yield "train.float8 is a way of GPUs, and compute.gpus 0 forces the CPU.", WITHOUT
