"""The help and the glossary, made from what there is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from screens_help import until_drawn as until

from ftui.screens.app import FtuiApp
from ftui.screens.glossary import GlossaryScreen
from ftui.screens.help import HelpScreen, grouped
from ftui.screens.monitor_keys import TABLE
from ftui.screens.runs import RunsScreen

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import recorded


@pytest.mark.parametrize("size", [(80, 24), (120, 60)])
async def test_help_lists_the_keys_of_the_page_below_with_what_they_are_for(
    own_home: Path, size: tuple[int, int]
) -> None:
    run = recorded.healthy(own_home)
    async with FtuiApp(open_run=run.folder.name).run_test(size=size) as pilot:
        await until(pilot, "▶ running", "t Stop")
        await pilot.press("f1")
        await until(pilot, "keys of the page: monitor", "This run", "Stop at the next step; everything is saved")
        assert isinstance(pilot.app.screen, HelpScreen)


async def test_help_names_every_action_that_makes_sense_and_no_other(own_home: Path) -> None:
    run = recorded.healthy(own_home)
    async with FtuiApp(open_run=run.folder.name).run_test(size=(80, 24)) as pilot:
        await until(pilot, "t Stop")
        groups = grouped(pilot.app.screen, pilot.app)
        named = {entry.description for name in ("This run", "Charts", "Tabs") for entry in groups[name]}
        hidden = {"Fix and rerun", "Resume", "Try it", "Report", "Earlier", "Later", "View stage", "Next prompt",
                  "Previous prompt"}
        assert named == {description for _, _, _, description, _ in TABLE} - hidden
        assert {"Back", "Help"} <= {entry.description for entry in groups["Everywhere"]}
        zoom = next(entry for entry in groups["Charts"] if entry.description == "Zoom in")
        assert zoom.keys == ["+", "="]


async def test_help_of_another_page_shows_its_own_keys(own_home: Path) -> None:
    async with FtuiApp().run_test(size=(80, 24)) as pilot:
        await pilot.app.push_screen(RunsScreen())
        await pilot.press("question_mark")
        shown = await until(pilot, "keys of the page: runs", "By name, kind, preset, state")
        assert "Smoother" not in shown


async def test_every_key_of_the_monitor_has_words_and_a_group() -> None:
    assert all(keys and action and description and tooltip for _, keys, action, description, tooltip in TABLE)
    every = [key for _, keys, *_ in TABLE for key in keys.split(",")]
    assert len(every) == len(set(every))
    assert not {"ctrl+b", "ctrl+a", "ctrl+p", "ctrl+c"} & set(every)


async def test_the_glossary_opens_on_a_term_and_searches() -> None:
    pytest.importorskip("ftui.glossary", reason="the glossary's terms are not there")
    async with FtuiApp().run_test(size=(80, 24)) as pilot:
        await pilot.app.push_screen(GlossaryScreen("rank"))
        await until(pilot, "Source:", "rank")
        await pilot.press(*"nf4")
        await until(pilot, "NF4")
        await pilot.press("backspace", "backspace", "backspace", *"zzzz")
        await until(pilot, "0 terms", "Nothing here has")
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(pilot.app.screen, GlossaryScreen)
