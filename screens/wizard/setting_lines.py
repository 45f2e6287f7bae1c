"""The settings as lines: each with its value as it would be launched, and why it is that."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from ftui import recipe
from ftui.errors import FtuiError
from ftui.recipe import Setting

from ..widgets.choice_table import Row
from .state import KINDS, WizardState
from .words import shown_value

SECTION_TITLES = {
    "general": "General", "goal": "Goal", "model": "Model", "data": "Data", "objective": "Objective",
    "adapter": "Adapter", "train": "Training", "evaluate": "Evaluation", "recovery": "Recovery",
    "continual": "Continual learning", "tracking": "Tracking", "compute": "Compute",
}


def lines(state: WizardState, settings: Sequence[Setting]) -> list[Row]:
    """A row for each setting under its section's heading; those set by hand are marked."""
    section, edited, rows = "", state.edited, []
    for setting in settings:
        if setting.section != section:
            section = setting.section
            rows.append(Row(None, (SECTION_TITLES.get(section, section.capitalize()),)))
        by_hand = setting.path in edited
        value = Content(shown(state, setting)).stylize("bold" if by_hand else "")
        mark = Content.styled("•", "bold $text-accent") if by_hand else ""
        rows.append(Row(setting.path, (mark, setting.title, value, _why(state, setting, by_hand))))
    return rows


def _why(state: WizardState, setting: Setting, by_hand: bool) -> Content:
    choice = state.reason(setting.path)
    if by_hand:
        was = shown_value(recommended(state, setting))
        if was == "auto":
            return Content.styled("yours; r takes it back", "$text-accent")
        whose = "recommended" if choice else "preset" if state.preset else "default"
        return Content.styled(f"yours; {whose} {was}" if was else "yours", "$text-accent")
    if choice and shown_value(choice.value, setting.separator) != shown(state, setting):
        return Content.assemble(("the preset's; otherwise ", "dim"), Content(choice.reason))
    return Content(choice.reason if choice else setting.help).stylize("" if choice else "dim")


def values(setting: Setting) -> tuple[str, ...]:
    """The few values of a switch or a choice, as they are typed."""
    values = ("true", "false") if setting.kind == "bool" else setting.offered
    return (*(("auto",) if setting.auto else ()), *values, *(("null",) if setting.nullable else ()))


def meaning(setting: Setting, value: str, state: WizardState) -> str:
    """A word on a value of a choice, where there is one."""
    if value == "auto":
        choice = state.reason(setting.path)
        return f"the planner's: {shown_value(choice.value)}" if choice else "left to the planner"
    return ""


def recommended(state: WizardState, setting: Setting) -> object:
    """What the setting would be without the hand: the planner's value, else the preset's or the default."""
    choice = state.reason(setting.path)
    if choice:
        return choice.value
    try:
        return recipe.get(state.base if setting.path in KINDS else state.start, setting.path)
    except FtuiError:
        return setting.default


def shown(state: WizardState, setting: Setting) -> str:
    """The setting's value as it would be launched, in the words in which it can be typed."""
    # What was edited a moment ago is in no plan yet.
    edited = state.outdated and setting.path in recipe.asked(state.draft)
    for holder in (None if edited else state.resolved, state.asked):
        if holder is not None:
            try:
                return shown_value(recipe.get(holder, setting.path), setting.separator)
            except FtuiError:
                continue
    return shown_value(setting.default, setting.separator)
