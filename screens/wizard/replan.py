"""From a draft to what it would cost: one engine call after the other, without a screen."""

from __future__ import annotations

from ftui import planner, trust
from ftui.calibration import calibration
from ftui.errors import FtuiError
from ftui.recipe import Recipe, assign, differences
from ftui.runs.absolute import with_absolute_paths
from ftui.runs.launch import Layout, lay_out

from .state import Moved, WizardState

PLANNED = ("plan", "layout", "outdated", "known", "moved", "at_once")
"""What `replan` changes in a state."""


def can_plan(state: WizardState) -> bool:
    """Whether the three documents that a plan stands on are there."""
    return None not in (state.hardware, state.shape, state.profile)


def counted(draft: Recipe) -> object:
    """What the reading of the data depends on: while it stays, the data need not be read again."""
    data = draft.data
    repairs = (data.prepare, data.validation, draft.train.seed) if data.prepare else ()
    return data.sources, data.template, draft.objective.loss_on, repairs


def replan(state: WizardState) -> WizardState:
    """`state` with its plan and its layout made anew.  Raises FtuiError where the planner refuses."""
    hardware, shape, profile = state.hardware, state.shape, state.profile
    if hardware is None or shape is None or profile is None:
        return state.having(plan=None, layout=None, moved=None)
    rates = calibration()
    plan = planner.plan(hardware, shape, profile, state.draft, rates)
    known = trust.options(plan, state.draft, hardware, shape, profile, rates)
    planned = state.having(plan=plan, known=known)
    layout = lay_out(planned.asked, preset=state.preset, hardware=hardware, shape=shape, profile=profile)
    return planned.having(layout=layout, outdated=False, moved=_moved(state, layout), at_once=None)


def at_once(state: WizardState) -> WizardState:
    """`state`, just edited, with what the edit costs by itself: one estimate, no plan, about a millisecond.

    The rest of the recipe stays as the last plan filled it in.  Where the edit leaves something open (a value back at
    "auto", another kind of adapter), only the next plan can say.
    """
    layout = state.layout
    if layout is None:
        return state.having(at_once=None)
    try:
        values = {each.path: each.after for each in differences(layout.asked, with_absolute_paths(state.asked))}
        edited = assign(layout.recipe, values)
        now = planner.estimate(edited, layout.hardware, layout.shape, layout.profile, calibration())
    except (FtuiError, ValueError):  # unresolved, or refused: the plan says which
        return state.having(at_once=None)
    old = layout.estimate
    if old.memory.badge != now.memory.badge:
        return state.having(at_once=now, moved=None)
    more = now.memory.process_bytes - old.memory.process_bytes
    return state.having(at_once=now, moved=Moved(more, now.time.total_seconds - old.time.total_seconds))


def _moved(state: WizardState, now: Layout) -> Moved | None:
    """What the edit before `now` did; that of the one before where the recipe is the same, as after a trace."""
    before = state.layout
    if before is None or before.shape is not now.shape:
        return None
    if before.recipe == now.recipe:
        return state.moved
    old, new = before.estimate, now.estimate
    if old.memory.badge != new.memory.badge:
        # A formula's number less a traced one would say how far the two are apart.
        old, new = (
            planner.estimate(each.recipe, each.hardware, each.shape, each.profile, calibration())
            for each in (before, now)
        )
    edited = {difference.path for difference in differences(before.asked, now.asked)}
    followed = tuple(d for d in differences(before.recipe, now.recipe) if d.path not in edited)
    return Moved(
        new.memory.process_bytes - old.memory.process_bytes, new.time.total_seconds - old.time.total_seconds, followed
    )
