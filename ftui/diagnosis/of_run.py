"""The findings of a run by its files: what its worker said, and what its curves show to today's rules."""

from __future__ import annotations

from typing import Any

from ftui.diagnosis.case import case_of
from ftui.diagnosis.doctor import examine
from ftui.diagnosis.finding import Finding, told
from ftui.errors import FtuiError, Refused
from ftui.recipe.document import Recipe
from ftui.runs.document import Event
from ftui.runs.folder import Run
from ftui.runs.follow import each


def diagnose(run: Run) -> list[tuple[int, Finding]]:
    """What there is to say of a training, with the step at which it showed, in the order of the steps.

    Raises Refused for a run that is no training.
    """
    recipe = run.recipe()
    if recipe is None or run.info.kind != "train":
        raise Refused(f"{run.id} is no training: there are no curves to look at.", "List the runs: ftui runs")
    steps = max((_steps(event) for event in each(run)), default=0)
    case = case_of(recipe, steps=steps or None, vocabulary=_vocabulary(recipe))
    found = examine(case, lambda: each(run))
    known = {finding.name for _, finding in found}
    said = [(event.step or 0, told(event)) for event in each(run) if event.kind == "diagnosis"]
    found += [(step, finding) for step, finding in said if finding.name not in known]
    return sorted(found, key=lambda each: each[0])


def _steps(event: Event) -> int:
    total: Any = event.data.get("total") if event.kind == "progress" and event.data.get("unit") == "step" else None
    return int(total) if isinstance(total, int | float) and total > 0 else 0


def _vocabulary(recipe: Recipe) -> int | None:
    """How many words the base model knows; None where it can't be looked up now, and one rule stays silent."""
    from ftui import models

    try:
        return models.describe(recipe.model.base, recipe.model.revision).vocab
    except FtuiError:
        return None
