"""`Case`: what the rules have to know of a run besides its curves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ftui.recipe.document import Recipe

FALLING = frozenset({"sft", "classify", "dpo", "kto", "orpo", "reward", "distill"})
"""Objectives whose loss is one that falls while something is learnt; that of the others says nothing by itself."""
PAIRED = frozenset({"dpo", "reward"})
"""Those that tell a better answer from a worse one: who can't, has the loss ln 2 and is right every other time."""
ONLINE = frozenset({"grpo", "rloo", "online_dpo", "ppo"})
"""Those whose model answers while it is trained."""


@dataclass(frozen=True)
class Case:
    """A run's recipe, and what it met: steps in all, the loss of pure chance (nats), the bytes that there are."""

    recipe: Recipe
    steps: int | None = None
    """Optimizer steps of the whole run."""
    chance: float | None = None
    """The loss of who guesses: ln of the vocabulary, of the number of labels, of two answers."""
    host_bytes: int | None = None
    device_bytes: int | None = None
    judged_by: str = "loss"

    @property
    def objective(self) -> str:
        """The objective's kind."""
        return self.recipe.objective.kind

    @property
    def falls(self) -> bool:
        """Whether the loss is one that ought to fall."""
        return self.objective in FALLING

    @property
    def warmup_steps(self) -> float:
        """Steps in which the learning rate still rises; a number below 1 is a share of all."""
        warmup = self.recipe.train.warmup
        return warmup if warmup >= 1 else warmup * (self.steps or 0)

    def share(self, step: int) -> float:
        """Which part of the run is done at `step`; 0 where nobody knows how long it is."""
        return step / self.steps if self.steps else 0.0

    def slower(self, divisor: float) -> dict[str, Any]:
        """The learning rate over `divisor`, as a change."""
        return {"train.learning_rate": rounded(float(self.recipe.train.learning_rate) / divisor)}


def case_of(
    recipe: Recipe, *, steps: int | None = None, vocabulary: int | None = None, labels: int | None = None,
    host_bytes: int | None = None, device_bytes: int | None = None, judged_by: str = "loss",
) -> Case:
    """The case of a resolved recipe.  `vocabulary` and `labels`: how many words, or classes, the model chooses from."""
    return Case(
        recipe, steps, chance_of(recipe, vocabulary, labels), host_bytes, device_bytes, judged_by,
    )


def chance_of(recipe: Recipe, vocabulary: int | None, labels: int | None) -> float | None:
    """The loss (nats) of a model that knows nothing; None where the objective's loss has no such value."""
    kind = recipe.objective.kind
    if kind == "sft" and vocabulary:
        return math.log(vocabulary)
    if kind == "classify" and labels:
        several = getattr(recipe.objective, "multi_label", False)
        return math.log(2) if several else math.log(labels)
    if kind in PAIRED and getattr(recipe.objective, "loss_type", "sigmoid") == "sigmoid":
        return math.log(2)
    return None


def rounded(value: float) -> float:
    """Two significant digits: what one would have typed."""
    return float(f"{value:.1e}")
