"""What an optimizer can't train or would pass over, refused before anything loads."""

from __future__ import annotations

from collections.abc import Iterator

from ftui.methods import ADAPTERS, OBJECTIVES, LoraOptions
from ftui.recipe.document import Recipe

Wrong = tuple[str, str]
"""What can't be, with the reason, and what to write."""

MADE_HERE = ("galore", "muon", "schedule_free")
"""Optimizers that ftui makes itself."""
SHARDED = ("zero1", "zero2", "zero3", "fsdp")
WITHOUT_BETAS = ("sgd", "adafactor", "rmsprop")
WITHOUT_EPSILON = ("sgd", "adafactor", "rmsprop", "lion", "lion_8bit", "paged_lion_8bit")
UPDATES = {"plus": "LoRA+", "fa": "LoRA-FA", "riemannian": "the Riemannian update"}
TAKEN_BY = {
    "min_rate": ("cosine", "wsd", "polynomial"), "decay_share": ("wsd",), "cycles": ("restarts",),
    "power": ("polynomial",),
}
"""Which schedules take which of the schedules' settings."""


def wrong_optimizer(recipe: Recipe) -> Iterator[Wrong]:
    """An optimizer with what it can't train, with numbers that it can't keep or doesn't have."""
    yield from _made_here(recipe)
    yield from _numbers(recipe)
    yield from _schedule(recipe)
    yield from _average(recipe)


def _made_here(recipe: Recipe) -> Iterator[Wrong]:
    name, adapter, strategy = recipe.train.optimizer, recipe.adapter, recipe.compute.strategy
    if name not in MADE_HERE:
        return
    if name == "galore" and adapter.kind not in ("none", "freeze"):
        yield (
            "train.optimizer: galore projects the gradients of whole weights, and with adapter.kind "
            f"{adapter.kind} ({ADAPTERS[adapter.kind].title}) none of those trains.",
            "Write adapter: {kind: none} or {kind: freeze}, or train.optimizer: adamw.",
        )
    elif isinstance(adapter, LoraOptions) and adapter.update != "plain":
        yield (f"adapter.update: {adapter.update} ({UPDATES.get(adapter.update, adapter.update)}) is an optimizer of "
               f"its own, and train.optimizer: {name} another.",
               "Write adapter.update: plain, or train.optimizer: adamw.")
    if strategy in SHARDED:
        needs = "a mean of each weight" if name == "schedule_free" else "each gradient whole"
        yield (
            f"train.optimizer: {name} needs {needs}, and compute.strategy {strategy} "
            "divides them.", "Write compute.strategy: single, or train.optimizer: adamw.",
        )
    if recipe.objective.kind == "ppo":
        yield (f"train.optimizer: {name} is made before PPO's head of values, which would not train.",
               "Write train.optimizer: adamw.")


def _numbers(recipe: Recipe) -> Iterator[Wrong]:
    train = recipe.train
    given = [name for name in ("beta1", "beta2") if getattr(train, name) is not None]
    frozen_half = isinstance(recipe.adapter, LoraOptions) and recipe.adapter.update == "fa"
    if given and (train.optimizer in WITHOUT_BETAS or frozen_half):
        who = "LoRA-FA's own optimizer" if frozen_half else f"train.optimizer: {train.optimizer}"
        yield f"{who} takes no train.{given[0]}.", f"Leave out train.{given[0]}, or write train.optimizer: adamw."
    if train.epsilon is not None and (train.optimizer in WITHOUT_EPSILON or frozen_half):
        who = "LoRA-FA's own optimizer" if frozen_half else f"train.optimizer: {train.optimizer}"
        yield f"{who} takes no train.epsilon.", "Leave out train.epsilon, or write train.optimizer: adamw."


def _schedule(recipe: Recipe) -> Iterator[Wrong]:
    train = recipe.train
    for name, takers in TAKEN_BY.items():
        value, default = getattr(train, name), type(train).model_fields[name].default
        if value != default and train.schedule not in takers:
            yield (f"train.{name} is {value:g}, and the schedule {train.schedule} would pass over it.",
                   f"Write train.schedule: {' or '.join(takers)}, or train.{name}: {default:g}.")
    if train.optimizer == "schedule_free" and not train.schedule.startswith("constant"):
        yield (f"train.optimizer: schedule_free averages its steps in place of a falling rate, and train.schedule is "
               f"{train.schedule}.", "Write train.schedule: constant_with_warmup.")


def _average(recipe: Recipe) -> Iterator[Wrong]:
    if recipe.train.ema is None:
        return
    if recipe.train.optimizer == "schedule_free":
        yield ("train.ema keeps a mean of the weights, and train.optimizer: schedule_free gives one already.",
               "Write train.ema: null.")
    if recipe.compute.strategy in SHARDED:
        yield (f"train.ema keeps each weight's mean whole, and compute.strategy {recipe.compute.strategy} divides "
               "them.", "Write compute.strategy: single, or train.ema: null.")
    if OBJECTIVES[recipe.objective.kind].form == "prompt":
        yield (f"{recipe.objective.kind} learns from the answers of the weights as they train, and train.ema would "
               "save others.", "Write train.ema: null.")
