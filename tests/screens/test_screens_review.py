"""The Review step: what is launched, queued, refused, saved."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import pytest
from screens_help import at, set_value, text, until, wizard
from textual.widgets import Input

from ftui import recipe
from ftui.errors import Refused
from ftui.screens.app import FtuiApp
from ftui.screens.wizard.replan import replan
from ftui.screens.wizard.state import WizardState
from ftui.screens.wizard.wizard import WizardScreen


async def test_what_is_launched_is_what_was_edited_however_long_the_planning_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go_on, launched = Event(), list[Any]()

    def refuse(layout: Any, *_: Any) -> Any:
        launched.append(layout.recipe)
        raise Refused("No space is left.", "Free 2 GiB.")

    def slowly(state: WizardState) -> WizardState:
        go_on.wait(30)
        return replan(state)

    monkeypatch.setattr("ftui.screens.lookups.launch", refuse)
    app = FtuiApp(demo=True)
    async with app.run_test() as pilot:
        await at(pilot, "hardware")
        await until(pilot, lambda: wizard(pilot).state.layout)
        monkeypatch.setattr("ftui.screens.wizard.wizard.replan", slowly)
        await wizard(pilot).go("settings")
        await set_value(pilot, "train.max_steps", "3")
        await until(pilot, lambda: wizard(pilot).state.draft.train.max_steps == 3)
        await wizard(pilot).go("review")
        await pilot.press("enter")
        shown = ("planning what was just edited", "of demo by supervised fine-tuning on", "--set train.max_steps=3")
        for said in shown:
            await until(pilot, lambda said=said: said in text(app))
        assert not launched
        go_on.set()
        await until(pilot, lambda: "No space is left." in text(app))
    assert [run.train.max_steps for run in launched] == [3]


async def test_what_stands_in_the_way_is_asked_about_before_the_launch(
    launches: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftui.runs.obstacles import Obstacle

    monkeypatch.setattr("ftui.screens.lookups.obstacles", lambda layout: [Obstacle("The disk is full.", "Free some.")])
    app = FtuiApp(demo=True)
    async with app.run_test() as pilot:
        await at(pilot, "hardware")
        await until(pilot, lambda: wizard(pilot).state.layout)
        await wizard(pilot).go("review")
        await until(pilot, lambda: "The disk is full." in text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "Launch all the same?" in text(app))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, WizardScreen))
        assert not launches
        await pilot.press("enter")
        await until(pilot, lambda: "Launch all the same?" in text(app))
        await pilot.press("y")
        await until(pilot, lambda: launches)
    assert launches[0].force


async def test_one_key_queues_the_run_until_a_device_is_free(launches: list[Any]) -> None:
    app = FtuiApp(demo=True)
    async with app.run_test() as pilot:
        await at(pilot, "hardware")
        await until(pilot, lambda: wizard(pilot).state.layout)
        await wizard(pilot).go("review")
        await until(pilot, lambda: "w queues it" in text(app))
        await pilot.press("w")
        await until(pilot, lambda: launches)
    assert launches[0].queued
    assert launches[0].command.endswith("--queue")


async def test_a_refused_launch_is_said_in_place(launches: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise Refused("No space is left.", "Free 2 GiB.")

    monkeypatch.setattr("ftui.screens.lookups.launch", refuse)
    app = FtuiApp(demo=True)
    async with app.run_test() as pilot:
        await at(pilot, "hardware")
        await until(pilot, lambda: wizard(pilot).state.layout)
        await wizard(pilot).go("review")
        await pilot.press("enter")
        await until(pilot, lambda: "No space is left." in text(app))
        assert "Free 2 GiB." in text(app)


async def test_the_recipe_is_saved_and_makes_the_same_run(tmp_path: Path) -> None:
    app = FtuiApp(demo=True)
    async with app.run_test() as pilot:
        await at(pilot, "hardware")
        await until(pilot, lambda: wizard(pilot).state.layout)
        await wizard(pilot).go("review")
        await pilot.press("t", *"2", "enter")
        await until(pilot, lambda: wizard(pilot).state.draft.compute.max_hours == 2)
        await pilot.press("s")
        await until(pilot, lambda: "Save the recipe to" in text(app))
        target = tmp_path / "mine.yaml"
        app.screen.query_one(Input).value = str(target)
        await pilot.press("enter")
        await until(pilot, target.exists)
        assert recipe.read(target) == wizard(pilot).state.asked
