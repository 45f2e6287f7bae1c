"""The bell: once when a run that is looked at ends or needs somebody, never for what is long past, and not unasked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from screens_help import until_drawn as until

from ftui import bell
from ftui.runs.status import RunStatus
from ftui.runs.writer import RunWriter
from ftui.screens.app import FtuiApp

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import recorded


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A bell for each time it rang."""
    heard: list[bool] = []
    monkeypatch.setattr(FtuiApp, "bell", lambda self: heard.append(True))
    return heard


@pytest.mark.parametrize("on", [True, False])
async def test_it_rings_when_the_run_needs_somebody_and_when_it_ends_unless_it_is_switched_off(
    own_home: Path, rung: list[bool], on: bool
) -> None:
    bell.switch(on)
    recording = recorded.Recording(own_home, total=20)
    (recording.folder / "events.jsonl").write_text("")
    with RunWriter(recording.folder) as writer:
        writer.emit("status", state="running", text="training")
        writer.emit("diagnosis", 1, name="plateau", text="It stands still.", hint="Stop.", severity="note")
        writer.emit("metric", 2, loss=2.0)
        async with FtuiApp(open_run=recording.folder.name).run_test(size=(80, 24)) as pilot:
            await until(pilot, "▶ running", "It stands still")
            assert rung == []
            writer.emit("diagnosis", 3, name="diverging", text="It diverges.", hint="Stop.", severity="grave")
            await until(pilot, "It diverges")
            assert len(rung) == on
            writer.emit("status", state="paused", text="The disk is full.")
            await until(pilot, "‖ paused")
            assert len(rung) == 2 * on
            writer.emit("end", 10, status="stopped", text="Stopped as asked.", hint=None)
            await until(pilot, "■ stopped: Stopped as asked.")
            assert len(rung) == 3 * on


async def test_a_run_that_is_over_is_opened_in_silence(own_home: Path, rung: list[bool]) -> None:
    recording = recorded.Recording(own_home, total=20)
    with RunWriter(recording.folder) as writer:
        writer.emit("metric", 2, loss=2.0)
        writer.emit("end", 10, status="stopped", text="Stopped as asked.", hint=None)
    async with FtuiApp(open_run=recording.folder.name).run_test(size=(80, 24)) as pilot:
        await until(pilot, "■ stopped: Stopped as asked.")
    assert rung == []


async def test_the_command_palette_switches_it(own_home: Path, rung: list[bool]) -> None:
    app = FtuiApp()
    async with app.run_test(size=(80, 24)) as pilot:
        titles = [command.title for command in app.get_system_commands(app.screen)]
        assert "Bell off" in titles
        app.bell_switch()
        assert not bell.wanted()
        assert "Bell on" in [command.title for command in app.get_system_commands(app.screen)]
        app.bell_switch()
        await pilot.pause()
    assert bell.wanted()
    assert rung == [True]


def test_what_is_kept_badly_is_no_reason_for_silence(own_home: Path) -> None:
    bell.switch(False)
    file = next(own_home.rglob(bell.FILE))
    file.write_text("{")
    assert bell.wanted()


def test_only_what_changes_before_ones_eyes_calls() -> None:
    running, paused, ended = (
        RunStatus(state=state, text="") for state in ("running", "paused", "finished")
    )  # fmt: skip
    assert bell.calls(running, ended)
    assert bell.calls(running, paused)
    assert not bell.calls(paused, paused)
    assert not bell.calls(paused, running)
    assert not bell.calls(None, ended)
    assert not bell.calls(ended, ended)
