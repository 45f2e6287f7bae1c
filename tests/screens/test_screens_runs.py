"""The list of runs: what it shows, what can be done from it, and how little it reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from screens_help import drawn as text
from screens_help import until_drawn as until
from textual.binding import Binding
from textual.pilot import Pilot
from textual.widgets import Input

from ftui.runs import choosing, control, facts, notes, queue, trash
from ftui.runs.facts import Depth
from ftui.runs.folder import Run, list_runs
from ftui.screens.app import FtuiApp
from ftui.screens.monitor import MonitorScreen
from ftui.screens.page import Page
from ftui.screens.runs import RunsScreen
from ftui.screens.runs_list import BATCH, RunsList
from ftui.screens.widgets.run_table import RunTable
from ftui.screens.widgets.run_table_columns import WIDTHS, columns

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


async def test_deleting_asks_first_and_puts_the_folder_aside(own_home: Path) -> None:
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
        await until(pilot, "Deleted run-0, ", "u brings it back until you leave ftui.", "1 run,")
        assert not folders[0].exists()


async def test_u_brings_back_the_last_deletion_and_again_the_one_before(own_home: Path) -> None:
    folders = some_runs(own_home, 4)
    async with FtuiApp().run_test(size=(80, 24), notifications=True) as pilot:
        await opened(pilot)
        await until(pilot, "✓ finished")
        await pilot.press("space", "space")
        await until(pilot, "2 marked: c compares them, d deletes")
        await pilot.press("d")
        shown = await until(pilot, "Remove 2 runs with their results?", "on the disk.  u brings them back")
        assert folders[0].name in shown
        assert folders[1].name in shown
        await pilot.press("y")
        await until(pilot, "Deleted 2 runs, ", "2 runs, 0 live")
        assert [run.info.name for run in list_runs()] == ["run-2", "run-3"]
        await pilot.press("d")
        await until(pilot, "Remove the run run-2?")
        await pilot.press("enter")
        await until(pilot, "Deleted run-2, ", "(1 more before)")
        await pilot.press("u")
        await until(pilot, "run-2 is back.", "Deleted 2 runs, ")
        await pilot.press("u")
        await until(pilot, "2 runs are back.", "4 runs, 0 live")
        shown = await until(pilot, "run-0")
        assert "Deleted" not in shown
        assert all(folder.exists() for folder in folders)
        assert not trash.folder().exists()
        await pilot.press("u")
        await pilot.pause()


async def test_a_deletion_outlives_the_page_and_is_freed_on_request(own_home: Path) -> None:
    folders = some_runs(own_home, 2)
    async with FtuiApp().run_test(size=(80, 24), notifications=True) as pilot:
        await opened(pilot)
        await until(pilot, "✓ finished", "d Delete")
        await pilot.press("d", "y")
        await until(pilot, "Deleted run-0, ")
        await pilot.press("escape")
        await opened(pilot)
        await until(pilot, "Deleted run-0, ")
        await pilot.press("e")
        await until(pilot, "now?", "run-0", "Then it can't be undone any more.")
        await pilot.press("y")
        await until(pilot, "are being freed.")
        end = time.monotonic() + 30
        while trash.folder().exists() and time.monotonic() < end:
            await pilot.pause(0.05)
        assert not trash.folder().exists()
        assert "Deleted" not in text(pilot)
        assert [folder.exists() for folder in folders] == [False, True]


async def test_what_an_app_that_was_cut_off_had_deleted_is_offered(own_home: Path) -> None:
    folders = some_runs(own_home, 2)
    script = (
        "import os, sys; from pathlib import Path; from ftui.runs import control; from ftui.runs.folder import Run\n"
        "control.set_aside([Run(Path(sys.argv[1]))]); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(folders[1])], check=False)
    async with FtuiApp().run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await until(pilot, "An app that was cut off had deleted run-1: u brings it back, until", "1 run,")
        await pilot.press("u")
        await until(pilot, "run-1", "2 runs,")
        assert folders[1].exists()


async def test_a_live_run_among_the_marked_keeps_all_of_them(own_home: Path) -> None:
    folders = some_runs(own_home, 2)
    recorded.healthy(own_home)
    async with FtuiApp().run_test(size=(80, 24), notifications=True) as pilot:
        await opened(pilot)
        await until(pilot, "1 live", "▶ running", "✓ finished")
        await pilot.press("home", "space", "space", "space")
        await until(pilot, "3 marked")
        await pilot.press("d", "y")
        await until(pilot, "Stop it first")
        assert all(folder.exists() for folder in folders)
        await until(pilot, "3 marked")
        await pilot.press("escape")
        shown = await until(pilot, "same as: ftui watch")
        assert "marked" not in shown


async def test_no_more_than_eight_are_marked_and_compared(own_home: Path) -> None:
    some_runs(own_home, 10)
    async with FtuiApp().run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot)
        await until(pilot, "✗ crashed", "run-9")
        await pilot.press("c")
        await until(pilot, "Mark two to eight runs")
        await pilot.press(*["space"] * 9)
        await until(pilot, "8 marked", "Eight runs can be marked at once.")
        assert screen.query_one(RunTable).marked == [f"2026-11-22-run-{number:04}" for number in range(8)]
        await pilot.press("c")
        await until(pilot, "compare")
        assert type(pilot.app.screen).__name__ == "CompareScreen"


async def test_tags_and_a_note_are_put_by_a_key_each_and_shown(own_home: Path) -> None:
    folders = some_runs(own_home, 3)
    async with FtuiApp().run_test(size=(80, 24), notifications=True) as pilot:
        await opened(pilot)
        await until(pilot, "✓ finished")
        assert "tags" not in text(pilot)
        await pilot.press("g")
        await until(pilot, "Tags of run-0", "A word adds a tag")
        await pilot.press(*"good old", "enter")
        await until(pilot, "good old", "tags")
        await pilot.press("space", "space", "g")
        await until(pilot, "Tags of 2 runs", "Now: good old.")
        await pilot.press(*"-old +new", "enter")
        await until(pilot, "good new", "✗ failed")
        assert [notes.read(Run(folder)).tags for folder in folders] == [("good", "new"), ("new",), ()]
        await pilot.press("escape", "home", "w")
        await until(pilot, "Note to run-0")
        await pilot.press(*"as hoped", "enter")
        await until(pilot, "“as hoped” It ended.")
        await pilot.press("g")
        await until(pilot, "Tags of run-0")
        await pilot.press(*"a,b", "enter")
        await until(pilot, "'a,b' can be no tag.")
        assert notes.read(Run(folders[0])) == notes.Notes(tags=("good", "new"), note="as hoped")


async def test_the_table_is_sorted_by_what_is_asked_and_turned_round(own_home: Path) -> None:
    some_runs(own_home, 4)

    def names() -> list[str]:
        rows = [line.split() for line in text(pilot).splitlines()]
        return [row[2] for row in rows if row[1:2] in (["finished"], ["crashed"], ["failed"])]

    async with FtuiApp().run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot)
        await until(pilot, "✓ finished", "age ↑")
        await pilot.press("s")
        await until(pilot, "Sort the runs by", "the last training loss")
        await pilot.press("down", "enter")
        await until(pilot, "by state, smallest first", "state ↑", "same as: ftui runs --sort state")
        assert names() == ["run-2", "run-3", "run-1", "run-0"]
        await pilot.press("S")
        await until(pilot, "state ↓", "ftui runs --sort state --reverse")
        assert names() == ["run-0", "run-1", "run-2", "run-3"]
        await pilot.click(RunTable, offset=(17, 0))
        await until(pilot, "name ↑")
        assert names() == ["run-0", "run-1", "run-2", "run-3"]
        await pilot.click(RunTable, offset=(17, 0))
        await until(pilot, "name ↓")
        assert names() == ["run-3", "run-2", "run-1", "run-0"]
        assert screen.query_one(RunTable).current is not None


async def test_the_filter_asks_for_numbers_states_and_tags_and_says_what_it_can_not_read(own_home: Path) -> None:
    folders = some_runs(own_home, 5)
    notes.tag(Run(folders[3]), ["good"])
    async with FtuiApp().run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await until(pilot, "✗ crashed")
        await pilot.press("slash", *"state:failed,crashed")
        await until(pilot, "4 of 5", "same as: ftui runs --filter state:failed,crashed")
        await pilot.press(*" -tag:good loss<9")
        await until(pilot, "3 of 5")
        screen.query_one(Input).value += " rank>3"
        shown = await until(pilot, "✗ There is no 'rank' in a filter.")
        assert "3 of 5" in shown, "the list stays as it was"
        await pilot.press("escape")
        shown = await until(pilot, "5 runs, 0 live")
        assert "There is no" not in shown


@pytest.mark.parametrize(("width", "shown"), [(80, 6), (120, 6)])
async def test_the_bar_shows_at_most_six_keys_with_the_way_back(own_home: Path, width: int, shown: int) -> None:
    some_runs(own_home, 3)
    async with FtuiApp().run_test(size=(width, 24)) as pilot:
        await opened(pilot)
        await until(pilot, "✗ crashed")
        await pilot.press("end")
        bar = (await until(pilot, "r Resume")).rstrip().splitlines()[-1]
        assert len(bar.strip().split("   ")) <= shown
        assert bar.rstrip().endswith("esc Back   ? Help")


async def test_where_a_page_has_too_many_keys_the_help_gives_way_and_then_its_own_but_never_the_way_back() -> None:
    class Many(Page[None]):
        BINDINGS = [Binding(key, f"do_{key}", f"Do {key}") for key in "abcdefg"]

    async with FtuiApp().run_test(size=(120, 24)) as pilot:
        await pilot.app.push_screen(Many())
        shown = await until(pilot, "a Do a   b Do b   c Do c   d Do d   e Do e   esc Back")
        assert "Do f" not in shown


def test_columns_give_way_where_the_room_is_short_but_never_the_one_that_is_sorted_by() -> None:
    for width in range(60, 200):
        for key in choosing.ASKED:
            for tags in (False, True):
                widths = columns(width, choosing.Order(key), tags=tags)
                assert sum(widths.values()) <= max(width, 80)
                assert widths["name"] >= 8
                wanted = {"done", "step"} if key == "step" else {key}
                if key in WIDTHS and (tags or key != "tag"):
                    assert wanted & set(widths), (width, key)
    assert set(columns(200, choosing.Order(), tags=True)) == set(WIDTHS)
    assert list(columns(77, choosing.Order(), tags=True)) == [
        "mark", "state", "name", "done", "loss", "best", "tag", "age"
    ]  # fmt: skip


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


async def test_a_run_that_ended_is_put_into_the_queue_by_a_key(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr(control, "start", lambda run: started.append(run.id))
    finished, failed = some_runs(own_home, 2)
    async with FtuiApp().run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await until(pilot, "✗ failed")
        assert screen.check_action("resume_in_turn", ()) is False, "what has finished has nothing to go on with"
        await pilot.press("down")
        await until(pilot, f"ftui watch {failed.name}")
        await pilot.press("R")
        await pilot.app.workers.wait_for_complete()
    assert started == [failed.name]
    assert queue.find(failed.name) is not None
    assert queue.find(finished.name) is None


async def test_new_runs_appear_and_the_cursor_stays_on_its_run(own_home: Path) -> None:
    some_runs(own_home, 2)
    async with FtuiApp().run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await until(pilot, "run-1")
        await pilot.press("down")
        recorded.healthy(own_home)
        await until(pilot, "support-qlora", "1 live")
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


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the runs whose status is derived."""
    found: list[str] = []
    derive = facts.status
    monkeypatch.setattr(facts, "status", lambda run: found.append(run.id) or derive(run))
    return found


def test_a_look_reads_only_what_is_in_sight_and_a_few_more(own_home: Path, read: list[str]) -> None:
    some_runs(own_home, 60)
    listed = RunsList()
    ids = [f"2026-11-22-run-{number:04}" for number in range(10)]
    listed.look(ids)
    assert read[:10] == ids
    assert len(set(read)) == 10 + BATCH
    while listed.look(ids):
        pass
    assert len(set(read)) == 60
    read.clear()
    for _ in range(3):
        assert not listed.look(ids)
    assert read == []


def test_what_the_order_waits_for_is_read_first_and_changes_out_of_sight_later(own_home: Path, read: list[str]) -> None:
    folders = some_runs(own_home, 60)
    listed = RunsList()
    while listed.look([], Depth.LOOKED) and listed.more:
        pass
    assert listed.unread(Depth.LOOKED) == 0
    assert not listed.more
    read.clear()
    notes.tag(Run(folders[50]), ["good"])
    while not any(facts.notes.tags for facts in listed.runs):
        listed.look([])
    assert read == [folders[50].name], "a run out of sight is read again where its files have changed"


async def test_2000_runs_are_filtered_and_sorted_while_they_become_known(own_home: Path, read: list[str]) -> None:
    first = some_runs(own_home, 1)[0]
    info = json.loads((first / "run.json").read_text())
    for number in range(1, 2000):
        folder = first.with_name(f"2026-11-21-many-{number:04}")
        folder.mkdir()
        told = info | {"id": folder.name, "name": f"many-{number}", "created": info["created"] - number}
        (folder / "run.json").write_text(json.dumps(told))
        os.link(first / "events.jsonl", folder / "events.jsonl")
    async with FtuiApp().run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await until(pilot, "2000 runs, 0 live", "✓ finished")
        assert len(read) < 200
        await pilot.press("slash", *"many-1234")
        await until(pilot, "1 of 2000", "many-1234")
        await pilot.press("enter", "escape", "S")
        await until(pilot, "by age, largest first", "many-1999", "✓ finished")
