"""What a draft leaves open: the values that the planner may fill, and those that the user has fixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ftui.recipe import asked
from ftui.recipe.document import Recipe

UNASKED = ("adapter.kind", "train.epochs", "objective.loss_on")
"""Settings that have a default rather than "auto": the planner fills them only where nobody set them."""

AUTO = (
    "model.quantization", "model.dtype", "model.attention", "data.max_length", "data.packing", "adapter.rank",
    "adapter.alpha", "adapter.dropout", "train.micro_batch", "train.effective_batch", "train.learning_rate",
    "train.optimizer", "train.checkpointing", "train.eval_steps", "train.save_steps", "compute.gpus",
    "compute.strategy", "compute.threads",
)
"""Settings whose "auto" means that the planner fills them."""

SECTIONS = ("model", "data", "objective", "adapter", "train", "compute")
ORDER = sorted((*UNASKED, *AUTO), key=lambda path: SECTIONS.index(path.partition(".")[0]))
"""All of them in the recipe's order of sections."""


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
        if path == "adapter.kind":
            return not any(
                p.startswith("adapter.") and self.value(p) != "auto" for p in self.asked
            )
        if path in UNASKED:
            return path not in self.asked
        return bool(self.value(path) == "auto")

    def pick(self, path: str, otherwise: Any) -> Any:
        """The draft's value if it is fixed, else `otherwise`."""
        return otherwise if self.open(path) else self.value(path)


def fill(recipe: Recipe, settings: dict[str, Any]) -> Recipe:
    """`recipe` with these dotted settings in place; another `adapter.kind` starts that section afresh."""
    data = recipe.model_dump()
    kind = settings.get("adapter.kind")
    if kind is not None and kind != data["adapter"]["kind"]:
        data["adapter"] = {"kind": kind}
    for path, value in settings.items():
        section, _, name = path.partition(".")
        if section == "adapter" and data["adapter"]["kind"] == "none" and name != "kind":
            continue
        data[section][name] = value
    return Recipe.model_validate(data)
