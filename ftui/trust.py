"""The best that is known of a recipe's memory: measured on the device, traced in its libraries, or the formula's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftui.errors import FtuiError

if TYPE_CHECKING:
    from ftui.data.document import DataProfile
    from ftui.hardware.document import Hardware
    from ftui.models.document import ModelShape
    from ftui.planner import Calibration
    from ftui.planner.document import Estimate, MemoryEstimate, Method, Option, Plan
    from ftui.recipe import Recipe


def better(
    recipe: Recipe, shape: ModelShape, hardware: Hardware, profile: DataProfile | None
) -> MemoryEstimate | None:
    """What a finished run or a kept trace says of this resolved recipe; None where only the formula speaks."""
    from ftui import calibration, tracing

    if (found := calibration.measured(recipe, shape, hardware)) is not None:
        return found
    try:
        asked = (recipe, shape, hardware, profile)
        traced = tracing.cached(*asked, full=True) or tracing.cached(*asked)
    except FtuiError:
        # A model whose config.json isn't at hand can't have been traced with these settings.
        return None
    return traced.memory if traced else None


def estimate(
    recipe: Recipe, hardware: Hardware, shape: ModelShape, profile: DataProfile | None,
    calibration: Calibration | None = None,
) -> Estimate:
    """As `planner.estimate`, with the best known memory in place of the formula's and the verdict that follows."""
    from ftui import planner

    found = planner.estimate(recipe, hardware, shape, profile, calibration)
    known = better(recipe, shape, hardware, profile)
    if known is None:
        return found
    return found.model_copy(
        update={"memory": known, "verdict": planner.judge(known, recipe, hardware, shape, profile, calibration)}
    )


def options(
    plan: Plan, draft: Recipe, hardware: Hardware, shape: ModelShape, profile: DataProfile | None,
    calibration: Calibration | None = None,
) -> dict[Method, Option]:
    """Those of the plan's options of which more is known than the formula says, with the verdict that follows."""
    from ftui import planner

    found = {}
    for option in (plan.recommendation, *plan.alternatives, *plan.rejected):
        recipe = planner.resolve(draft, plan, option)
        if (known := better(recipe, shape, hardware, profile)) is not None:
            verdict = planner.judge(known, recipe, hardware, shape, profile, calibration)
            found[option.method] = option.model_copy(update={"memory": known, "verdict": verdict})
    return found
