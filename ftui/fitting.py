"""Whether a preset fits a machine: model, plan and machine put together for one line of a list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ftui.errors import FtuiError
from ftui.units import clock, gib

if TYPE_CHECKING:
    from ftui.hardware.document import Hardware
    from ftui.models import ModelShape
    from ftui.recipe import Recipe

SLOW_STEP_SECONDS = 60.0
"""A step that takes longer than this is no way to train: a run has hundreds."""


@dataclass(frozen=True)
class Fitting:
    """`text` is for a list ("fits, ≈ 5.8 GiB"), `reason` a sentence; bytes and seconds are None where unknown."""

    fit: Literal["fits", "tight", "slow", "no", "unknown"]
    text: str
    reason: str
    process_bytes: int | None = None
    spare_bytes: int | None = None
    step_seconds: float | None = None


def fitting(recipe: Recipe, hardware: Hardware, shape: ModelShape | None = None) -> Fitting:
    """Whether `recipe` fits what is free on `hardware` now; "unknown" where its model can't be described.

    `shape` is its model's, where that is known already: without it the hub may be asked.
    """
    from ftui import models, planner
    from ftui.calibration import calibration

    try:
        shape = shape or models.describe(recipe.model.base, recipe.model.revision)
    except FtuiError as error:
        return Fitting("unknown", "unknown", str(error))
    option = planner.plan(hardware, shape, None, recipe, calibration()).recommendation
    memory, verdict, seconds = option.memory.process_bytes, option.verdict, option.time.step_seconds
    known = (memory, verdict.spare_bytes, seconds)
    if verdict.fit == "no":
        return Fitting("no", f"too big, ≈ {gib(memory)}", verdict.text, *known)
    if seconds > SLOW_STEP_SECONDS and hardware.gpu is None:
        return Fitting("slow", f"too slow, {clock(seconds)} a step", "It fits, but without a GPU it takes "
                       f"about {clock(seconds)} for each step.", *known)
    return Fitting(verdict.fit, f"{verdict.fit}, ≈ {gib(memory)}", verdict.text, *known)
