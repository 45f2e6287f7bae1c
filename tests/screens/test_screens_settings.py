"""The Settings step: every setting of the recipe, edited in place, its cost and its mistakes shown at once."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from screens_help import cpu_box, rows, small_profile, text, until
from textual.pilot import Pilot
from textual.widgets import Input

from ftui import models, recipe
from ftui.screens.app import FtuiApp
from ftui.screens.widgets.choice_table import ChoiceTable
from ftui.screens.wizard.replan import replan
from ftui.screens.wizard.state import WizardState
from ftui.screens.wizard.wizard import WizardScreen, from_preset


@pytest.fixture
def planned() -> WizardState:
    """The demo's recipe on a small machine, planned, without reading or counting anything."""
    state = from_preset("cpu-demo").having(hardware=cpu_box(), shape=models.describe("demo"), profile=small_profile())
    return replan(state)


@pytest.fixture
async def settings(planned: WizardState, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pilot[int]]:
    """The app on the Settings step of `planned`; nothing is probed."""
    for name in ("_probe", "_describe", "_profile"):
        monkeypatch.setattr(WizardScreen, name, lambda self: None)
    app = FtuiApp()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = WizardScreen()
        screen.set_reactive(WizardScreen.state, planned.having(step="settings"))
        await app.push_screen(screen)
        await until(pilot, lambda: "Base model" in text(app))
        yield pilot


def state(pilot: Pilot[int]) -> WizardState:
    screen = pilot.app.screen
    assert isinstance(screen, WizardScreen)
    return screen.state


def cost(pilot: Pilot[int]) -> str:
    """The line of memory and time."""
    return next(row for row in rows(pilot.app) if re.match(r" [≈◆✔] (estimate|traced|measured)", row))


async def find(pilot: Pilot[int], words: str) -> Input:
    """Search, and leave the cursor on the first hit; returns the line to edit in."""
    editor = pilot.app.screen.query_one("#editor", Input)
    await pilot.press("slash")
    editor.value = words
    await pilot.press("enter")
    return editor


async def test_every_setting_of_the_recipe_has_a_line(settings: Pilot[int]) -> None:
    await settings.press("a")
    table = settings.app.screen.query_one(ChoiceTable)
    assert table.keys[1:] == [entry.path for entry in recipe.walk(state(settings).asked)]


def test_an_objective_and_adapter_left_to_the_planner_show_their_own_settings_and_keep_when_one_is_edited() -> None:
    asked = recipe.assign(recipe.Recipe(), {"model.base": "demo", "data.sources": ["pairs.json"]})
    profile = small_profile().model_copy(update={"kind": "preference"})
    planned = replan(WizardState(draft=asked, hardware=cpu_box(), shape=models.describe("demo"), profile=profile))
    assert planned.resolved
    assert planned.resolved.objective.kind == "dpo"
    listed = [setting.path for setting in recipe.walk(planned.shown)]
    assert listed == [setting.path for setting in recipe.walk(planned.resolved)]
    assert "objective.beta" in listed
    edited = planned.assigned({"objective.beta": "0.2"})
    assert edited.draft.objective.kind == "dpo"
    assert edited.edited - planned.edited == {"objective.kind", "objective.beta"}


async def test_enter_alone_leads_on_to_the_review(settings: Pilot[int]) -> None:
    await settings.press("enter")
    await until(settings, lambda: state(settings).step == "review")


async def test_a_preset_s_value_is_told_apart_from_what_the_plan_would_take(settings: Pilot[int]) -> None:
    await find(settings, "data.max_length")
    await until(settings, lambda: "the preset's; otherwise" in text(settings.app))


async def test_an_edit_moves_the_memory_at_once_and_is_marked(settings: Pilot[int]) -> None:
    before = state(settings).estimate
    editor = await find(settings, "adapter.rank")
    await settings.press("enter")
    editor.value = "256"
    await settings.press("enter")
    await until(settings, lambda: state(settings).estimate != before)
    shown = text(settings.app)
    assert "•" in next(row for row in rows(settings.app) if "Rank " in row)
    assert re.search(r"≈ estimate \S+ [GM]iB \(.*\) \+\d", cost(settings))
    assert "yours" in shown


async def test_a_mistake_stands_under_its_line_and_nothing_is_taken(settings: Pilot[int]) -> None:
    editor = await find(settings, "train.learning_rate")
    await settings.press("enter")
    for wrong in ("nan", "-1", "fast", "7"):
        editor.value = wrong
        await settings.pause()
        assert "✗" in text(settings.app), wrong
        await settings.press("enter")
        assert editor.has_focus, "the line stays open on what is wrong with it"
    await settings.press("escape")
    assert state(settings).draft == recipe.preset("cpu-demo").recipe


async def test_a_reset_goes_back_to_the_preset(settings: Pilot[int]) -> None:
    editor = await find(settings, "train.epochs")
    await settings.press("enter")
    editor.value = "3"
    await settings.press("enter")
    await until(settings, lambda: state(settings).draft.train.epochs == 3)
    assert "train.epochs" in state(settings).edited
    await settings.press("r")
    await until(settings, lambda: state(settings).draft.train.epochs == 10)
    assert "train.epochs" not in state(settings).edited


async def test_a_choice_turns_with_the_arrows_and_opens_with_enter(settings: Pilot[int]) -> None:
    await find(settings, "train.schedule")
    await settings.press("right")
    await until(settings, lambda: state(settings).draft.train.schedule == "linear")
    await settings.press("left")
    await until(settings, lambda: state(settings).draft.train.schedule == "cosine")
    await settings.press("enter", "down", "enter")
    await until(settings, lambda: state(settings).draft.train.schedule == "linear")


async def test_changing_the_adapter_changes_which_settings_there_are(settings: Pilot[int]) -> None:
    await find(settings, "adapter.kind")
    await settings.press("right")
    await until(settings, lambda: state(settings).draft.adapter.kind == "none")
    await until(settings, lambda: not state(settings).busy)
    await settings.press("escape")
    assert "adapter.rank" not in settings.app.screen.query_one(ChoiceTable).keys
    assert "plan" not in state(settings).problems, state(settings).problems


async def test_impossible_pairs_are_refused_in_place(settings: Pilot[int]) -> None:
    await find(settings, "adapter.kind")
    await settings.press("right")
    await until(settings, lambda: state(settings).draft.adapter.kind == "none")
    await find(settings, "model.quantization")
    for _ in range(3):
        await settings.press("right")
        await settings.pause()
    assert "✗" in text(settings.app)
    assert state(settings).draft.adapter.kind == "none"


async def test_a_question_mark_opens_the_glossary_on_the_setting_s_term(settings: Pilot[int]) -> None:
    await find(settings, "adapter.rank")
    await settings.press("question_mark")
    await until(settings, lambda: type(settings.app.screen).__name__ == "GlossaryScreen")
    assert "rank" in text(settings.app).lower()


async def test_the_settings_are_usable_in_forty_columns(settings: Pilot[int]) -> None:
    await settings.resize_terminal(40, 12)
    await settings.pause()
    assert any(row.lstrip().startswith("Name") for row in rows(settings.app))
