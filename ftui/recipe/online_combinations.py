"""What can't stand together where the model writes the answers that it learns from: rewards, groups and batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from ftui.errors import BadInput
from ftui.methods import GrpoOptions, OnlineDpoOptions, PpoOptions, RlooOptions
from ftui.methods.judges import parse_all as judges_of
from ftui.methods.rewards import parse_all
from ftui.recipe.document import Recipe

Wrong = tuple[str, str]
"""What can't be, with the reason, and what to write."""
Online = GrpoOptions | RlooOptions | OnlineDpoOptions | PpoOptions


def wrong_online(recipe: Recipe) -> Iterator[Wrong]:
    """Everything in `recipe` that its online objective can't be; nothing where another objective is asked for."""
    options = recipe.objective
    if isinstance(options, Online):
        for rule in RULES:
            yield from rule(options, recipe)


def _rewards(options: Online, recipe: Recipe) -> Iterator[Wrong]:
    judge = getattr(options, "judge", ())
    if not options.rewards and judge:
        return
    if not options.rewards:
        yield (f"objective.rewards is empty, and {options.kind} learns from nothing else.",
               "Write what makes an answer good: objective.rewards: [exact, 0.2*format].")
        return
    try:
        rewards = parse_all(options.rewards)
    except BadInput as error:
        yield error.what, str(error.hint)
        return
    if any(reward.kind == "code" for reward in rewards) and not options.run_code:
        yield ("objective.rewards has code, which executes on this machine what the model writes.",
               "Where nothing can be harmed, allow it with objective.run_code: true.")
    if not judge and not any(reward.weight for reward in rewards):
        yield ("objective.rewards has no weight other than 0, so that every answer is as good as any.",
               "Give one of them a weight: 1*exact.")


def _judge(options: Online, recipe: Recipe) -> Iterator[Wrong]:
    if not isinstance(options, OnlineDpoOptions) or not options.judge:
        return
    try:
        judges = judges_of(options.judge)
    except BadInput as error:
        yield error.what, str(error.hint)
        return
    if any(judge.reward is not None and judge.reward.kind == "code" for judge in judges) and not options.run_code:
        yield ("objective.judge has code, which executes on this machine what the model writes.",
               "Where nothing can be harmed, allow it with objective.run_code: true.")
    if sum(judge.kind == "asks" for judge in judges) > 1:
        yield ("objective.judge asks several models, each of which would be held beside the policy.",
               "Ask one of them.")


def _groups(options: Online, recipe: Recipe) -> Iterator[Wrong]:
    """A generation must hold whole groups of answers to one prompt; a pair must not be parted."""
    micro, effective = recipe.train.micro_batch, recipe.train.effective_batch
    if micro == "auto" or effective == "auto":
        return
    if isinstance(options, PpoOptions):
        if effective * options.mini_batches < 2:
            yield ("train.effective_batch 1 generates a single answer at once, which nothing can be held against.",
                   "Write train.effective_batch: 2 or more, or raise objective.mini_batches.")
        return
    group = options.generations
    if isinstance(options, OnlineDpoOptions) and micro % group:
        yield (f"train.micro_batch {micro} parts the two answers to a prompt, which online DPO compares.",
               f"Write train.micro_batch: {_near(micro, group)}.")
    elif options.steps_per_generation is None and effective % group:
        yield (f"train.effective_batch {effective} holds no whole groups of {group} answers (objective.generations).",
               f"Write train.effective_batch: {_near(effective, math.lcm(micro, group))}, or another group size.")
    elif options.steps_per_generation and micro * options.steps_per_generation % group:
        steps = options.steps_per_generation
        yield (f"A generation of {steps} micro-batches of {micro} holds no whole groups of {group} answers.",
               f"Write objective.steps_per_generation: {_near(steps, group // math.gcd(group, micro))}.")


def _noise(options: Online, recipe: Recipe) -> Iterator[Wrong]:
    """What makes the answers' probabilities differ between two passes over the same weights."""
    dropout: Any = getattr(recipe.adapter, "dropout", 0.0)
    if isinstance(dropout, float) and dropout > 0:
        yield (f"adapter.dropout {dropout:g} would make the model write, and judge its answers, with other weights "
               "each time.", "Write adapter.dropout: 0.")
    if recipe.train.neftune:
        yield ("train.neftune puts noise into the prompts of which the model writes its answers.",
               "Write train.neftune: null.")


def _activations(options: Online, recipe: Recipe) -> Iterator[Wrong]:
    if recipe.train.activation_offload:
        yield f"The trainer of {options.kind} offloads no activations.", "Write train.activation_offload: false."


def _value_head(options: Online, recipe: Recipe) -> Iterator[Wrong]:
    if isinstance(options, PpoOptions) and recipe.train.optimizer == "muon":
        yield ("train.optimizer muon is made for the model's own matrices, and would leave PPO's value head untrained.",
               "Write train.optimizer: adamw.")


def _reference(options: Online, recipe: Recipe) -> Iterator[Wrong]:
    if isinstance(options, OnlineDpoOptions) and options.beta == 0:
        yield "objective.beta 0 leaves online DPO nothing to learn: its loss is then the same for any model.", (
            "Write objective.beta: 0.1."
        )


RULES: tuple[Callable[[Any, Recipe], Iterator[Wrong]], ...] = (
    _rewards, _judge, _groups, _noise, _activations, _value_head, _reference,
)


def _near(value: int, step: int) -> str:
    """The multiples of `step` on both sides of `value`."""
    below, above = value // step * step, -(-value // step) * step
    return f"{below} or {above}" if below else f"{above}"
