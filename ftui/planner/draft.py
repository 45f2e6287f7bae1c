"""What a draft leaves open: the values that the planner may fill, and those that the user has fixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.planner.rules.table import RULES
from ftui.recipe import asked
from ftui.recipe.document import Recipe

UNASKED = (
    "objective.kind", "objective.loss_on", "objective.rewards", "data.validation",
    "adapter.kind", "adapter.targets", "adapter.rslora",
    "train.epochs", "train.schedule", "train.warmup", "train.weight_decay", "train.max_grad_norm", "evaluate.patience",
)
"""Settings that have a default rather than "auto": the planner fills them only where nobody set them."""

AUTO = (
    "model.quantization", "model.dtype", "model.attention", "data.max_length", "data.packing", "adapter.rank",
    "adapter.alpha", "adapter.dropout", "train.micro_batch", "train.effective_batch", "train.learning_rate",
    "train.optimizer", "train.checkpointing", "train.eval_steps", "train.save_steps", "compute.gpus",
    "compute.strategy", "compute.threads",
)
"""Settings whose "auto" means that the planner fills them."""

ORDER = tuple(RULES)
"""All of them, as a person thinks about them."""

OPTIONS = {
    section: {kind: frozenset(row.options.model_fields) for kind, row in rows.items()}
    for section, rows in (("adapter", ADAPTERS), ("objective", OBJECTIVES))
}
"""Section → kind → the names of its settings."""


@dataclass(frozen=True)
class Draft:
    """A recipe with the set of paths that somebody set."""

    recipe: Recipe
    asked: frozenset[str]

    @classmethod
    def of(cls, recipe: Recipe) -> Draft:
        return cls(recipe, asked(recipe))

    def value(self, path: str) -> Any:
        """The draft's own value, "auto" where the section has no such setting (full tuning has no rank)."""
        section, _, name = path.partition(".")
        return getattr(getattr(self.recipe, section), name, "auto")

    def open(self, path: str) -> bool:
        """Whether the planner may choose this value."""
        section, _, name = path.partition(".")
        if name == "kind":
            # Whoever set one of its options has chosen the kind with it.
            return not any(p.startswith(f"{section}.") and self.value(p) != "auto" for p in self.asked)
        if path in UNASKED:
            return path not in self.asked
        return bool(self.value(path) == "auto")

    def pick(self, path: str, otherwise: Any) -> Any:
        """The draft's value if it is fixed, else `otherwise`."""
        return otherwise if self.open(path) else self.value(path)


def fill(recipe: Recipe, settings: dict[str, Any]) -> Recipe:
    """`recipe` with these dotted settings in place; another kind of adapter or objective starts that section afresh.

    What the kind in place has no setting for (full tuning has no rank) is left out.
    """
    data = recipe.model_dump()
    for section in ("adapter", "objective"):
        kind = settings.get(f"{section}.kind", data[section]["kind"])
        if kind != data[section]["kind"]:
            data[section] = {"kind": kind}
    for path, value in settings.items():
        section, _, name = path.partition(".")
        if section not in OPTIONS or name in OPTIONS[section][data[section]["kind"]]:
            data[section][name] = value
    return Recipe.model_validate(data)
