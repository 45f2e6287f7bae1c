"""Quantization-aware tuning beside what it can't stand with."""

from __future__ import annotations

from collections.abc import Iterator

from ftui.methods import ADAPTERS
from ftui.recipe.document import Recipe

Wrong = tuple[str, str]
"""What can't be, with the reason, and what to write."""


def wrong_qat(recipe: Recipe) -> Iterator[Wrong]:
    """Everything in `recipe` that its quantization-aware tuning can't be."""
    if recipe.train.qat == "none":
        return
    row = ADAPTERS[recipe.adapter.kind]
    if recipe.model.quantization not in ("none", "auto"):
        yield (f"train.qat trains weights that will be rounded, and those of a base in {recipe.model.quantization} are "
               "rounded already, and frozen.", "Write model.quantization: none, or train.qat: none.")
    if row.saved == "adapter":
        yield (f"train.qat rounds the weights that train, and {row.title} leaves them as they are: merged, they would "
               "be rounded differently.", "Write adapter: {kind: none} or {kind: freeze}, or train.qat: none.")
    if recipe.train.compile:
        yield ("train.compile and train.qat together are not tried.", "Write train.compile: false.")
