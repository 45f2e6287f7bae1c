"""From a draft to what it would cost: one engine call after the other, without a screen."""

from __future__ import annotations

from ftui import planner
from ftui.calibration import calibration
from ftui.runs.launch import lay_out
from ftui.trust import better

from .state import WizardState

PLANNED = ("plan", "layout", "known", "before")
"""What `replan` changes in a state."""


def can_plan(state: WizardState) -> bool:
    """Whether the three documents that a plan stands on are there."""
    return None not in (state.hardware, state.shape, state.profile)


def replan(state: WizardState) -> WizardState:
    """`state` with its plan and its layout made anew.  Raises FtuiError where the planner refuses."""
    hardware, shape, profile = state.hardware, state.shape, state.profile
    if hardware is None or shape is None or profile is None:
        return state.having(plan=None, layout=None, before=None)
    plan = planner.plan(hardware, shape, profile, state.draft, calibration())
    known = {
        option.method: memory
        for option in (plan.recommendation, *plan.alternatives, *plan.rejected)
        if (memory := better(planner.resolve(state.draft, plan, option), shape, hardware, profile)) is not None
    }
    state = state.having(before=state.estimate, plan=plan, known=known)
    layout = lay_out(state.asked, preset=state.preset, hardware=hardware, shape=shape, profile=profile)
    return state.having(layout=layout)
