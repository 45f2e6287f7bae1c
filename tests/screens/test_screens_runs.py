"""The list of runs: what it shows, what can be done from it, and how little it reads."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from screens_help import drawn as text
from screens_help import until_drawn as until
from textual.pilot import Pilot

from ftui.screens.app import FtuiApp
from ftui.screens.monitor import MonitorScreen
from ftui.screens.runs import RunsScreen
from ftui.screens.runs_list import BATCH, RunsList

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import recorded


async def opened(pilot: Pilot[object]) -> RunsScreen:
    screen = RunsScreen()
    await pilot.app.push_screen(screen)
    return screen


def some_runs(home: Path, count: int) -> list[Path]:
    """`count` short runs; the newest is finished, the second failed, the rest crashed."""
    made = []
    for number in range(count):
        run = recorded.Recording(
            home, f"run-{number}", id=f"2026-11-22-run-{number:04}", total=20, began=time.time() - 60 - 100 * number
        )
        run.start()
        run.train(recorded.metrics(20 if number == 0 else 12, 20), samples=False)
        if number < 2:
            run.end("finished" if number == 0 else "failed", "It ended.", "Do this.")
        run._file.close()
        made.append(run.folder)
    return made


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_runs_are_listed_newest_first_with_their_state_and_losses(own_home: Path, size: tuple[int, int]) -> None:
    some_runs(own_home, 3)
    async with FtuiApp().run_test(size=size) as pilot:
        await opened(pilot)
        shown = await until(pilot, "✓ finished", "✗ failed", "✗ crashed", "20 / 20 100%")
        lines = shown.splitlines()
        assert [line.split()[2] for line in lines[2:5]] == ["run-0", "run-1", "run-2"]
        assert "3 runs, 0 live" in lines[0]
        assert "It ended." in lines[-3]


async def test_enter_opens_the_monitor_of_the_run_under_the_cursor(own_home: Path) -> None:
    folders = some_runs(own_home, 3)
    async with FtuiApp().run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await until(pilot, "✗ crashed")
        await pilot.press("down", "enter")
        await until(pilot, "Do this.", "12 / 20 steps")
        assert isinstance(pilot.app.screen, MonitorScreen)
        assert pilot.app.screen._watch.run is not None
        assert pilot.app.screen._watch.run.path == folders[1]


async def test_the_filter_takes_words_of_name_and_state_and_escape_clears_it(own_home: Path) -> None:
    some_runs(own_home, 5)
    async with FtuiApp().run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await until(pilot, "✗ crashed")
        await pilot.press("slash", *"crash 3")
        shown = await until(pilot, "1 of 5", "run-3")
        assert "run-2" not in shown
        await pilot.press("enter", "escape")
        await until(pilot, "run-2", "5 runs")
        await pilot.press("slash", *"nonsense")
        await until(pilot, "No run fits the filter")


async def test_deleting_asks_first_and_removes_the_folder(own_home: Path) -> None:
    folders = some_runs(own_home, 2)
    async with FtuiApp().run_test(size=(80, 24), notifications=True) as pilot:
        await opened(pilot)
        await until(pilot, "✓ finished", "d Delete")
        await pilot.press("d")
        await until(pilot, "Remove the run run-0 with its result?")
        await pilot.press("escape")
        assert folders[0].exists()
        await pilot.press("d")
        await until(pilot, "Remove the run")
        await pilot.press("y")
        await until(pilot, "run-0 was removed.", "1 run,")
        assert not folders[0].exists()


async def test_a_live_run_can_be_stopped_but_not_deleted(own_home: Path) -> None:
    run = recorded.healthy(own_home)
    async with FtuiApp().run_test(size=(80, 24), notifications=True) as pilot:
        await opened(pilot)
        shown = await until(pilot, "▶ running", "t Stop")
        assert "Delete" not in shown
        await pilot.press("d")
        await pilot.pause()
        assert "Remove" not in text(pilot)
        await pilot.press("t")
        await until(pilot, "support-qlora saves and stops")
        assert list((run.folder / "inbox").iterdir())


async def test_new_runs_appear_and_the_cursor_stays_on_its_run(own_home: Path) -> None:
    some_runs(own_home, 2)
    async with FtuiApp().run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await until(pilot, "run-1")
        await pilot.press("down")
        recorded.healthy(own_home)
        await until(pilot, "support-qlora", "1 live")
        from ftui.screens.widgets.run_table import RunTable

        current = screen.query_one(RunTable).current
        assert current is not None
        assert current.run.info.name == "run-1"


async def test_without_runs_it_says_how_to_start_one(own_home: Path) -> None:
    async with FtuiApp().run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await until(pilot, "There are no runs yet.", "ftui launch cpu-demo")


async def test_a_folder_that_is_no_run_is_left_out(own_home: Path) -> None:
    some_runs(own_home, 1)
    (own_home / "runs" / "notes").mkdir()
    broken = own_home / "runs" / "broken"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    async with FtuiApp().run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await until(pilot, "✓ finished", "1 run,")


def test_a_look_reads_only_what_is_in_sight_and_a_few_more(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ftui.screens import runs_list

    some_runs(own_home, 60)
    read: list[str] = []
    derive = runs_list.status
    monkeypatch.setattr(runs_list, "status", lambda run: read.append(run.id) or derive(run))
    listed = RunsList()
    ids = [f"2026-11-22-run-{number:04}" for number in range(10)]
    listed.look(ids)
    assert read[:10] == ids
    assert len(read) == 10 + BATCH
    read.clear()
    while listed.look(ids):
        pass
    assert len(read) == 50 - BATCH
    read.clear()
    listed.look(ids)
    assert read == []
