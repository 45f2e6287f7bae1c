"""What a recipe's `continual` asks of a training: where the importance comes from, and where it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ftui.data import Prepared, prepare
from ftui.errors import BadInput
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.worker import anchor
from ftui.worker.anchor import Anchor
from ftui.worker.context import JobContext

KEPT = "importance"
"""The folder in a run's in which the importance of an old task is kept for later attempts."""


def anchor_of(context: JobContext, recipe: Recipe, base: Path, trainer: Any) -> Anchor | None:
    """The pull to the start that the recipe asks for; None for none.  The model is as it begins, before any checkpoint.

    `base` is the folder of the base model.  Raises BadInput where nothing says what was important.
    """
    asked = recipe.continual
    if not asked.pull and not asked.ewc:
        return None
    importance = None
    if asked.ewc and asked.remember is not None:
        old = assign(recipe, {
            "data.sources": [{"path": asked.remember}], "data.validation": 0, "data.packing": False,
            "data.balance": 0.0, "data.curriculum": None,
        })
        importance = anchor.kept(context.folder / KEPT, lambda: anchor.importance_of(
            trainer, prepare(old, base, seed=recipe.train.seed, when=context.info.created).train, asked.fisher_rows
        ))
    elif asked.ewc:
        start: Any = recipe.adapter
        importance = anchor.load(Path(start.start_from))
        if importance is None:
            raise BadInput(
                f"The adapter in {start.start_from} was saved without its importance, which continual.ewc goes by.",
                "Write continual.remember: a file of old rows.",
            )
    return Anchor(trainer.model, pull=asked.pull, ewc=asked.ewc, importance=importance)


def keep_importance(recipe: Recipe, trainer: Any, prepared: Prepared) -> None:
    """Have the importance of this training's rows saved beside the result; what was important before it is added."""
    found = anchor.importance_of(trainer, prepared.train, recipe.continual.fisher_rows)
    start = getattr(recipe.adapter, "start_from", None)
    before = anchor.load(Path(start)) if start is not None else None
    if before is not None:
        found = {name: one + before[name].to(one.device) if name in before else one for name, one in found.items()}
    trainer.importance = found
