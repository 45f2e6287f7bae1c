"""The home screen: what the machine can do, the presets that fit, the runs as they are."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from screens_help import gpu_box, rows, text, until

from ftui.hardware.document import Hardware
from ftui.runs import RunStatus
from ftui.screens.app import FtuiApp
from ftui.screens.home_facts import run_row, run_rows
from ftui.screens.wizard.wizard import WizardScreen

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import recorded


async def test_a_machine_without_a_gpu_is_told_so_plainly() -> None:
    app = FtuiApp()
    async with app.run_test() as pilot:
        await until(pilot, lambda: "CPU mode" in text(app))
        assert "2 cores" in text(app)


async def test_each_gpu_has_a_line_with_its_free_memory(machine: Callable[[Hardware], None]) -> None:
    machine(gpu_box())
    app = FtuiApp()
    async with app.run_test() as pilot:
        await until(pilot, lambda: "NVIDIA A100" in text(app))
        assert "71.0 GiB free of 80.0 GiB" in text(app)


async def test_a_newcomer_is_told_what_to_do_next() -> None:
    app = FtuiApp()
    async with app.run_test() as pilot:
        await pilot.pause()
        assert "Press d" in text(app)


async def test_two_keys_launch_the_preset_that_needs_nothing() -> None:
    app = FtuiApp()
    async with app.run_test() as pilot:
        await until(pilot, lambda: any("cpu-demo" in row and " 1 " in row[:4] for row in rows(app)))
        await pilot.press("1")
        await until(pilot, lambda: isinstance(app.screen, WizardScreen))
        screen = app.screen
        assert isinstance(screen, WizardScreen)
        await until(pilot, lambda: screen.state.step == "review" and screen.state.layout)
        await until(pilot, lambda: "ftui launch cpu-demo" in text(app))


async def test_a_preset_without_data_asks_for_it() -> None:
    app = FtuiApp()
    async with app.run_test() as pilot:
        await until(pilot, lambda: "cpu-demo" in text(app))
        await app.push_screen(WizardScreen(preset="tickets"))
        await until(pilot, lambda: "Data files near here" in text(app))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_presets_are_listed_with_whether_they_fit(
    machine: Callable[[Hardware], None], size: tuple[int, int]
) -> None:
    machine(gpu_box())
    app = FtuiApp()
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "chat-qlora-8gb" in text(app))
        assert "fits" in next(row for row in rows(app) if "chat-qlora-8gb" in row)


def test_a_run_says_its_state_its_step_its_loss_and_when_it_is_done() -> None:
    live = RunStatus(state="running", text="", step=12, total=80, metrics={"loss": 1.9312}, eta_seconds=95.0)
    line = " ".join(str(cell) for cell in run_row("id", "support", live).cells)
    assert "running" in line
    assert "step 12 of 80" in line
    assert "loss 1.931" in line
    assert "2 min left" in line


def test_a_crashed_run_says_why_and_text_from_outside_cannot_reach_the_terminal() -> None:
    crashed = RunStatus(state="crashed", text="Gone\x1b[2J.")
    line = " ".join(str(cell) for cell in run_row("id", "bad\x07name", crashed).cells)
    assert "Gone" in line
    assert "\x1b" not in line
    assert "\x07" not in line


def test_what_has_served_leaves_the_runs_of_the_home_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTUI_HOME", str(tmp_path))
    for name, kind in (("tuned", "train"), ("try-tuned", "generate"), ("fetched", "download")):
        run = recorded.Recording(tmp_path, name, kind=kind)
        run.start()
        run.end("finished", "Done.")
    assert [str(row.cells[1]) for row in run_rows(9)] == ["tuned"]
