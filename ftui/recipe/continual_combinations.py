"""What can't stand together where a training is to keep what was learnt before it."""

from __future__ import annotations

from collections.abc import Iterator

from ftui.recipe.document import Recipe

Wrong = tuple[str, str]
"""What can't be, with the reason, and what to write."""

GENERATED = ("grpo", "rloo", "online_dpo", "ppo", "distill")
"""Objectives that draw their prompts in an order of their own."""


def wrong_continual(recipe: Recipe) -> Iterator[Wrong]:
    """Everything in `recipe` that its continual learning, its curriculum or its mixture can't be."""
    yield from _ewc(recipe)
    yield from _order(recipe)
    yield from _mixture(recipe)


def _ewc(recipe: Recipe) -> Iterator[Wrong]:
    asked, start = recipe.continual, getattr(recipe.adapter, "start_from", None)
    if (asked.ewc or asked.save_importance) and recipe.objective.kind != "sft":
        what = "continual.ewc" if asked.ewc else "continual.save_importance"
        yield (f"{what} measures importance by the likelihood of rows, and {recipe.objective.kind} trains on more.",
               "Write objective: {kind: sft}, or continual.pull in place of it.")
    if asked.ewc and asked.remember is None and start is None:
        yield ("continual.ewc needs to know what was important for the old task: there are neither old rows nor an "
               "adapter that was saved with its importance.",
               "Write continual.remember: a file of old rows, or adapter.start_from.")
    if (asked.ewc or asked.pull) and recipe.compute.strategy not in ("auto", "single"):
        yield (f"The pull to the start holds each weight's start whole, and compute.strategy {recipe.compute.strategy} "
               "divides them.", "Write compute.strategy: single.")
    if (asked.ewc or asked.pull) and recipe.train.qat != "none":
        yield ("train.qat rounds the weights in every pass, and the pull would be to a start that isn't.",
               "Write train.qat: none, or leave out continual.")


def _order(recipe: Recipe) -> Iterator[Wrong]:
    order = recipe.data.curriculum
    if order is None:
        return
    if order not in ("length", "sources") and not order.removeprefix("column:").strip():
        yield "data.curriculum names no column.", "Write data.curriculum: column:difficulty."
    elif order not in ("length", "sources") and not order.startswith("column:"):
        yield (f"data.curriculum {order} is none of length, sources and column:NAME.",
               f"Write data.curriculum: column:{order}, if that is a column of the rows.")
    if recipe.data.packing is True:
        yield ("Packed sequences hold rows from everywhere: data.curriculum would order nothing.",
               "Write data.packing: false.")
    if recipe.train.group_by_length:
        yield "data.curriculum and train.group_by_length each order the rows.", "Write train.group_by_length: false."
    if recipe.objective.kind in GENERATED:
        yield (f"{recipe.objective.kind} draws its prompts at random, whatever order they stand in.",
               "Leave out data.curriculum.")


def _mixture(recipe: Recipe) -> Iterator[Wrong]:
    shares = [source.replay for source in recipe.data.sources if source.replay]
    if shares and (sum(shares) >= 1 or len(shares) == len(recipe.data.sources)):
        yield (f"The replayed sources make up {sum(shares):.0%} of an epoch, which leaves nothing new to learn."
               if sum(shares) >= 1 else "Every source is replayed, and none is new.",
               "Leave replay out for the sources that are new, and let the others' sum stay below 1.")
