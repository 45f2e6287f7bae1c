"""What the planner expects of a run's memory, also after a recovery has changed its recipe."""

from __future__ import annotations

from ftui.errors import FtuiError
from ftui.planner.document import MemoryEstimate
from ftui.recipe.document import Recipe
from ftui.runs.folder import Run


def peak(run: Run, recipe: Recipe) -> MemoryEstimate | None:
    """The planned peak of `run` as `recipe` trains it now; None where it was not planned.

    The plan knows the rows' lengths, which are not at hand here: a changed recipe is expected to take as much less than
    the planned one as the formula says for rows of the full length.
    """
    plan, original = run.plan(), run.recipe()
    if plan is None or original is None:
        return None
    planned = plan.recommendation.memory
    if recipe == original:
        return planned
    from ftui import hardware, models
    from ftui.planner.memory import memory
    from ftui.planner.setup import setup_of

    try:
        machine, shape = hardware.probe(), models.describe(recipe.model.base, recipe.model.revision)
        before, after = (memory(setup_of(each, machine, shape, None)) for each in (original, recipe))
    except (FtuiError, ValueError):
        # A model that can't be described any more can still be trained.
        return planned
    less = before.process_bytes - after.process_bytes
    return planned.model_copy(update={
        "process_bytes": max(planned.process_bytes - less, after.parts.weights),
        "low_bytes": max(planned.low_bytes - less, after.parts.weights),
        "high_bytes": max(planned.high_bytes - less, after.parts.weights),
    })
