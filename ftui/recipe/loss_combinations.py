"""Losses that only one implementation has, and distillation's answers: what would be passed over in silence."""

from __future__ import annotations

from collections.abc import Iterator

from ftui.methods import ADAPTERS, DistillOptions, SftOptions
from ftui.recipe.adapter_combinations import IN_FRONT
from ftui.recipe.document import Recipe

Wrong = tuple[str, str]
"""What can't be, with the reason, and what to write."""

OUTSIDE = IN_FRONT | {"xlora", "poly"}
"""Adapters of which a part stands around the model, where a loss that asks the model's inside passes it."""


def wrong_loss(recipe: Recipe) -> Iterator[Wrong]:
    """Everything in `recipe` that its loss can't be."""
    options = recipe.objective
    if isinstance(options, SftOptions):
        yield from _weighted(options, recipe.train.loss)
    if isinstance(options, DistillOptions):
        yield from _distilled(options, recipe)


def _weighted(options: SftOptions, loss: str) -> Iterator[Wrong]:
    name, value = ("loss_type", "nll") if options.loss_type != "nll" else ("label_smoothing", "0")
    if (options.loss_type != "nll" or options.label_smoothing) and loss != "chunked":
        yield (f"objective.{name} is built into ftui's chunked loss, and train.loss is {loss}.",
               f"Write train.loss: chunked, or objective.{name}: {value}.")
    if options.loss_type == "dft" and options.label_smoothing:
        yield ("DFT weighs a token by its own probability, and label smoothing trains towards all the others.",
               "Write objective.label_smoothing: 0, or objective.loss_type: nll.")


def _distilled(options: DistillOptions, recipe: Recipe) -> Iterator[Wrong]:
    kind = recipe.adapter.kind
    if not options.teacher:
        yield ("objective.teacher is empty: a distillation needs a model to learn from.",
               "Write objective.teacher: a hub id or a folder, of the student's family.")
    if options.hard_labels and options.on_policy == 1:
        yield ("objective.hard_labels weighs the data's answers, and with objective.on_policy: 1 none of them is read.",
               "Write objective.on_policy: 0.5, or objective.hard_labels: 0.")
    if kind in OUTSIDE:
        yield (f"{ADAPTERS[kind].title} stands around the model, and the divergence is computed from its inside: it "
               "would not train.", "Write adapter: {kind: lora}.")
    if recipe.train.activation_offload:
        yield ("trl's trainer of distillation offloads no activations.", "Write train.activation_offload: false.")
